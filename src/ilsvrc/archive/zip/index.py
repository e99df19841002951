"""The images of a zip as columns, kept beside it and proved before they are believed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from ilsvrc.archive.catalog import SPLITS
from ilsvrc.archive.columns import are_in_order, are_named, lie_apart, text_of
from ilsvrc.archive.index import load, numbers, one_chunk, save
from ilsvrc.archive.sidecar import kept
from ilsvrc.archive.source import ByteSource
from ilsvrc.archive.zip.entry import DEFLATED, LONGEST_HEADER, STORED, Entry

FORMAT = "zip 1"
"""Version of the file format; a file of another version is built anew."""

SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("label", pa.int16()),
        ("offset", pa.int64()),
        ("room", pa.int32()),
        ("packed", pa.int32()),
        ("size", pa.int32()),
        ("crc", pa.uint32()),
        ("method", pa.uint8()),
    ]
)
"""Columns as `ilsvrc.archive.zip.Entry` has them, besides name and label."""

_PLACED = ("offset", "room", "packed", "size", "crc", "method")

LARGEST = 1 << 26
"""Bytes of the largest image that is read: more is taken for an attack on memory."""

Labels = npt.NDArray[np.int16]


@dataclass(frozen=True)
class ZipIndex:
    """Images of one split in a zip, in catalog order.

    split : train, val or test
    table : Arrow table of SCHEMA, N rows
    """

    split: str
    table: pa.Table

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def part(self, rows: npt.NDArray[np.integer[Any]]) -> ZipIndex:
        """Return these rows alone, in this order."""
        return ZipIndex(self.split, self.table.take(pa.array(rows)).combine_chunks())

    def entry(self, row: int) -> Entry:
        """Return where the bytes of the image in a row are."""
        return Entry(*(column.item(row) for column in self._placed))

    def name(self, row: int) -> str:
        """Return the file name of the image in a row."""
        return str(self.names[row].as_py())

    @cached_property
    def names(self) -> pa.StringArray:
        """Official file names, N strings."""
        return one_chunk(self.table.column("name"))

    @cached_property
    def labels(self) -> Labels:
        """Labels, shape (N,), int16: indices of sorted wnids, -1 in the test split."""
        labels: Labels = self.numbers("label")
        return labels

    @cached_property
    def identity(self) -> str:
        """xxh3_128 over split and all columns, in hex: the same in every copy of the zip, under any name."""
        digest = xxhash.xxh3_128(f"zip {self.split} {len(self)}".encode())
        for column in (*text_of(self.names), self.labels, *self._placed):
            digest.update(np.ascontiguousarray(column).data)
        return digest.hexdigest()

    def numbers(self, name: str) -> npt.NDArray[Any]:
        """Return a column of numbers, shape (N,)."""
        return numbers(one_chunk(self.table.column(name)))

    @cached_property
    def _placed(self) -> tuple[npt.NDArray[Any], ...]:
        return tuple(self.numbers(name) for name in _PLACED)


@dataclass(frozen=True, slots=True)
class Splits:
    """The images of a zip by split.

    table : Arrow table of SCHEMA in one chunk: the images of each split in catalog order, one split after the other
    counts : how many images each of SPLITS has
    """

    table: pa.Table
    counts: tuple[int, ...]

    def __getitem__(self, split: str) -> ZipIndex:
        number = SPLITS.index(split)
        start, count = sum(self.counts[:number]), self.counts[number]
        return ZipIndex(split, self.table.slice(start, count))

    def __iter__(self) -> Iterator[str]:
        """Yield the splits that have images."""
        return (split for split, count in zip(SPLITS, self.counts, strict=True) if count)


def open_splits(source: ByteSource, build: Callable[[], Splits]) -> Splits:
    """Return the images of a zip, which are found by `build` and kept where no index that fits is there yet."""

    def write(splits: Splits, path: Path) -> None:
        save(splits.table, path, _metadata(source, splits))

    return kept(source.path, read=lambda data: _read(data, source), build=build, write=write)


def _metadata(source: ByteSource, splits: Splits) -> dict[bytes, bytes]:
    """Return what an index file says of its zip and of itself."""
    said: dict[str, object] = {"format": FORMAT, **asdict(source.state)}
    for split, count in zip(SPLITS, splits.counts, strict=True):
        said |= {split: count, f"{split} columns": splits[split].identity}
    return {key.encode(): str(value).encode() for key, value in said.items()}


def _read(data: pa.Buffer, source: ByteSource) -> Splits | None:
    """Return the splits in a file's bytes, or None if they are damaged, stale, or not what `write` would write."""
    try:
        table, metadata = load(data, SCHEMA)
        counts = tuple(int(metadata[split.encode()]) for split in SPLITS)
        if min(counts) < 0 or sum(counts) != table.num_rows:
            return None
        splits = Splits(table.combine_chunks(), counts)
        fits = metadata == _metadata(source, splits) and _could_be_built(splits, source.state.size)
    except (OSError, ValueError, KeyError, OverflowError, pa.ArrowException):
        return None
    return splits if fits else None


def _could_be_built(splits: Splits, size: int) -> bool:
    """Whether a zip of `size` bytes could have this index: official names and true labels in order, places apart."""
    offsets, room, packed, sizes, _, methods = (numbers(one_chunk(splits.table.column(name))) for name in _PLACED)
    stored = methods == STORED
    return not len(offsets) or bool(
        (stored | (methods == DEFLATED)).all()
        and packed.min() >= 0
        and packed.max() <= 2 * LARGEST
        and sizes.min() >= 0
        and sizes.max() <= LARGEST
        and (packed[stored] == sizes[stored]).all()
        and (packed <= room).all()
        and (room <= packed + LONGEST_HEADER).all()
        and lie_apart(offsets, room.astype(np.int64), size)
        and all(_are_official(splits[split]) for split in splits)
    )


def _are_official(index: ZipIndex) -> bool:
    """Whether names, labels and order are what a zip's could be; validation images may have train images' names."""
    if index.split != "val" or pc.all(pc.starts_with(index.names, "ILSVRC2012_val_")).as_py():
        return are_named(index.split, index.names, index.labels)
    train = pc.starts_with(index.names, "n")
    sides = (("train", train), ("val", pc.invert(train)))
    parts = [(split, index.table.filter(mask)) for split, mask in sides]
    return are_in_order(index.names, index.labels) and all(
        are_named(split, one_chunk(part.column("name")), numbers(one_chunk(part.column("label"))))
        for split, part in parts
    )
