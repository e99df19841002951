"""Archives and trees under the contract of readers, and what each refuses."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import pytest

from ilsvrc import facts, prepare
from ilsvrc.errors import DamageError, UsageError
from ilsvrc.issues import Code
from ilsvrc.readers.archive import ArchiveReader
from ilsvrc.readers.locate import open_reader, splits_at
from ilsvrc.readers.reader import Reader
from ilsvrc.readers.tree import TreeReader
from ilsvrc.testing.contracts import ReaderContract, Truth


def truth_of(tree: Path, split: str) -> Truth:
    wnids = facts.classes().wnids
    return {(wnids.index(p.parent.name), p.name): p.read_bytes() for p in (tree / split).glob("*/*")}


@pytest.fixture(params=["train", "val"])
def split(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def truth(tree: Path, split: str) -> Truth:
    return truth_of(tree, split)


class TestArchiveReader(ReaderContract):
    @pytest.fixture
    def reader(self, mini: Path, split: str) -> Reader:
        return open_reader(mini, split)


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
    prepare(mini, target, layout=str(request.param), jobs=1)
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


@pytest.fixture
def own_tree(mini: Path, tmp_path: Path) -> Path:
    """A prepared tree that a test may change."""
    prepare(mini, tmp_path / "own", jobs=1)
    return tmp_path / "own"


@pytest.mark.parametrize("verify", [False, True])
def test_changed_file_is_never_an_image(own_tree: Path, verify: bool) -> None:
    reader = open_reader(own_tree, "train", verify=verify)
    path = Path(reader.path(2))
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(DamageError, match="when it was recorded") as caught:
        reader.read(2)
    assert [issue.code for issue in caught.value.issues] == [Code.CHANGED_IMAGE]
    assert str(path) in caught.value.message


def test_only_verifying_finds_changed_bytes(own_tree: Path) -> None:
    path = Path(open_reader(own_tree, "val").path(3))
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert len(open_reader(own_tree, "val").read(3)) == len(data)
    with pytest.raises(DamageError, match="digest"):
        open_reader(own_tree, "val", verify=True).read(3)


def test_removed_file_says_so(own_tree: Path) -> None:
    reader = open_reader(own_tree, "val")
    Path(reader.path(0)).unlink()
    with pytest.raises(DamageError, match="gone"):
        reader.read(0)


def test_tree_prepared_anew_is_refused_by_copies(own_tree: Path) -> None:
    data = pickle.dumps(open_reader(own_tree, "val"))
    os.utime(own_tree / ".ilsvrc/val.arrow", ns=(1, 1))
    with pytest.raises(DamageError, match="manifest changed"):
        pickle.loads(data)


def test_damaged_manifest_is_not_believed(own_tree: Path) -> None:
    (own_tree / ".ilsvrc/val.arrow").write_bytes(b"ARROW1\0\0 not really")
    reader = open_reader(own_tree, "val")
    assert isinstance(reader, TreeReader)
    assert len(reader.read(0)) == reader.sizes[0]
    with pytest.raises(UsageError, match="no digests"):
        open_reader(own_tree, "val", verify=True)


def test_archives_come_before_trees(own_tree: Path, mini: Path) -> None:
    shutil.copy(mini / facts.VAL, own_tree)
    assert isinstance(open_reader(own_tree, "val"), ArchiveReader)
    assert isinstance(open_reader(own_tree, "train"), TreeReader)
    assert splits_at(own_tree) == ["train", "val"]


def test_one_archive_is_its_split(mini: Path) -> None:
    assert open_reader(mini / facts.VAL, "val").split == "val"
    assert splits_at(mini / facts.TRAIN) == ["train"]
    with pytest.raises(UsageError, match="holds the val split") as caught:
        open_reader(mini / facts.VAL, "train")
    assert caught.value.hint == "use split='val'"


def test_what_is_not_there_is_named(mini: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no test split"):
        open_reader(mini, "test")
    with pytest.raises(UsageError, match="no split 'validation'"):
        open_reader(mini, "validation")
    with pytest.raises(UsageError, match="does not exist"):
        open_reader(tmp_path / "nowhere", "val")
    with pytest.raises(UsageError, match="holds no split"):
        splits_at(tmp_path)
    (tmp_path / "val" / "cats").mkdir(parents=True)
    (tmp_path / "val" / "cats" / "tom.jpg").write_bytes(b"")
    with pytest.raises(UsageError, match="no val image of ILSVRC 2012"):
        open_reader(tmp_path, "val")


def test_archive_without_digests_can_not_be_verified(mini: Path) -> None:
    with pytest.raises(UsageError, match="no digests") as caught:
        open_reader(mini, "val", verify=True)
    assert caught.value.hint.startswith("ilsvrc index --digests")
