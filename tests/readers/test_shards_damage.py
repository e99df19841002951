"""Manifests of shards that a hand, a disk or an enemy changed: an error of ours, or the images as they are."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ilsvrc import ImageNet, check, prepare
from ilsvrc.dataset.filesystem import Browser
from ilsvrc.errors import IlsvrcError
from ilsvrc.testing import MiniSpec, write_mini
from ilsvrc.tree.manifest import SHARDED, metadata_of, read_manifest, write_manifest

FORMS = ("webdataset", "mds", "array_record", "ffcv")
DAMAGES = 75
"""Damages of each form."""

NUMBERS = (-1, -2, 0, 1, 4096, 1 << 15, (1 << 31) - 1, -(1 << 31), 10**12, (1 << 63) - 1, -(1 << 63))
TEXTS = (
    "",
    "/",
    "..",
    "../x",
    "/etc/passwd",
    "train",
    "train//a",
    "train/../../etc/passwd",
    "train/./x.JPEG",
    "val/n01440764_1.JPEG",
    "train/\x00.JPEG",
    "train/n01440764_18.JPEG\n",
    "train/\u202eGEPJ.x",
    "train/" + "a" * 5_000,
)
METADATA = (
    "",
    "x",
    "[]",
    "{}",
    "null",
    "5",
    '{"format": 5}',
    '{"classes": [-1, "x"]}',
    '{"ending": ["a"]}',
    "[" * 9_999,
)

Columns = dict[str, list[Any]]
Images = dict[str, bytes]


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = MiniSpec(classes=3, per_class=3, val_per_class=1, mean_bytes=2_500)
    return write_mini(tmp_path_factory.mktemp("archives"), spec).folder


def images(root: Path) -> Images:
    """Every image that can be listed, by its path."""
    browser = Browser(root)
    splits = browser.entries()
    folders = [entry.path for split in splits for entry in browser.entries(split.path)]
    return {image.path: browser.read(image.path) for folder in folders for image in browser.entries(folder)}


def trained(root: Path) -> list[object]:
    """Every image that a training program gets."""
    dataset = ImageNet(root, "train", loader=bytes)
    return [dataset[row] for row in range(len(dataset))]


def in_a_shard(chance: random.Random, metadata: dict[str, str]) -> None:
    """Change a value that the manifest has of a shard."""
    shards = json.loads(metadata["shards"])
    chance.choice(shards)[chance.choice(["path", "size", "digest", "images"])] = chance.choice(
        [*NUMBERS, *TEXTS, None, [], {}, 1.5, True]
    )
    metadata["shards"] = json.dumps(chance.choice([shards, shards, shards, [], {}, [None], shards * 1000]))


def in_a_column(chance: random.Random, columns: Columns) -> None:
    """Change a value of an image, or exchange two."""
    name, row = chance.choice(list(columns)), chance.randrange(len(columns["path"]))
    limits = {"label": 1 << 15, "shard": 1 << 31}
    fitting = [number for number in NUMBERS if -limits.get(name, 1 << 63) <= number < limits.get(name, 1 << 63)]
    changed = {
        "path": chance.choice(TEXTS),
        "xxh3_128": chance.randbytes(16),
        "source": chance.randbytes(16),
    }.get(name, chance.choice(fitting))
    other = chance.randrange(len(columns[name]))
    columns[name][row] = chance.choice([changed, changed, columns[name][other], None])


def rewritten(chance: random.Random, manifest: Path) -> None:
    """Write a manifest again with one or two other values."""
    table = read_manifest(manifest, SHARDED)
    columns, metadata = {name: table.column(name).to_pylist() for name in table.column_names}, metadata_of(table)
    for _ in range(chance.randint(1, 2)):
        kind = chance.randrange(5)
        if kind == 0:
            in_a_shard(chance, metadata)
            break
        if kind == 1:
            metadata[chance.choice(["format", "settings", "shards"])] = chance.choice(METADATA)
            break
        if kind == 2:
            row = chance.randrange(len(columns["path"]))
            for values in columns.values():
                values.append(values[row])
        else:
            in_a_column(chance, columns)
    manifest.unlink()  # the table is mapped from it
    arrays = [pa.array(columns[field.name], field.type) for field in SHARDED]
    write_manifest(pa.Table.from_arrays(arrays, schema=SHARDED), manifest, metadata)


def scratched(chance: random.Random, manifest: Path) -> None:
    """Cut a manifest, or write other bytes into it; into a name, bytes that are no UTF-8."""
    data, kind = bytearray(manifest.read_bytes()), chance.randrange(4)
    if kind == 0:
        del data[chance.randrange(len(data)) :]
    elif kind == 1:
        for _ in range(chance.randint(1, 20)):
            data[chance.randrange(len(data))] = chance.randrange(256)
    elif kind == 2:
        at = chance.randrange(len(data))
        data[at:at] = bytes(chance.randint(1, 64))
    else:
        data[data.index(b"n01440764") + chance.randrange(9)] = chance.choice([0xFF, 0xC0, 0x80, 0])
    manifest.unlink()
    manifest.write_bytes(data)


@pytest.mark.parametrize("form", FORMS)
def test_damaged_manifest_gives_an_error_of_ours_or_the_images(archives: Path, tmp_path: Path, form: str) -> None:
    whole, damaged = tmp_path / "whole", tmp_path / "damaged"
    prepare(archives, whole, format=form, shard_images=4, jobs=1)
    truth, refused = images(archives), 0
    for seed in range(DAMAGES):
        chance = random.Random(f"{form} {seed}")
        shutil.rmtree(damaged, ignore_errors=True)
        shutil.copytree(whole, damaged)
        chance.choice([rewritten, rewritten, scratched])(chance, damaged / ".ilsvrc/train.arrow")
        reads: list[Callable[[Path], object]] = [images, trained]
        for read in reads:
            try:
                found = read(damaged)
            except IlsvrcError:
                refused += 1
            else:
                assert read is trained or found.items() <= truth.items(), seed  # type: ignore[attr-defined]
        if seed % 5 == 0:
            json.dumps(check(damaged, jobs=1).to_dict())
    assert refused > DAMAGES
