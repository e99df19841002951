"""Paths in a store do as those of a disk do: pathlib over the same files is the oracle."""

from __future__ import annotations

import pickle
import random
from pathlib import Path, PurePosixPath

import pytest

from ilsvrc.errors import MachineError
from ilsvrc.prepare.prepare import prepare
from ilsvrc.readers.locate import find_splits
from ilsvrc.stores.path import StorePath, asked_once, fetch_folder, names_in, path_below, size_of
from tests.stores.proxy import proxy_to
from tests.stores.servers import S3, Bucket, environment

FILES = {"a/b/c.tar.gz": b"12345", "a/b/d.JPEG": b"", "a/x.txt": b"\xc3\xa9", "top": b"7"}


@pytest.fixture
def both(bucket: Bucket, tmp_path: Path) -> tuple[Path, StorePath]:
    """The same files in a folder and in a bucket."""
    for name, data in FILES.items():
        (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / name).write_bytes(data)
    bucket.put({f"root/{name}": data for name, data in FILES.items()})
    return tmp_path / "root", StorePath(bucket.url("root"))


@pytest.mark.parametrize("name", ["a", "a/b", "a/b/c.tar.gz", "a/b/d.JPEG", "a/x.txt", "nothing", "a/nothing.txt"])
def test_a_path_answers_as_one_of_a_disk(both: tuple[Path, StorePath], name: str) -> None:
    here, there = both[0] / name, both[1] / name
    for ask in ("name", "stem", "suffix", "suffixes"):
        assert getattr(there, ask) == getattr(here, ask)
    for ask in ("exists", "is_file", "is_dir", "is_symlink"):
        assert getattr(there, ask)() == getattr(here, ask)()
    assert there.parent / "y" == there.with_name("y")
    assert path_below(there, both[1]) == PurePosixPath(name) == path_below(here, both[0])
    if here.is_file():
        assert there.read_bytes() == there.open().read() == here.read_bytes()
        assert size_of(there) == size_of(here) == len(FILES[name])
    else:
        with pytest.raises(FileNotFoundError):
            there.read_bytes()


@pytest.mark.parametrize("name", ["", "a", "a/b"])
def test_a_folder_lists_what_one_of_a_disk_lists(both: tuple[Path, StorePath], name: str) -> None:
    here, there = both[0] / name, both[1] / name if name else both[1]
    assert names_in(there) == names_in(here)
    assert sorted(path.name for path in there.iterdir()) == sorted(path.name for path in here.iterdir())
    assert sorted(path.name for path in there.glob("*.tar*")) == sorted(path.name for path in here.glob("*.tar*"))


def test_a_name_that_only_begins_so_is_no_part_of_a_folder(bucket: Bucket) -> None:
    bucket.put({"imagenet-old/x": b"1"})
    assert not StorePath(bucket.url("imagenet")).exists()


def test_paths_have_parents_and_an_order_and_pickle() -> None:
    path = StorePath("s3://bucket/a/b/c")
    assert [str(parent) for parent in path.parents] == ["s3://bucket/a/b", "s3://bucket/a", "s3://bucket"]
    assert path.absolute() == path.resolve() == path.expanduser() == pickle.loads(pickle.dumps(path))
    assert {path} == {StorePath("s3://bucket/a/b/c/")}
    assert sorted([path, path.parent]) == [path.parent, path]


def test_what_lies_elsewhere_is_not_below() -> None:
    for other in (StorePath("s3://other/a"), StorePath("s3://bucket/b"), Path("/a")):
        with pytest.raises(ValueError, match="not"):
            path_below(StorePath("s3://bucket/a/x"), other)


@pytest.mark.parametrize("name", ["", "a"])
def test_a_mark_for_a_folder_is_nothing_in_it(both: tuple[Path, StorePath], bucket: Bucket, name: str) -> None:
    """Consoles put an empty object `folder/` where a user makes a folder."""
    bucket.put({"root/": b"", "root/a/": b"", "root/new/": b""})
    here, there = both[0] / name, both[1] / name if name else both[1]
    (both[0] / "new").mkdir()
    assert names_in(there) == names_in(here)
    assert list((both[1] / "new").bucket.below("root/new")) == []


def test_a_key_that_can_not_be_listed_is_named_as_the_reason(bucket: Bucket) -> None:
    bucket.put({"root/a//b": b"1"})
    with pytest.raises(MachineError, match="has a key that can't be listed") as caught:
        list(StorePath(bucket.url("root")).bucket.below("root"))
    assert "move that object away" in caught.value.hint


def test_nothing_is_fetched_into_a_store() -> None:
    assert fetch_folder(Path("/data/my archives")) == "'/data/my archives'"
    assert fetch_folder(StorePath("s3://bucket/archives")) == "FOLDER"


NAMES = (
    "a",
    "a/b",
    "a/b/c.tar.gz",
    "a/x.txt",
    "nothing",
    "nothing/at/all",
    "a/nothing.txt",
    "a/b/c.tar.gz/below",
    "top",
)


@pytest.mark.parametrize("seed", range(6))
def test_paths_that_remember_answer_alike_in_any_order(both: tuple[Path, StorePath], seed: int) -> None:
    draw = random.Random(seed)
    with asked_once():
        for _ in range(60):
            name, ask = draw.choice(NAMES), draw.choice(["exists", "is_file", "is_dir", "list"])
            here, there = both[0] / name, both[1] / name
            if ask == "list":
                assert names_in(there) == (names_in(here) if here.is_dir() else [])
            else:
                assert (name, ask, getattr(there, ask)()) == (name, ask, getattr(here, ask)())


def test_what_is_remembered_is_forgotten_at_the_end(bucket: Bucket) -> None:
    path = StorePath(bucket.url("new"))
    with asked_once(), asked_once():
        assert not path.exists()
        bucket.put({"new": b"1"})
        assert not path.exists()
    assert path.exists()


def test_data_set_is_recognised_by_few_requests(s3: S3, bucket: Bucket, mini: Path, tmp_path: Path) -> None:
    """A folder of images in the store took 49 requests when each question was asked whenever it came up."""
    prepare(mini, tmp_path / "tree")
    bucket.put_folder(tmp_path / "tree", "tree")
    with proxy_to(s3.endpoint) as proxy, pytest.MonkeyPatch.context() as patch:
        for name, value in environment(proxy.endpoint).items():
            patch.setenv(name, value)
        assert set(find_splits(bucket.url("tree"))) == {"train", "val"}
        questions = [(one.request.method, one.request.path, one.request.query) for one in proxy.answers]
    assert len(questions) == len(set(questions)) < 20
