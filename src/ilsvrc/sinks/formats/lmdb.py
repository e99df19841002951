"""LMDB: one file per split, a B+ tree of pages with a record for each image; read by the `lmdb` package.

The package writes the file. It does not say where a value lies in the file, so the pages are read for that: their
form is that of LMDB 0.9, https://github.com/LMDB/lmdb/blob/LMDB_0.9.31/libraries/liblmdb/mdb.c.
"""

from __future__ import annotations

import itertools
import json
import mmap
import os
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa

from ilsvrc import facts
from ilsvrc.errors import MachineError, MissingExtraError
from ilsvrc.readers.reader import Int
from ilsvrc.readers.units import Sample
from ilsvrc.sinks.formats.base import Placed, ShardFile, Written, images_in, spool

_VALUE = struct.Struct("<IiI")
"""What precedes an image in its value: the label's 4 bytes, the label, the image's bytes."""

_LABEL = 4
_BATCH = 32 << 20
"""Bytes of images in a transaction, about: the package holds its pages in memory until it ends."""

_PAGE = struct.Struct("<QHHHH")
"""Header of a page: its number, padding, flags, and the ends of the pointers and of the free space."""

_NODE = struct.Struct("<HHHH")
"""Header of a node: low and high half of the value's bytes, or of a child's page number; flags; the key's bytes."""

_BRANCH, _LEAF, _OVERFLOW = 0x01, 0x02, 0x04
_BIG = 0x01
_META = struct.Struct("<IIQQ48s48sQQ")
"""Magic, version, address, bytes of the map, tree of free pages, main tree, last page used, transaction."""

_TREE = struct.Struct("<IHHQQQQQ")
"""Page size or padding, flags, depth, pages of branches, leaves and overflow, entries, the root's page."""

_MAGIC, _VERSION = 0xBEEFC0DE, 1
_NOTHING = (1 << 64) - 1
"""The root of a tree without entries."""


@dataclass(frozen=True, slots=True)
class Lmdb:
    """For each image a record: key `00000000`, its place in the order in 8 digits; value label and image.

    The value is two fields, each preceded by its length in bytes, uint32, little-endian: the label, int32,
    little-endian, -1 in the test split; the image's file. `meta.json` says so, and counts.

    The pages are as large as the system's: 4096 bytes on x86; a file written where they are larger has other bytes.
    """

    name: ClassVar[str] = "lmdb"
    shard_size: ClassVar[int] = 500_000_000
    whole: ClassVar[bool] = True

    @property
    def settings(self) -> dict[str, object]:
        """The size of the pages, which the system chooses: other pages make another file."""
        return {"page": mmap.PAGESIZE}

    def path(self, split: str, number: int, count: int) -> str:  # noqa: ARG002
        """Return `train.lmdb`."""
        return f"{split}.lmdb"

    def write(self, file: ShardFile, samples: Iterable[Sample], split: str) -> Iterator[Placed]:  # noqa: ARG002
        """Write the images of a piece one after the other.

        Raises
        ------
        MissingExtraError
            If the package that will write the file is not installed.
        """
        _package()
        return spool(file, samples)

    def assemble(self, file: ShardFile, pieces: Sequence[Path], table: pa.Table, split: str) -> Int:  # noqa: ARG002
        """Write the records in order, then find each image in the pages."""
        sizes = table.column("size").to_numpy()
        _write(file.path, zip(table.column("label").to_pylist(), images_in(pieces, table), strict=True), sizes)
        file.written_elsewhere()
        return _found(file.path, table.column("label").to_numpy(), sizes)

    def closing(self, splits: Mapping[str, Written]) -> dict[str, bytes]:
        """Return `meta.json`: the form of keys and values, the classes, and images and bytes of each split."""
        told = {
            "format": "ilsvrc-lmdb-1",
            "key": "the image's place in the order, from 0, in 8 decimal digits",
            "value": [
                "uint32 length, then label: int32, -1 if there is none",
                "uint32 length, then the image's file",
            ],
            "byteorder": "little",
            "splits": {
                split: {"path": shard.path, "images": shard.images, "bytes": written.bytes, "size": shard.size}
                for split, written in splits.items()
                for shard in written.shards
            },
            "classes": list(facts.classes().wnids),
        }
        return {"meta.json": (json.dumps(told, indent=1) + "\n").encode()}


def _package() -> Any:
    """Return the module `lmdb`.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        return import_module("lmdb")
    except ImportError:
        raise MissingExtraError("lmdb", "lmdb") from None


def _write(path: Path, records: Iterable[tuple[int, bytes]], sizes: Int) -> None:
    """Write the records of labels and images to an empty file."""
    lmdb = _package()
    try:
        with lmdb.open(str(path), subdir=False, lock=False, sync=False, map_size=_most(sizes)) as environment:
            numbered = enumerate(records)
            for batch in _batches(sizes):
                with environment.begin(write=True) as transaction:
                    for number, (label, image) in itertools.islice(numbered, batch):
                        value = b"".join((_VALUE.pack(_LABEL, label, len(image)), image))
                        transaction.put(b"%08d" % number, value, append=True)
    except lmdb.Error as error:
        hint = "free some space, or choose another folder; then run the same command again"
        raise MachineError(f"{path} can't be written: {error}", hint=hint) from error


def _batches(sizes: Int) -> list[int]:
    """Return how many records each transaction has."""
    numbers = np.cumsum(sizes) // _BATCH
    counts: list[int] = np.unique(numbers, return_counts=True)[1].tolist()
    return counts


def _most(sizes: Int) -> int:
    """Return the bytes that a file of these images can have: pages of values, of leaves, and some of branches."""
    page = mmap.PAGESIZE
    overflow = -(-(sizes + _VALUE.size + _PAGE.size) // page)
    spare = 64 + 8 * len(_batches(sizes))
    return int(overflow.sum() + len(sizes) + spare) * page


class _Value(NamedTuple):
    """Where a value lies: its key, its first byte in the file, its bytes, and what precedes the image in it."""

    key: bytes
    offset: int
    size: int
    head: bytes


def _found(path: Path, labels: Int, sizes: Int) -> Int:
    """Return the first byte of each image in the file.

    Raises
    ------
    MachineError
        If a record is not where it should be, or has another key, label or size.
    """
    offsets = np.empty(len(sizes), np.int64)
    count = 0
    with path.open("rb", buffering=0) as file:
        for value in _values(file.fileno()):
            if count >= len(sizes) or value.key != b"%08d" % count:
                raise MachineError(f"{path}: record {count:,} is {value.key!r}")
            head = _VALUE.pack(_LABEL, labels[count], sizes[count])
            if value.head != head or value.size != len(head) + sizes[count]:
                raise MachineError(f"{path}: the record of image {count:,} is not the one that was written")
            offsets[count] = value.offset + len(head)
            count += 1
    if count != len(sizes):
        raise MachineError(f"{path}: {count:,} records, and {len(sizes):,} were written")
    return offsets


def _values(fd: int) -> Iterator[_Value]:
    """Yield the values of the main tree in the order of their keys; pages are read, not mapped: memory stays flat."""
    metas = [_META.unpack_from(_page(fd, number), _PAGE.size) for number in (0, 1)]
    if {meta[:2] for meta in metas} != {(_MAGIC, _VERSION)}:
        raise MachineError("the installed LMDB writes another form of file than 0.9", hint="pip install 'lmdb<4'")
    newest = max(metas, key=lambda meta: int(meta[-1]))
    root = _TREE.unpack(newest[5])[-1]
    return _below(fd, root) if root != _NOTHING else iter(())


def _page(fd: int, number: int, size: int = mmap.PAGESIZE) -> bytes:
    """Return the first bytes of a page; all of them by default."""
    return os.pread(fd, size, number * mmap.PAGESIZE)


def _below(fd: int, number: int) -> Iterator[_Value]:
    """Yield the values of a page and of the pages below it."""
    page = _page(fd, number)
    told, _, flags, lower, _ = _PAGE.unpack_from(page)
    if told != number or not flags & (_BRANCH | _LEAF):
        raise MachineError(f"page {number:,} is not one of the tree")
    for (pointer,) in struct.iter_unpack("<H", page[_PAGE.size : lower]):
        low, high, kind, length = _NODE.unpack_from(page, pointer)
        begin = pointer + _NODE.size
        if flags & _BRANCH:
            yield from _below(fd, low | high << 16 | kind << 32)
            continue
        key, size, at = page[begin : begin + length], low | high << 16, begin + length
        if kind & _BIG:
            yield _overflow(fd, int.from_bytes(page[at : at + 8], "little"), key, size)
        else:
            yield _Value(key, number * mmap.PAGESIZE + at, size, page[at : at + _VALUE.size])


def _overflow(fd: int, number: int, key: bytes, size: int) -> _Value:
    """Return the value that fills pages of its own."""
    begin = _page(fd, number, _PAGE.size + _VALUE.size)
    told, _, flags, *_ = _PAGE.unpack_from(begin)
    if told != number or not flags & _OVERFLOW:
        raise MachineError(f"page {number:,} holds no value")
    return _Value(key, number * mmap.PAGESIZE + _PAGE.size, size, begin[_PAGE.size :])
