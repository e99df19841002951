"""MDS shards, read by mosaicml-streaming, and compared with those that its MDSWriter makes of the same files."""

from __future__ import annotations

import hashlib
import itertools
import json
import struct
from pathlib import Path

import pytest

import ilsvrc
from ilsvrc.sinks.formats.base import Shard, Written
from ilsvrc.sinks.formats.mds import MDS
from ilsvrc.testing import MiniSpec, write_mini
from ilsvrc.testing.faults import Fault
from tests.sinks.formats.reading import read_with
from tests.sinks.formats.writing import images_of, in_shards

SHARD_IMAGES = 30
SPLITS = ("train", "val", "test")

Images = list[tuple[str, int]]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty classes; a PNG file and a JPEG of four inks are among the images, and nine have no label."""
    strange = frozenset({Fault.PNG_AS_JPEG, Fault.CMYK})
    spec = MiniSpec(classes=40, per_class=3, mean_bytes=4_000, test_images=9, faults=strange)
    return write_mini(tmp_path_factory.mktemp("source"), spec).folder


@pytest.fixture(scope="module")
def shards(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mds") / "shards"
    ilsvrc.prepare(source, folder, format="mds", shard_images=SHARD_IMAGES, splits=SPLITS, jobs=1)
    return folder


@pytest.fixture(scope="module")
def images(source: Path, shards: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Images]:
    """File and label of each image in the order of the shards."""
    return {split: images_of(source, shards, split, tmp_path_factory.mktemp(split)) for split in SPLITS}


def digests(images: Images) -> list[list[object]]:
    return [[label, hashlib.sha256(Path(path).read_bytes()).hexdigest()] for path, label in images]


def test_the_source_has_files_that_are_no_plain_jpeg(images: dict[str, Images]) -> None:
    assert any(Path(path).read_bytes().startswith(b"\x89PNG") for path, _ in images["train"])
    assert {label for _, label in images["test"]} == {-1}


@pytest.mark.parametrize("split", SPLITS)
def test_streaming_reads_every_file_in_order(split: str, shards: Path, images: dict[str, Images]) -> None:
    assert read_with("mds_.py", shards, split) == digests(images[split])


@pytest.mark.parametrize("split", ["train", "val"])
def test_streaming_imagenet_gets_pictures_of_the_same_files(
    split: str, shards: Path, images: dict[str, Images]
) -> None:
    assert read_with("mds_.py", shards, split, "imagenet") == digests(images[split])


def test_streaming_validates_the_hash_of_each_shard(shards: Path, images: dict[str, Images], tmp_path: Path) -> None:
    assert read_with("mds_.py", shards, "train", tmp_path / "cache") == digests(images["train"])
    remote = tmp_path / "remote/train"
    remote.mkdir(parents=True)
    for path in (shards / "train").iterdir():
        (remote / path.name).write_bytes(path.read_bytes())
    changed = bytearray((remote / "shard.00001.mds").read_bytes())
    changed[-20] ^= 1
    (remote / "shard.00001.mds").write_bytes(changed)
    told = read_with("mds_.py", tmp_path / "remote", "train", tmp_path / "other")
    assert told.startswith("ValueError: Checksum failure")
    assert "shard.00001.mds" in told


@pytest.mark.parametrize("split", SPLITS)
def test_mdswriter_writes_the_same_bytes(split: str, shards: Path, images: dict[str, Images], tmp_path: Path) -> None:
    listed = in_shards(images[split], SHARD_IMAGES, tmp_path / "shards.json")
    names = read_with("mds_writer.py", listed, tmp_path / "theirs")
    assert names == sorted(path.name for path in (shards / split).iterdir())
    for name in names:
        assert (shards / split / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes(), name


def test_a_shard_without_an_image_is_not_in_the_index() -> None:
    full, empty = Shard("val/shard.00000.mds", 99, "aa", 3), Shard("val/shard.00001.mds", 9, "bb", 0)
    index = json.loads(MDS().closing({"val": Written((empty, full), 50)})["val/index.json"])
    assert [shard["raw_data"]["basename"] for shard in index["shards"]] == ["shard.00000.mds"]


def test_the_table_of_offsets_tiles_a_shard(shards: Path) -> None:
    data = (shards / "train/shard.00000.mds").read_bytes()
    count = struct.unpack_from("<I", data)[0]
    offsets = struct.unpack_from(f"<{count + 1}I", data, 4)
    assert count == SHARD_IMAGES
    assert offsets[-1] == len(data)
    for begin, end in itertools.pairwise(offsets):
        assert end - begin == 4 + struct.unpack_from("<I", data, begin)[0] + 8
