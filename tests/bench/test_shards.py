"""Benchmarks of shards: the formats' own writers write every image, their readers read every image, of ours too."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import bench.inplace
import bench.readers
import bench.shards
import pytest
from bench.data import training
from bench.harness import run_once
from PIL import Image

import ilsvrc
from ilsvrc.errors import UsageError
from ilsvrc.facts import TRAIN
from ilsvrc.sinks.formats.registry import FORMATS, format_of
from ilsvrc.testing import MiniSpec, write_mini
from tests.sinks.formats.reading import MISSING, READERS, ffcv_python

CLASSES, PER_CLASS = 3, 40
IMAGES = CLASSES * PER_CLASS
SHARDS = 4

WRITERS = ("webdataset", "parquet", "tfrecord", "array_record", "mds", "litdata", "lmdb")
"""Formats whose libraries are in the readers' environment."""

needs_sync = pytest.mark.skipif(sys.platform != "linux", reason="sync of one file system is GNU's")


@pytest.fixture(autouse=True)
def readers(monkeypatch: pytest.MonkeyPatch) -> None:
    if not READERS.exists():
        pytest.skip(MISSING)
    monkeypatch.setenv("ILSVRC_READERS", str(READERS))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mini")
    write_mini(folder, MiniSpec(CLASSES, PER_CLASS, mean_bytes=8000))
    return folder / TRAIN


@pytest.fixture(scope="module")
def tree(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("ours") / "tree"
    ilsvrc.prepare(archive, target, splits=("train",), jobs=1)
    return target


@pytest.fixture(scope="module")
def pixels(tree: Path) -> int:
    """Return the pixels of all images together, by Pillow."""
    found = 0
    for path in (tree / "train").rglob("*.JPEG"):
        with Image.open(path) as image:
            found += image.width * image.height
    return found


def bytes_of(tree: Path) -> int:
    return sum(path.stat().st_size for path in (tree / "train").rglob("*.JPEG"))


def total(name: str, folder: Path, what: str, workers: int) -> int:
    """Return bytes or pixels of all images, as the reader of a format has them."""
    command = training(f"read_{name}", folder, str(IMAGES), what, str(workers))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout.partition("total: ")[2].split()[0])


@needs_sync
@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
def test_what_a_writer_wrote_its_reader_reads_whole(name: str, tree: Path, tmp_path: Path) -> None:
    done = run_once(training(f"write_{name}", tree / "train", tmp_path / "out", str(SHARDS), "2"))
    assert done.stated < done.wall
    assert total(name, tmp_path / "out", "raw", 0) == bytes_of(tree)


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
def test_readers_have_every_image_of_our_shards(name: str, archive: Path, pixels: int, tmp_path: Path) -> None:
    ilsvrc.prepare(archive, tmp_path / "out", splits=("train",), format=name, shard_images=IMAGES // SHARDS, jobs=1)
    assert total(name, tmp_path / "out", "decode", 2) == pixels


@needs_sync
@pytest.mark.slow
def test_ffcv_writes_and_reads_every_image(
    archive: Path, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ILSVRC_FFCV", str(ffcv_python()))
    run_once(training("write_ffcv", tree / "train", tmp_path / "theirs", str(SHARDS), "2"))
    ilsvrc.prepare(archive, tmp_path / "ours", splits=("train",), format="ffcv", jobs=1)
    for folder in (tmp_path / "theirs", tmp_path / "ours"):
        assert total("ffcv", folder, "decode", 2) == IMAGES * 224 * 224


def test_a_reader_that_misses_an_image_fails(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree / "train", tmp_path / "train")
    next((tmp_path / "train").rglob("*.JPEG")).unlink()
    command = training("read_folders", tmp_path, str(IMAGES), "raw", "0")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"{IMAGES - 1} images were read, and {IMAGES} are there" in done.stderr


@needs_sync
def test_shards_are_compared_and_removed(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (bench.inplace, bench.shards):
        monkeypatch.setattr(module, "DATA", tmp_path)
        monkeypatch.setattr(module, "miniature", lambda size: archive)
    monkeypatch.setattr(bench.shards, "OUT", tmp_path / "shards")
    rows = bench.shards.rows(0, 1, ["webdataset"])
    assert [row.against for row in rows] == ["cp of the archive, sync", "its own writer, fed by folders"]
    assert all(row.measured.median > 0 for row in rows)
    assert not (tmp_path / "shards").exists()


def test_readers_are_in_one_table(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (bench.inplace, bench.readers):
        monkeypatch.setattr(module, "DATA", tmp_path)
    monkeypatch.setattr(bench.readers, "miniature", lambda size: archive)
    images = bench.readers.Images.about(IMAGES)
    head, *lines = bench.readers.lines(images, 1, ["folders", "webdataset"])
    assert images.number == IMAGES
    assert [line[:2] for line in lines] == [("folders", "torchvision's ImageFolder"), ("`webdataset`", "webdataset")]
    assert all(len(line) == len(head) and "-" not in line[2:] for line in lines)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{archive.parent.name}-tree"]


def test_every_format_that_takes_images_as_they_are_is_measured(archive: Path, tmp_path: Path) -> None:
    left_out = set(FORMATS) - set(bench.shards.AS_THEY_ARE)
    for name in left_out:
        with pytest.raises(UsageError):
            ilsvrc.prepare(archive, tmp_path / name, splits=("train",), format=name, jobs=1)
    assert all(format_of(name).shard_size > 0 for name in bench.shards.AS_THEY_ARE)


def test_no_room_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.shards, "DATA", tmp_path)
    with pytest.raises(SystemExit, match="measure some formats at a time with --formats"):
        bench.shards.require_room(1 << 60)
    assert not list(tmp_path.iterdir())


def test_missing_libraries_are_named_with_what_installs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ILSVRC_READERS", os.devnull + "/python")
    with pytest.raises(SystemExit, match="read_mds needs training libraries that are not installed: make readers"):
        training("read_mds")
