"""Parquet files are found where people have them: a folder, its data folder, one file, the cache of the hub."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ilsvrc.archive.parquet.shards import find_shards
from ilsvrc.errors import ArchiveError, DamageError
from ilsvrc.readers.parquet import recognise
from ilsvrc.testing.contracts import Truth
from tests import oracles
from tests.readers.conftest import truth_of
from tests.readers.parquets import table, write

REVISION = "49e2ee26f3810fb5a7536bbf732a7b07389a47b5"


@pytest.fixture
def train(tree: Path) -> Truth:
    return truth_of(tree, "train")


@pytest.fixture
def folder(tree: Path, tmp_path: Path) -> Path:
    """A folder as `hf download --local-dir` makes it."""
    for split in ("train", "val"):
        write(truth_of(tree, split), tmp_path / "imagenet-1k" / "data", split, 3)
    (tmp_path / "imagenet-1k" / "README.md").write_text("# ImageNet")
    return tmp_path / "imagenet-1k"


@pytest.fixture
def cache(folder: Path, tmp_path: Path) -> Path:
    """The cache of the hub with the same files: blobs by their sha256, and links to them."""
    repository = tmp_path / "hub" / "datasets--ILSVRC--imagenet-1k"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(REVISION)
    (repository / "blobs").mkdir()
    data = repository / "snapshots" / REVISION / "data"
    data.mkdir(parents=True)
    for path in (folder / "data").iterdir():
        blob = repository / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
        path.rename(blob)
        (data / path.name).symlink_to(Path("..", "..", "..", "blobs", blob.name))
    return tmp_path / "hub"


def found(root: Path) -> dict[str, int]:
    """Return how many images each split has at a path."""
    return {split.split: len(split.open()) for split in recognise(root)}


def test_folder_its_data_and_one_file(folder: Path) -> None:
    assert found(folder) == found(folder / "data") == {"train": 24, "val": 12}
    one = folder / "data" / "train-00001-of-00003.parquet"
    assert found(one) == {"train": 8}
    [split] = recognise(one)
    assert (split.path, split.open().path) == (one, one)
    assert [split.path for split in recognise(folder)] == [folder / "data"] * 2


def test_converted_branch_of_the_hub(train: Truth, tmp_path: Path) -> None:
    (tmp_path / "default" / "train").mkdir(parents=True)
    keys = sorted(train)
    for number in range(2):
        pq.write_table(table(train, keys[number::2]), tmp_path / "default" / "train" / f"{number:04}.parquet")
    assert found(tmp_path) == {"train": 24}


def test_cache_of_the_hub(cache: Path) -> None:
    repository = cache / "datasets--ILSVRC--imagenet-1k"
    expected = {"train": 24, "val": 12}
    snapshot = repository / "snapshots" / REVISION
    roots = (cache.parent, cache, repository, snapshot, snapshot / "data")
    assert [found(root) for root in roots] == [expected] * 5
    reader = recognise(cache)[0].open()
    for container in reader.containers():
        [digest] = container.expected
        assert digest.digest.hex == hashlib.sha256(container.path.read_bytes()).hexdigest()


def test_cache_stays_the_hubs(cache: Path) -> None:
    """An index is kept beside the snapshots, and huggingface_hub finds nothing wrong with the cache."""
    hub = oracles.package("huggingface_hub")
    before = sorted(cache.rglob("snapshots/**"))
    assert found(cache) == {"train": 24, "val": 12}
    assert sorted(cache.rglob("snapshots/**")) == before
    assert len(list((cache / "datasets--ILSVRC--imagenet-1k" / ".ilsvrc").glob("*.arrow"))) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = hub.scan_cache_dir(cache)
    assert [repository.repo_id for repository in report.repos] == ["ILSVRC/imagenet-1k"]
    assert report.warnings == []


def test_main_revision_is_chosen(cache: Path, train: Truth) -> None:
    newer = cache / "datasets--ILSVRC--imagenet-1k" / "snapshots" / ("f" * 40) / "data"
    write({key: train[key] for key in list(train)[:3]}, newer, "train")
    assert found(cache) == {"train": 24, "val": 12}
    (cache / "datasets--ILSVRC--imagenet-1k" / "refs" / "main").write_text("f" * 40)
    assert found(cache) == {"train": 3}


def test_missing_files_are_named(folder: Path) -> None:
    (folder / "data" / "train-00001-of-00003.parquet").unlink()
    unfinished = folder / ".cache" / "huggingface" / "download" / "data" / "abc.incomplete"
    unfinished.parent.mkdir(parents=True)
    unfinished.write_bytes(b"PAR1")
    train = next(split for split in recognise(folder) if split.split == "train")
    assert train.form == "Parquet, 2 of 3 files"
    with pytest.raises(DamageError, match="2 of 3 files of train are there; missing: train-00001-of-00003") as caught:
        train.open()
    assert "1 download is unfinished" in caught.value.message
    assert "ilsvrc fetch --hf" in caught.value.hint
    assert len(caught.value.issues) == 1


def test_link_to_a_blob_that_is_not_there_is_a_missing_file(cache: Path) -> None:
    link = next(cache.rglob("train-00000-of-00003.parquet"))
    blob = link.resolve()
    blob.rename(blob.with_name(f"{blob.name}.incomplete"))
    train = next(split for split in recognise(cache) if split.split == "train")
    with pytest.raises(DamageError, match=r"missing: train-00000-of-00003.parquet; 1 download is unfinished"):
        train.open()


def test_damaged_first_file_does_not_hide_the_split(folder: Path) -> None:
    first = folder / "data" / "train-00000-of-00003.parquet"
    first.write_bytes(first.read_bytes()[:-1])
    train = next(split for split in recognise(folder) if split.split == "train")
    with pytest.raises(ArchiveError, match="cut short"):
        train.open()


def test_names_tell_where_all_files_are_damaged(folder: Path) -> None:
    for path in (folder / "data").glob("validation-*"):
        path.write_bytes(path.read_bytes()[:-1])
    [val] = [split for split in recognise(folder) if split.split == "val"]
    with pytest.raises(ArchiveError, match="cut short"):
        val.open()


def test_split_is_told_by_the_images(train: Truth, tmp_path: Path) -> None:
    path, *_ = write(train, tmp_path, "val")
    assert path.name.startswith("validation")
    assert [shards.split for shards in find_shards(tmp_path)] == ["train"]


def test_two_versions_are_two_splits(folder: Path, train: Truth) -> None:
    write(train, folder / "data", "train", 2)
    assert [(shards.split, shards.total) for shards in find_shards(folder)] == [
        ("train", 2),
        ("train", 3),
        ("val", 3),
    ]
