"""LitData chunks, read by litdata, and compared with those that its BinaryWriter makes of the same files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import ilsvrc
from ilsvrc.sinks.formats.base import Shard, Written
from ilsvrc.sinks.formats.litdata import LitData
from tests.sinks.formats.reading import read_with
from tests.sinks.formats.test_mds import SHARD_IMAGES, SPLITS, Images, digests, source  # noqa: F401
from tests.sinks.formats.writing import images_of, in_shards


@pytest.fixture(scope="module")
def chunks(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    folder = tmp_path_factory.mktemp("litdata") / "chunks"
    ilsvrc.prepare(source, folder, format="litdata", shard_images=SHARD_IMAGES, splits=SPLITS, jobs=1)
    return folder


@pytest.fixture(scope="module")
def images(source: Path, chunks: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Images]:  # noqa: F811
    """File and label of each image in the order of the chunks."""
    return {split: images_of(source, chunks, split, tmp_path_factory.mktemp(split)) for split in SPLITS}


@pytest.mark.parametrize("split", SPLITS)
def test_litdata_reads_every_file_in_order_and_decodes_it_to_rgb(
    split: str, chunks: Path, images: dict[str, Images]
) -> None:
    """A PNG file and a JPEG of four inks are among the images of train."""
    told = read_with("litdata_.py", chunks, split)
    assert told["images"] == digests(images[split])
    assert told["kinds"] == [[3, "torch.uint8"]]
    assert told["loaded"] == [label for _, label in images[split]]


@pytest.mark.parametrize("split", SPLITS)
def test_binarywriter_writes_the_same_bytes(
    split: str, chunks: Path, images: dict[str, Images], tmp_path: Path
) -> None:
    """Save for the time, and that it cut its chunks by images, and we by bytes."""
    listed = in_shards(images[split], SHARD_IMAGES, tmp_path / "shards.json")
    names = read_with("litdata_writer.py", listed, tmp_path / "theirs")
    assert names == sorted(path.name for path in (chunks / split).iterdir())
    for name in names:
        if name != "index.json":
            assert (chunks / split / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes(), name
    ours, theirs = (json.loads((one / "index.json").read_text()) for one in (chunks / split, tmp_path / "theirs"))
    assert theirs["config"].pop("chunk_size") == min(SHARD_IMAGES, len(images[split]))
    assert theirs["config"].pop("chunk_bytes") is None
    assert (ours["config"].pop("chunk_size"), ours["config"].pop("chunk_bytes")) == (None, 1 << 26)
    assert (ours["config"], ours["chunks"]) == (theirs["config"], theirs["chunks"])
    assert set(ours) == set(theirs)


def test_the_index_says_by_a_digest_which_chunks_these_are() -> None:
    """The reader names its cache of a remote folder by it: others must not find these chunks there."""
    one, other = Shard("val/chunk-0-0.bin", 99, "aa", 3), Shard("val/chunk-0-0.bin", 99, "ab", 3)
    told = [LitData().closing({"val": Written((shard,), 50)})["val/index.json"] for shard in (one, other, one)]
    stamps = [json.loads(index)["updated_at"] for index in told]
    assert told[0] == told[2]
    assert stamps[0] != stamps[1]


def test_a_chunk_without_an_image_is_not_in_the_index() -> None:
    full, empty = Shard("val/chunk-0-0.bin", 99, "aa", 3), Shard("val/chunk-0-1.bin", 8, "bb", 0)
    index = json.loads(LitData().closing({"val": Written((empty, full), 50)})["val/index.json"])
    assert [chunk["filename"] for chunk in index["chunks"]] == ["chunk-0-0.bin"]
