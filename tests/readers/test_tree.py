"""Trees under the contract of readers, and what a tree reader refuses or leaves out."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import pytest

from ilsvrc import PrepareOptions, prepare
from ilsvrc.errors import DamageError, UsageError
from ilsvrc.issues import Code
from ilsvrc.readers.locate import open_reader
from ilsvrc.readers.reader import Reader
from ilsvrc.readers.tree import TreeReader
from ilsvrc.testing.contracts import ReaderContract


class TestForeignTree(ReaderContract):
    @pytest.fixture
    def reader(self, tree: Path, split: str) -> Reader:
        return open_reader(tree, split)


class TestSplitFolder(ReaderContract):
    @pytest.fixture
    def reader(self, tree: Path, split: str) -> Reader:
        return open_reader(tree / split, split)


@pytest.fixture(scope="session", params=["wnid", "index", "padded", "flat", "{split}/{word}/{name}"])
def prepared(request: pytest.FixtureRequest, mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("prepared")
    prepare(mini, target, PrepareOptions(layout=str(request.param), jobs=1))
    return target


class TestPreparedTree(ReaderContract):
    @pytest.fixture
    def reader(self, prepared: Path, split: str) -> Reader:
        return open_reader(prepared, split, verify=True)


class TestPreparedTreeWithoutManifest(ReaderContract):
    @pytest.fixture
    def reader(self, prepared: Path, split: str, tmp_path: Path) -> Reader:
        shutil.copytree(prepared / split, tmp_path / split)
        return open_reader(tmp_path, split)


@pytest.mark.parametrize("verify", [False, True])
def test_changed_file_is_never_an_image(own_tree: Path, verify: bool) -> None:
    reader = open_reader(own_tree, "train", verify=verify)
    path = Path(reader.where(2).file)
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(DamageError, match="when it was recorded") as caught:
        reader.read(2)
    assert [issue.code for issue in caught.value.issues] == [Code.CHANGED_IMAGE]
    assert str(path) in caught.value.message


def test_only_verifying_finds_changed_bytes(own_tree: Path) -> None:
    path = Path(open_reader(own_tree, "val").where(3).file)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert len(open_reader(own_tree, "val").read(3)) == len(data)
    with pytest.raises(DamageError, match="digest"):
        open_reader(own_tree, "val", verify=True).read(3)


def test_removed_file_says_so(own_tree: Path) -> None:
    reader = open_reader(own_tree, "val")
    Path(reader.where(0).file).unlink()
    with pytest.raises(DamageError, match="gone"):
        reader.read(0)


def test_tree_prepared_anew_is_refused_by_copies(own_tree: Path) -> None:
    data = pickle.dumps(open_reader(own_tree, "val"))
    os.utime(own_tree / ".ilsvrc/val.arrow", ns=(1, 1))
    with pytest.raises(DamageError, match=r"val\.arrow is not as it was"):
        pickle.loads(data)


def test_damaged_manifest_is_not_believed(own_tree: Path) -> None:
    (own_tree / ".ilsvrc/val.arrow").write_bytes(b"ARROW1\0\0 not really")
    reader = open_reader(own_tree, "val")
    assert isinstance(reader, TreeReader)
    assert len(reader.read(0)) == reader.sizes[0]
    with pytest.raises(UsageError, match="no digests"):
        open_reader(own_tree, "val", verify=True)
