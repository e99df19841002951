"""The forms of Hugging Face's ILSVRC/imagenet-1k: Parquet shards, and the archives that it had before.

Names are those that its users take apart again: an image's wnid is added to its official name, images of test keep
theirs, and the splits have 294, 14 and 28 shards (huggingface.co/datasets/ILSVRC/imagenet-1k, imagenet-1k.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from itertools import islice, pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ilsvrc.sinks.formats.parquet import GROUP_ROWS, features
from ilsvrc.testing.archives import ArchiveWriter
from ilsvrc.testing.chance import chance, out_of_order
from ilsvrc.testing.contents import Contents, Picture
from ilsvrc.testing.tarball import Entry

FOLDER = "data"

_TARS = {
    "train": tuple(f"train_images_{k}.tar.gz" for k in range(5)),
    "val": ("val_images.tar.gz",),
    "test": ("test_images.tar.gz",),
}
_SPLITS = {"train": "train", "val": "validation", "test": "test"}
_MOST_SHARDS = {"train": 294, "val": 14, "test": 28}
_SHARD_ROWS = 500
"""Images of a shard; about 4,400 in the real set, whose shards are of half a gigabyte."""


def write_hf_tar(contents: Contents, writer: ArchiveWriter, folder: Path) -> None:
    """Write the gzipped archives: flat, not in order, the train images in five of them."""
    for split in contents.splits:
        names = _TARS[split]
        for name, pictures in zip(names, _parts(contents, split, len(names)), strict=True):
            entries = (picture.at(_hf_name(picture)) for picture in pictures)
            writer.flat(folder / FOLDER / name, entries, gzipped=True)


def write_hf_parquet(contents: Contents, writer: ArchiveWriter, folder: Path) -> None:
    """Write the Parquet shards, in the order of the archives."""
    (folder / FOLDER).mkdir()
    for split in contents.splits:
        rows = sum(1 for _ in contents.pictures(split))
        count = max(1, min(rows, _MOST_SHARDS[split], max(2, -(-rows // _SHARD_ROWS))))
        for shard, pictures in enumerate(_parts(contents, split, count)):
            name = f"{_SPLITS[split]}-{shard:05}-of-{count:05}.parquet"
            _write_shard(folder / FOLDER / name, pictures, writer)


def _write_shard(path: Path, pictures: list[Picture], writer: ArchiveWriter) -> None:
    labels = {picture.name: picture.label for picture in pictures}
    rows = writer.rows(path, (picture.at(_hf_name(picture)) for picture in pictures))
    with pq.ParquetWriter(path, _schema()) as file:
        for group in _groups(rows):
            images = [{"bytes": data, "path": entry.name} for entry, data in group]
            columns = {"image": images, "label": [labels[entry.image] for entry, _ in group]}
            file.write_table(pa.Table.from_pydict(columns, _schema()), row_group_size=GROUP_ROWS)


def _groups(rows: Iterator[tuple[Entry, bytes]]) -> Iterator[list[tuple[Entry, bytes]]]:
    while group := list(islice(rows, GROUP_ROWS)):
        yield group


@cache
def _schema() -> pa.Schema:
    """Return the columns, with the metadata by which `datasets` knows an image and a class label."""
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    return pa.schema({"image": image, "label": pa.int64()}, {"huggingface": json.dumps(features())})


def _parts(contents: Contents, split: str, count: int) -> Iterator[list[Picture]]:
    """Yield the images of a split, not in order, in so many parts that differ by one image at most."""
    pictures = {picture.name: picture for picture in contents.pictures(split)}
    names = out_of_order(pictures, chance(contents.spec.seed, f"hugging face {split}"))
    edges = [len(names) * part // count for part in range(count + 1)]
    for start, stop in pairwise(edges):
        yield [pictures[name] for name in names[start:stop]]


def _hf_name(picture: Picture) -> str:
    return picture.name if picture.label < 0 else f"{picture.stem}_{picture.wnid}.JPEG"
