"""ArrayRecord shards, read by tensorflow-datasets' data source, by grain and by the library of the format."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ilsvrc
from ilsvrc.errors import MachineError, MissingExtraError
from ilsvrc.readers.locate import open_reader
from ilsvrc.sinks.formats import array_record
from ilsvrc.testing import MiniSpec, write_mini
from tests.sinks.formats.reading import read_with
from tests.sinks.formats.test_tfrecord import FOLDER, NAMES, SPLITS, in_order, info

SPEC = MiniSpec(classes=20, mean_bytes=90_000, test_images=7, seed=3)
"""Images of about the size of real ones: most of them lie across headers of blocks."""

EACH = {"train": [25, 25, 10], "val": [20], "test": [7]}


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mini(tmp_path_factory.mktemp("archives"), SPEC).folder


@pytest.fixture(scope="module")
def shards(archives: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("array_record") / "shards"
    ilsvrc.prepare(archives, folder, format="array_record", shard_images=25, splits=SPLITS, jobs=1)
    return folder


@pytest.fixture(scope="module")
def read(shards: Path) -> Any:
    return read_with("array_record_.py", shards, *NAMES.values())


@pytest.mark.parametrize("split", SPLITS)
def test_data_source_grain_and_library_read_every_image_in_order(
    split: str, archives: Path, shards: Path, read: Any
) -> None:
    found, wanted = read[NAMES[split]], in_order(archives, shards, split)
    for way in ("source", "named", "grain", "library"):
        assert found[way] == wanted, way
    assert found["shard_lengths"] == EACH[split]
    assert {(shape[2], dtype) for shape, dtype in found["decoded"]} == {(3, "uint8")}
    files = (shards / FOLDER).glob(f"imagenet2012-{NAMES[split]}.array_record-*")
    assert found["num_bytes"] == sum(path.stat().st_size for path in files)


def test_images_longer_than_a_block_are_read_in_place(archives: Path, shards: Path) -> None:
    """Every image comes out as it is in the archives, though headers lie among the bytes of most."""
    reader, official = open_reader(shards, "train"), open_reader(archives, "train")
    rows = reader.storage_order()
    assert int((reader.sizes > 65_536).sum()) > len(rows) // 4
    assert dict(reader.take(rows)) == dict(official.take(rows))
    assert ilsvrc.check(shards, deep=True).ok


def test_it_is_the_data_set_that_tensorflow_datasets_writes(archives: Path, tmp_path: Path) -> None:
    """From the same archives: the same examples, and the same description but for the sizes, which are the files'."""
    for name in ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"):
        (tmp_path / "two").mkdir(exist_ok=True)
        shutil.copy(archives / name, tmp_path / "two" / name)
    own = read_with("tfds_own.py", tmp_path / "two", tmp_path / "own", "array_record")
    ilsvrc.prepare(archives, tmp_path / "ours", format="array_record", splits=("train", "val"), jobs=1)
    folder = tmp_path / "ours" / FOLDER
    assert sorted(in_order(archives, tmp_path / "ours", "train")) == own["train"]
    assert {path.name for path in folder.iterdir()} == {path.name for path in (tmp_path / "own" / FOLDER).iterdir()}
    for name in ("features.json", "label.labels.txt"):
        assert (folder / name).read_text() == own["files"][name]
    theirs, ours = (json.loads(text) for text in (own["files"]["dataset_info.json"], info(folder)))
    for split in (*theirs["splits"], *ours["splits"]):
        del split["numBytes"]
    for key in ("name", "version", "fileFormat", "supervisedKeys", "location", "splits"):
        assert ours[key] == theirs[key]


def test_what_the_library_changed_is_found(mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that compresses: nothing is published, and the error names an image."""
    monkeypatch.setattr(array_record, "_OPTIONS", "group_size:1,brotli")
    with pytest.raises(MachineError, match=r"array_record wrote \S+\.JPEG otherwise than it was given") as caught:
        ilsvrc.prepare(mini, tmp_path / "out", format="array_record", jobs=1)
    assert "--format tfrecord" in caught.value.hint
    assert not (tmp_path / "out" / "imagenet2012").exists()


def test_a_refusal_of_the_system_is_told_as_one(archives: Path, tmp_path: Path) -> None:
    """No file may be larger than 500 kB: status 3, the reason, no traceback; the same command then resumes."""
    command = [sys.executable, "-m", "ilsvrc", "prepare", archives, tmp_path / "out", "--format", "array_record"]
    limited = ["bash", "-c", 'ulimit -f 500; exec "$@"', "limited", *map(str, command)]
    done = subprocess.run(limited, capture_output=True, text=True, env=dict(os.environ), check=False)
    assert done.returncode == 3, done.stderr
    assert os.strerror(27) in done.stderr
    assert "Traceback" not in done.stderr
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_the_extra_nothing_is_written(mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] == "array_record"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if not (Path(path) / "array_record").is_dir()])
    with pytest.raises(MissingExtraError, match="array_record") as caught:
        ilsvrc.prepare(mini, tmp_path / "out", format="array_record", jobs=1)
    assert "ilsvrc[array_record]" in caught.value.hint
    assert not (tmp_path / "out").exists()
