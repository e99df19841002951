"""LMDB files, read by the package lmdb; damage of what it wrote; a machine without it."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import ilsvrc
from ilsvrc.errors import MachineError, MissingExtraError
from ilsvrc.sinks.formats.lmdb import Lmdb, _found
from ilsvrc.testing import MiniSpec, write_mini
from tests.oracles import needs
from tests.sinks.formats.reading import read_with
from tests.sinks.formats.test_contract import manifest
from tests.sinks.formats.test_webdataset import in_order

SPEC = MiniSpec(classes=40, per_class=5, val_per_class=2, mean_bytes=3_000, test_images=9)


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mini(tmp_path_factory.mktemp("official"), SPEC).folder


@pytest.fixture(scope="module")
def files(official: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs("lmdb")
    folder = tmp_path_factory.mktemp("lmdb") / "files"
    ilsvrc.prepare(official, folder, format="lmdb", shard_images=30, jobs=1, splits=("train", "val", "test"))
    return folder


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_lmdb_reads_every_image_in_order(split: str, official: Path, files: Path) -> None:
    found = read_with("lmdb_.py", files / f"{split}.lmdb")
    wanted = [[f"{at:08}", label, digest] for at, (_, label, digest) in enumerate(in_order(official, files, split))]
    assert found["images"] == wanted
    assert found["entries"] == len(wanted)


def test_images_lie_in_pages_of_their_own_and_in_pages_of_many(files: Path) -> None:
    """Both forms of values occur: those of less than half a page are in the leaves of the tree."""
    sizes = manifest(files, "train").column("size").to_numpy()
    assert sizes.min() < 2_000 < sizes.max()


def test_meta_json_says_what_is_there(files: Path) -> None:
    told = json.loads((files / "meta.json").read_text())
    assert {split: entry["images"] for split, entry in told["splits"].items()} == {"train": 200, "val": 80, "test": 9}
    assert {entry["size"] for entry in told["splits"].values()} == {p.stat().st_size for p in files.glob("*.lmdb")}
    assert told["classes"] == sorted(told["classes"])
    assert len(told["classes"]) == 1000


def assembled(folder: Path, images: list[bytes]) -> tuple[Path, pa.Table, np.ndarray]:
    """Write some images by hand; return the file, its manifest and the offsets."""
    import os

    from ilsvrc.sinks.formats.base import ShardFile

    piece, path = folder / "piece", folder / "file"
    piece.write_bytes(b"".join(images))
    sizes = np.array([len(image) for image in images], np.int64)
    columns = {"label": np.arange(len(images)) % 1000, "size": sizes, "offset": np.cumsum(sizes) - sizes}
    table = pa.table(columns | {"shard": np.zeros(len(images), np.int32)})
    file = ShardFile(os.open(path, os.O_RDWR | os.O_CREAT), path)
    offsets = Lmdb().assemble(file, [piece], table, "train")
    assert file.digest()[0] == path.stat().st_size
    file.close()
    return path, table, offsets


def test_images_of_every_size_are_found_where_they_lie(tmp_path: Path) -> None:
    """Of 0 bytes, around half a page, around whole pages, in a tree of three levels, in two transactions."""
    needs("lmdb")
    rng = np.random.default_rng(0)
    sizes = [0, 1, *range(1_990, 2_060), *range(4_050, 4_110), 8_164, 8_165, 20 << 20, 20 << 20]
    sizes += rng.integers(0, 300, 40_000).tolist()
    images = [rng.bytes(size) for size in sizes]
    path, _, offsets = assembled(tmp_path, images)
    data = path.read_bytes()
    assert [data[at : at + len(image)] for at, image in zip(offsets.tolist(), images, strict=True)] == images
    found = read_with("lmdb_.py", path)
    assert [row[2] for row in found["images"]] == [hashlib.sha256(image).hexdigest() for image in images]
    (tmp_path / "again").mkdir()
    assert assembled(tmp_path / "again", images)[0].read_bytes() == data


@pytest.mark.parametrize("change", ["label", "size", "fewer", "more"])
def test_records_that_are_not_those_of_the_manifest_are_refused(change: str, tmp_path: Path) -> None:
    needs("lmdb")
    path, table, _ = assembled(tmp_path, [bytes([at]) * 3_000 for at in range(20)])
    labels, sizes = table.column("label").to_numpy().copy(), table.column("size").to_numpy().copy()
    if change in ("label", "size"):
        (labels if change == "label" else sizes)[7] += 1
    keep = {"fewer": 19, "more": 21}.get(change, 20)
    with pytest.raises(MachineError, match="record"):
        _found(path, np.resize(labels, keep), np.resize(sizes, keep))


def test_without_the_package_the_command_that_installs_it_is_named(
    official: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(MissingExtraError) as refused:
        ilsvrc.prepare(official, tmp_path / "out", format="lmdb", splits=("val",), jobs=1)
    assert refused.value.hint == "pip install 'ilsvrc[lmdb]'"
