"""Class folders in a bucket: under the contract of readers, and as what they are compared with on a disk."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ilsvrc import ImageNet, check, prepare
from ilsvrc.errors import DamageError, UsageError
from ilsvrc.issues import Code
from ilsvrc.readers.locate import find_splits, open_reader
from ilsvrc.readers.reader import Reader
from ilsvrc.testing.contracts import ReaderContract
from tests.cli.helpers import ilsvrc
from tests.oracles import package
from tests.readers.test_forms import content
from tests.stores.conftest import SERVERS
from tests.stores.proxy import Proxy, proxy_to
from tests.stores.servers import S3, Bucket, environment


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """A server of objects."""
    with SERVERS["moto"](tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture
def bucket(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket, which the environment leads to."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    return s3.new_bucket()


@pytest.fixture
def listed(bucket: Bucket, tree: Path) -> Bucket:
    """A bucket with a tree that the standard library unpacked: no manifest."""
    bucket.put_folder(tree, "folders")
    return bucket


@pytest.fixture(scope="module")
def prepared(mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    prepare(mini, folder, jobs=1)
    return folder


@pytest.fixture
def recorded(bucket: Bucket, prepared: Path) -> Bucket:
    """A bucket with a tree that `prepare` wrote, and its manifests."""
    bucket.put_folder(prepared, "folders")
    return bucket


@pytest.fixture
def proxy(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy before the server, where the environment leads."""
    with proxy_to(bucket.server.endpoint) as proxy:
        for name, value in environment(proxy.endpoint).items():
            monkeypatch.setenv(name, value)
        yield proxy


class TestListed(ReaderContract):
    @pytest.fixture
    def reader(self, listed: Bucket, split: str) -> Reader:
        return open_reader(listed.url("folders"), split)


class TestRecorded(ReaderContract):
    @pytest.fixture
    def reader(self, recorded: Bucket, split: str) -> Reader:
        return open_reader(recorded.url("folders"), split, verify=True)


class TestSplitFolder(ReaderContract):
    @pytest.fixture
    def reader(self, recorded: Bucket, split: str) -> Reader:
        return open_reader(recorded.url(f"folders/{split}"), split)


def test_a_tree_holds_what_it_holds_on_a_disk(recorded: Bucket, prepared: Path) -> None:
    here, there = find_splits(prepared), find_splits(recorded.url("folders"))
    assert {split: one.form for split, one in there.items()} == {split: one.form for split, one in here.items()}
    for split in here:
        theirs, ours = open_reader(recorded.url("folders"), split), open_reader(prepared, split)
        assert content(theirs) == content(ours)
        assert theirs.identity == ours.identity


@pytest.mark.parametrize("layout", ["index", "padded", "flat", "{split}/{word}/{name}"])
def test_layouts_are_read_without_a_manifest(layout: str, bucket: Bucket, mini: Path, tmp_path: Path) -> None:
    prepare(mini, tmp_path / "tree", layout=layout, jobs=1)
    shutil.rmtree(tmp_path / "tree" / ".ilsvrc")
    bucket.put_folder(tmp_path / "tree", "folders")
    for split in ("train", "val"):
        assert content(open_reader(bucket.url("folders"), split)) == content(open_reader(tmp_path / "tree", split))


def test_a_heap_beside_train_is_val(bucket: Bucket, tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree / "train", tmp_path / "train")
    for path in (tree / "val").glob("*/*"):
        shutil.copy(path, tmp_path)
    bucket.put_folder(tmp_path, "heap")
    reader = open_reader(bucket.url("heap"), "val")
    assert content(reader) == content(open_reader(tmp_path, "val"))
    reader.require_unchanged()


def test_an_image_is_one_request(recorded: Bucket, proxy: Proxy, prepared: Path) -> None:
    images = ImageNet(recorded.url("folders"), "train", loader=bytes)
    local = ImageNet(prepared, "train", loader=bytes)
    proxy.forget()
    assert images[3] == local[3]
    assert proxy.count() == 1
    proxy.forget()
    assert images.__getitems__(list(range(8))) == [local[index] for index in range(8)]
    assert proxy.count() == 8
    assert proxy.sent() == sum(len(local.bytes(index)) for index in range(8))


def test_a_manifest_is_opened_without_a_listing_of_images(recorded: Bucket, proxy: Proxy) -> None:
    [found] = [find_splits(recorded.url("folders"))["train"]]
    proxy.forget()
    found.open()
    assert proxy.count() == 2
    assert proxy.count("GET", "folders/.ilsvrc/train.arrow") == 1


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("stored", ["listed", "recorded"])
def test_two_workers_read_an_epoch(stored: str, method: str, request: pytest.FixtureRequest, tree: Path) -> None:
    package("torch")
    from torch.utils.data import DataLoader

    bucket: Bucket = request.getfixturevalue(stored)
    images = ImageNet(bucket.url("folders"), "train", loader=raw)
    images.will_need(np.arange(4))  # requests of this process are no child's
    loader = DataLoader(images, batch_size=4, num_workers=2, collate_fn=list, multiprocessing_context=method)
    assert [image for batch in loader for image in batch] == list(ImageNet(tree, "train", loader=raw))


def raw(data: bytes) -> bytes:
    """Load an image as its bytes: a loader that can be pickled."""
    return data


def first(bucket: Bucket, split: str = "train") -> str:
    """Return the key of the first image."""
    return next(key for key in bucket.keys(f"folders/{split}/") if key.endswith(".JPEG"))


@pytest.mark.parametrize("stored", ["listed", "recorded"])
@pytest.mark.parametrize("change", ["other", "longer", "shorter", "empty"])
def test_a_replaced_image_is_refused(stored: str, change: str, request: pytest.FixtureRequest) -> None:
    bucket: Bucket = request.getfixturevalue(stored)
    reader = open_reader(bucket.url("folders"), "train")
    data = bucket.get(first(bucket))
    changed = {"other": b"x" + data[1:], "longer": b"x" + data, "shorter": data[:-1], "empty": b""}
    bucket.put({first(bucket): changed[change]})
    with pytest.raises(DamageError, match=str(Code.CHANGED_IMAGE)) as caught:
        reader.read(0)
    assert caught.value.hint == f"ilsvrc check --deep {bucket.url('folders/train')}"
    with pytest.raises(DamageError, match=str(Code.CHANGED_IMAGE)):
        list(reader.take(np.arange(3)))


@pytest.mark.parametrize("stored", ["listed", "recorded"])
def test_a_missing_image_is_told(stored: str, request: pytest.FixtureRequest) -> None:
    bucket: Bucket = request.getfixturevalue(stored)
    reader = open_reader(bucket.url("folders"), "train")
    bucket.store().delete(first(bucket))
    with pytest.raises(DamageError, match=str(Code.MISSING_IMAGE)):
        reader.read(0)


def test_a_new_image_changes_a_listing(listed: Bucket) -> None:
    reader = open_reader(listed.url("folders"), "train")
    part = reader.part(np.arange(2))
    listed.put({"folders/train/n01440764/n01440764_99999.JPEG": b"new"})
    with pytest.raises(DamageError, match="changed while it was in use"):
        reader.require_unchanged()
    part.require_unchanged()  # its images are asked for in the state in which they were listed
    assert open_reader(listed.url("folders"), "train").state != reader.state


def test_a_new_manifest_changes_a_tree(recorded: Bucket) -> None:
    reader = open_reader(recorded.url("folders"), "train")
    data = pickle.dumps(reader)
    recorded.put({"folders/.ilsvrc/train.arrow": recorded.get("folders/.ilsvrc/val.arrow")})
    for refused in (reader.require_unchanged, lambda: pickle.loads(data)):
        with pytest.raises(DamageError, match="changed while it was in use"):
            refused()


def test_what_is_left_out_is_warned_of(listed: Bucket) -> None:
    listed.put(
        {"folders/train/notes.txt": b"x", "folders/train/.hidden/a.JPEG": b"x", "folders/train/n01440764/": b""}
    )
    with pytest.warns(UserWarning, match=r"2 entries are left out") as caught:
        ImageNet(listed.url("folders"), "train")
    assert caught[0].filename == __file__


def test_two_images_of_one_name_are_refused_if_they_differ(listed: Bucket) -> None:
    name = first(listed).rpartition("/")[2]
    listed.put({f"folders/train/{name}": listed.get(first(listed))})
    with pytest.warns(UserWarning, match="counted once"):
        reader = open_reader(listed.url("folders"), "train")
    assert len(reader) == len([key for key in listed.keys("folders/train/") if key.endswith("JPEG")]) - 1
    listed.put({f"folders/train/{name}": b"other"})
    with pytest.raises(DamageError, match="one name and different bytes"):
        open_reader(listed.url("folders"), "train")


def test_an_unfinished_tree_is_refused(recorded: Bucket, mini: Path) -> None:
    prepare(mini, recorded.url("own"), jobs=1)
    assert len(open_reader(recorded.url("own"), "train"))
    recorded.store().delete("own/.ilsvrc/train.arrow")
    with pytest.raises(UsageError, match="not finished") as caught:
        open_reader(recorded.url("own"), "train")
    assert "it resumes" in caught.value.hint


@pytest.mark.parametrize("stored", ["listed", "recorded"])
def test_folders_are_prepared_from_folders(
    stored: str, request: pytest.FixtureRequest, tree: Path, tmp_path: Path
) -> None:
    bucket: Bucket = request.getfixturevalue(stored)
    prepare(bucket.url("folders"), tmp_path / "new", jobs=2)
    images = [path for split in ("train", "val") for path in sorted((tree / split).rglob("*.JPEG"))]
    assert images
    made = sorted(path for split in ("train", "val") for path in (tmp_path / "new" / split).rglob("*.JPEG"))
    assert [path.relative_to(tmp_path / "new") for path in made] == [path.relative_to(tree) for path in images]
    assert [path.read_bytes() for path in made] == [path.read_bytes() for path in images]


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("stored", ["listed", "recorded"])
def test_a_sound_tree_has_no_issues(stored: str, deep: bool, request: pytest.FixtureRequest, tree: Path) -> None:
    bucket: Bucket = request.getfixturevalue(stored)
    for part in check(bucket.url("folders"), deep=deep, against=tree, jobs=1).parts:
        assert (part.issues, part.form) == ((), "class folders")
        assert part.images


def test_check_finds_what_is_wrong(recorded: Bucket) -> None:
    keys = [key for key in recorded.keys("folders/train/") if key.endswith(".JPEG")]
    recorded.store().delete(keys[0])
    data = recorded.get(keys[1])
    recorded.put({keys[1]: data[:-1] + bytes([data[-1] ^ 1]), keys[2]: b"short", "folders/train/notes.txt": b"x"})
    below = [key.removeprefix("folders/train/") for key in keys]
    [part] = check(recorded.url("folders/train"), jobs=1).parts
    found = {(issue.key, issue.code) for issue in part.issues}
    shallow = {
        (below[0], Code.MISSING_IMAGE),
        (below[2], Code.CHANGED_IMAGE),
        ("notes.txt", Code.STRAY_FILE),
    }
    assert found == shallow
    [part] = check(recorded.url("folders/train"), deep=True, jobs=1).parts
    assert (below[1], Code.CHANGED_IMAGE) in {(issue.key, issue.code) for issue in part.issues}


def test_commands_read_it(recorded: Bucket, prepared: Path) -> None:
    root = recorded.url("folders")
    there, here = ilsvrc("ls", root), ilsvrc("ls", prepared)
    assert there.returncode == here.returncode == 0, there.stderr
    assert there.stdout.replace(root, "DST") == here.stdout.replace(str(prepared), "DST")
    image = next((prepared / "val").rglob("*.JPEG"))
    shown = subprocess.run(
        [sys.executable, "-m", "ilsvrc", "cat", root, str(image.relative_to(prepared))],
        capture_output=True,
        check=True,
        timeout=120,
    )
    assert shown.stdout == image.read_bytes()
