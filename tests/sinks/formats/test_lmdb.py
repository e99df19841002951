"""LMDB files, read, searched and changed by the package lmdb."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import ilsvrc
from ilsvrc.sinks.formats.lmdb import Lmdb
from ilsvrc.testing import MiniSpec, write_mini
from tests.oracles import needs
from tests.sinks.formats.laying import laid_out
from tests.sinks.formats.reading import read_with
from tests.sinks.formats.test_webdataset import in_order

SPEC = MiniSpec(classes=40, per_class=5, val_per_class=2, mean_bytes=3_000, test_images=9)


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mini(tmp_path_factory.mktemp("official"), SPEC).folder


@pytest.fixture(scope="module")
def files(official: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lmdb") / "files"
    ilsvrc.prepare(official, folder, format="lmdb", shard_images=30, jobs=1, splits=("train", "val", "test"))
    return folder


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_lmdb_reads_every_image_in_order(split: str, official: Path, files: Path) -> None:
    found = read_with("lmdb_.py", files / f"{split}.lmdb")
    wanted = [[f"{at:08}", label, digest] for at, (_, label, digest) in enumerate(in_order(official, files, split))]
    assert found["images"] == wanted
    assert found["entries"] == len(wanted)


def test_meta_json_says_what_is_there(files: Path) -> None:
    told = json.loads((files / "meta.json").read_text())
    assert {split: entry["images"] for split, entry in told["splits"].items()} == {"train": 200, "val": 80, "test": 9}
    assert {entry["size"] for entry in told["splits"].values()} == {p.stat().st_size for p in files.glob("*.lmdb")}
    assert told["classes"] == sorted(told["classes"])
    assert len(told["classes"]) == 1000


def numbered(images: list[bytes]) -> list[tuple[str, int, bytes]]:
    return [(f"n01440764_{at}.JPEG", at % 1000, data) for at, data in enumerate(images)]


def test_images_of_every_size_are_found_where_they_lie(tmp_path: Path) -> None:
    """Of 0 bytes, around half a page, around whole pages, in a tree of three levels."""
    rng = np.random.default_rng(0)
    sizes = [0, 1, *range(1_990, 2_060), *range(4_050, 4_110), 8_164, 8_165, 20 << 20, 20 << 20]
    sizes += rng.integers(0, 300, 40_000).tolist()
    images = [rng.bytes(size) for size in sizes]
    path = tmp_path / "file"
    offsets = laid_out(Lmdb(), path, numbered(images))
    data = path.read_bytes()
    assert [data[at : at + len(image)] for at, image in zip(offsets, images, strict=True)] == images
    found = read_with("lmdb_.py", path)
    assert [row[2] for row in found["images"]] == [hashlib.sha256(image).hexdigest() for image in images]


@pytest.mark.parametrize("count", [0, 1, 2, 155, 156, 157, 156 * 226, 156 * 226 + 1])
def test_the_package_reads_searches_and_changes_trees_of_every_shape(count: int, tmp_path: Path) -> None:
    """Around a full leaf and a full branch; after deletions and insertions the package finds what it should."""
    needs("lmdb")
    import lmdb

    path = tmp_path / "file"
    laid_out(Lmdb(), path, numbered([b"%d" % at for at in range(count)]))
    with lmdb.open(str(path), subdir=False, lock=False, map_size=1 << 30) as database:
        with database.begin() as transaction:
            assert transaction.stat()["entries"] == count
            assert [value[12:] for _, value in transaction.cursor()] == [b"%d" % at for at in range(count)]
            values = [transaction.get(b"%08d" % at, b"") for at in range(count)]
            assert [value[12:] for value in values] == [b"%d" % at for at in range(count)]
            assert transaction.get(b"%08d" % count) is None
        with database.begin(write=True) as transaction:
            for at in range(0, count, 3):
                assert transaction.delete(b"%08d" % at)
            for at in range(1, count, 3):
                transaction.put(b"%08d" % at, b"x" * (at % 5_000))
        with database.begin() as transaction:
            found = {key: bytes(value) for key, value in transaction.cursor()}
    assert len(found) == count - len(range(0, count, 3))
    assert all(found[b"%08d" % at] == b"x" * (at % 5_000) for at in range(1, count, 3))
    assert all(found[b"%08d" % at][12:] == b"%d" % at for at in range(2, count, 3))
