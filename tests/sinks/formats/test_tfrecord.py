"""TFRecord shards, read by TensorFlow and tensorflow-datasets, compared with the data set that the latter writes."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

import ilsvrc
from ilsvrc.errors import MissingExtraError, UsageError
from ilsvrc.readers.locate import open_reader
from ilsvrc.testing import MiniSpec, write_mini
from tests.sinks.formats.reading import read_with
from tests.sinks.formats.test_contract import names_in_order

FOLDER = "imagenet2012/5.1.0"
NAMES = {"train": "train", "val": "validation", "test": "test"}
SPEC = MiniSpec(per_class=1, val_per_class=1, mean_bytes=2_500, test_images=7)
SPLITS = ("train", "val", "test")


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mini(tmp_path_factory.mktemp("archives"), SPEC).folder


@pytest.fixture(scope="module")
def shards(archives: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tfrecord") / "shards"
    ilsvrc.prepare(archives, folder, format="tfrecord", shard_images=300, splits=SPLITS, jobs=1)
    return folder


def in_order(source: Path, shards: Path, split: str) -> list[list[Any]]:
    """Name, label and sha256 of every image, from the archives, in the order of the shards."""
    reader = open_reader(source, split)
    row = {name: at for at, name in enumerate(reader.names.to_pylist())}
    return [
        [name, int(reader.labels[row[name]]), hashlib.sha256(reader.read(row[name])).hexdigest()]
        for name in names_in_order(shards, split)
    ]


@pytest.fixture(scope="module")
def read(shards: Path) -> Any:
    return read_with("tfds_.py", shards, *NAMES.values())


@pytest.mark.parametrize("split", SPLITS)
def test_tensorflow_datasets_reads_every_image_in_order(split: str, archives: Path, shards: Path, read: Any) -> None:
    """By its builder, by its name, decoded; and TensorFlow reads the records, whose checksums it compares."""
    found = read[NAMES[split]]
    wanted = in_order(archives, shards, split)
    assert found["raw"] == wanted
    assert found["tfds"] == wanted
    assert found["loaded"] == sorted(wanted)
    assert [label for _, _, label in found["decoded"]] == [label for _, label, _ in wanted]
    assert {(shape[2], dtype) for shape, dtype, _ in found["decoded"]} == {(3, "uint8")}
    assert found["shard_lengths"] == ([7] if split == "test" else [300, 300, 300, 100])
    assert {label for _, label, _ in found["raw"]} == ({-1} if split == "test" else set(range(1000)))


def test_it_is_the_data_set_that_tensorflow_datasets_writes(tmp_path: Path) -> None:
    """From the same archives: the same examples, the same files beside them, the same counts and sizes."""
    archives = write_mini(tmp_path / "archives", MiniSpec(classes=20, mean_bytes=90_000, seed=3)).folder
    own = read_with("tfds_own.py", archives, tmp_path / "own", "tfrecord")
    ilsvrc.prepare(archives, tmp_path / "ours", format="tfrecord", shard_images=1_000, jobs=1)
    folder = tmp_path / "ours" / FOLDER
    assert sorted(in_order(archives, tmp_path / "ours", "train")) == own["train"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        path.name for path in (tmp_path / "own" / FOLDER).iterdir()
    )
    for name in ("features.json", "label.labels.txt"):
        assert (folder / name).read_text() == own["files"][name]
    theirs, ours = (json.loads(text) for text in (own["files"]["dataset_info.json"], info(folder)))
    for key in ("name", "version", "fileFormat", "supervisedKeys", "location"):
        assert ours[key] == theirs[key]
    assert (
        ours["splits"][0] == theirs["splits"][0]
    )  # val of a miniature has labels of its own, and theirs are built in
    assert set(ours) - {"description"} <= set(theirs)


def info(folder: Path) -> str:
    return (folder / "dataset_info.json").read_text()


def test_a_changed_byte_is_refused_by_tensorflow(shards: Path, tmp_path: Path) -> None:
    """The checksums are those that it compares: so the other tests' silence means that they are right."""
    folder = tmp_path / FOLDER
    folder.mkdir(parents=True)
    for path in (shards / FOLDER).iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    record = folder / "imagenet2012-test.tfrecord-00000-of-00001"
    data = bytearray(record.read_bytes())
    data[len(data) // 2] ^= 1
    record.write_bytes(data)
    with pytest.raises(AssertionError, match=r"DataLossError|corrupted record"):
        read_with("tfds_.py", tmp_path, "test")


def test_splits_prepared_one_after_the_other_give_what_all_at_once_give(
    archives: Path, shards: Path, tmp_path: Path
) -> None:
    """In any order; after each, the description names the splits that are there, and `check` is content."""
    told = []
    for split in ("val", "train", "test"):
        ilsvrc.prepare(archives, tmp_path / "out", format="tfrecord", shard_images=300, splits=(split,), jobs=1)
        told.append([one["name"] for one in json.loads(info(tmp_path / "out" / FOLDER))["splits"]])
        assert ilsvrc.check(tmp_path / "out").ok
    assert told == [["validation"], ["train", "validation"], ["train", "validation", "test"]]
    assert {path.name: path.read_bytes() for path in (tmp_path / "out" / FOLDER).iterdir()} == {
        path.name: path.read_bytes() for path in (shards / FOLDER).iterdir()
    }


def test_splits_of_another_format_are_not_in_the_description(mini: Path, tmp_path: Path) -> None:
    ilsvrc.prepare(mini, tmp_path / "out", format="webdataset", splits=("train",), jobs=1)
    ilsvrc.prepare(mini, tmp_path / "out", format="tfrecord", splits=("val",), jobs=1)
    described = json.loads(info(tmp_path / "out" / FOLDER))
    assert [one["name"] for one in described["splits"]] == ["validation"]
    assert ilsvrc.check(tmp_path / "out").ok


def test_a_description_that_somebody_else_wrote_stays(mini: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "out" / FOLDER / "features.json"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("{}")
    with pytest.raises(UsageError, match=r"features\.json"):
        ilsvrc.prepare(mini, tmp_path / "out", format="tfrecord", jobs=1)
    assert foreign.read_text() == "{}"
    assert [path.name for path in foreign.parent.iterdir()] == ["features.json"]


def test_without_the_extra_nothing_is_written(mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "google_crc32c", raising=False)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if not (Path(path) / "google_crc32c").is_dir()])
    with pytest.raises(MissingExtraError, match="google-crc32c") as caught:
        ilsvrc.prepare(mini, tmp_path / "out", format="tfrecord", jobs=1)
    assert "ilsvrc[tfrecord]" in caught.value.hint
    assert not (tmp_path / "out").exists()
