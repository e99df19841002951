"""LMDB: one file per split, a B+ tree of pages with a record for each image; read by the `lmdb` package.

The form is that of LMDB 0.9, https://github.com/LMDB/lmdb/blob/LMDB_0.9.31/libraries/liblmdb/mdb.c: two meta pages,
then the values, each in pages of its own, then the leaves, whose records name these pages, then the branches up to
the root. LMDB itself puts leaves between values, and small values into leaves; reading from the root, it finds both.
The package is not needed to write the file.
"""

from __future__ import annotations

import itertools
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from ilsvrc import facts
from ilsvrc.readers.reader import Int
from ilsvrc.sinks.formats.base import ShardFile, Written
from ilsvrc.sinks.formats.whole import OneFile

_PAGE = 4096
"""Bytes of a page; LMDB takes it from the file, also where the system's pages are larger."""

_VALUE = struct.Struct("<IiI")
"""What precedes an image in its value: the label's 4 bytes, the label, the image's bytes."""

_LABEL = 4
_KEY = 8
_METAS = 2

_HEADER = struct.Struct("<QHHHH")
"""Header of a page: its number, padding, flags, and the ends of the pointers and of the free space."""

_LARGE = struct.Struct("<QHHI")
"""Header of a value's first page: its number, padding, flags, and how many pages it has."""

_BRANCH, _LEAF, _OVERFLOW, _META = 0x01, 0x02, 0x04, 0x08
_BIG = 0x01
"""Flag of a node whose value has pages of its own."""

_RECORD = np.dtype(
    [("low", "<u2"), ("high", "<u2"), ("flags", "<u2"), ("key", "<u2"), ("name", "S8"), ("page", "<u8")]
)
"""A node of a leaf: low and high half of the value's bytes, flags, bytes of the key, the key, the value's page."""

_CHILD = struct.Struct("<HHHH")
"""A node of a branch: low, middle and high part of the child's page, the key's bytes; the key follows."""

_TELLS = struct.Struct("<IIQQ48s48sQQ")
"""A meta page: magic, version, address, bytes of the map, tree of free pages, main tree, last page, transaction."""

_TREE = struct.Struct("<IHHQQQQQ")
"""Page size or padding, flags, depth, pages of branches, leaves and overflow, entries, the root's page."""

_MAGIC, _VERSION = 0xBEEFC0DE, 1
_INTEGER_KEY = 0x08
_NOTHING = (1 << 64) - 1
"""The root of a tree without entries."""

_PER_LEAF = (_PAGE - _HEADER.size) // (_RECORD.itemsize + 2)
_PER_BRANCH = (_PAGE - _HEADER.size) // (_CHILD.size + _KEY + 2)


@dataclass(frozen=True, slots=True)
class Lmdb(OneFile):
    """For each image a record: key `00000000`, its place in the order in 8 digits; value label and image.

    The value is two fields, each preceded by its length in bytes, uint32, little-endian: the label, int32,
    little-endian, -1 in the test split; the image's file. `meta.json` says so, and counts.
    """

    name: ClassVar[str] = "lmdb"

    def path(self, split: str, number: int, count: int) -> str:  # noqa: ARG002
        """Return `train.lmdb`."""
        return f"{split}.lmdb"

    def layout(self, sizes: Int, notes: bytes | None = None) -> Values:  # noqa: ARG002
        """Return values one after the other, each in pages of its own."""
        return Values()

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


@dataclass(frozen=True, slots=True)
class Values:
    """A layout: values follow each other, each in as many pages as it needs, behind the two meta pages."""

    def begins(self, sizes: Int) -> Int:
        """Return the first byte of each value's pages."""
        return np.concatenate([[_METAS], _METAS + np.cumsum(_pages(sizes))]).astype(np.int64) * _PAGE

    def around(self, at: int, number: int, label: int, data: bytes) -> tuple[bytes, bytes]:  # noqa: ARG002
        """Return the header of the pages with the fields before the image, and zeros to the end of its last page."""
        head = _LARGE.pack(at // _PAGE, 0, _OVERFLOW, int(_pages(len(data)))) + _VALUE.pack(_LABEL, label, len(data))
        return head, bytes(-(len(head) + len(data)) % _PAGE)

    def complete(self, file: ShardFile, table: pa.Table, notes: bytes, split: str) -> None:  # noqa: ARG002
        """Write leaves and branches, then the meta pages, as after the first transaction on an empty file."""
        sizes = table.column("size").to_numpy()
        first = file.tell() // _PAGE
        file.append(*_leaves(self.begins(sizes)[:-1] // _PAGE, sizes + _VALUE.size, first))
        counts, keys = [file.tell() // _PAGE - first], list(range(0, len(sizes), _PER_LEAF))
        while counts[-1] > 1:
            below, first, bounds = first, file.tell() // _PAGE, _shares(len(keys))
            file.append(*_branches(keys, bounds, below, first))
            counts.append(len(bounds) - 1)
            keys = [keys[start] for start in bounds[:-1]]
        size, last = file.tell(), file.tell() // _PAGE - 1
        main = (0, 0, len(counts), sum(counts[1:]), counts[0], int(_pages(sizes).sum()), len(sizes), last)
        file.rewrite(0, _meta(0, size, None, _METAS - 1) + _meta(1, size, main if len(sizes) else None, last))


def _pages(sizes: Int | int) -> Int:
    """Return how many pages the values of images of these sizes have."""
    return -(-(np.asarray(sizes, np.int64) + _VALUE.size + _LARGE.size) // _PAGE)


def _leaves(pages: Int, sizes: Int, first: int) -> Iterator[bytes]:
    """Yield the leaves: nodes from the end of each page on, pointers to them from its beginning.

    Parameters
    ----------
    pages, sizes
        Number of the first page of each value, and its bytes, shape (N,).
    first
        Number of the first leaf.
    """
    for number, start in enumerate(range(0, len(pages), _PER_LEAF), first):
        stop = min(start + _PER_LEAF, len(pages))
        nodes = np.empty(stop - start, _RECORD)
        nodes["low"], nodes["high"] = sizes[start:stop] & 0xFFFF, sizes[start:stop] >> 16
        nodes["flags"], nodes["key"], nodes["page"] = _BIG, _KEY, pages[start:stop]
        nodes["name"] = [_key(key) for key in range(start, stop)]
        yield _page(number, _LEAF, [node.tobytes() for node in nodes])


def _shares(count: int) -> list[int]:
    """Return where the children of each branch begin, and the end of the last: LMDB wants two at least for each."""
    branches = -(-count // _PER_BRANCH)
    return [count * number // branches for number in range(branches + 1)]


def _branches(keys: list[int], bounds: list[int], below: int, first: int) -> Iterator[bytes]:
    """Yield the branches above some pages that follow each other.

    Parameters
    ----------
    keys
        The first key of each page below.
    bounds
        Where the children of each branch begin, and the end of the last.
    below, first
        Numbers of the first page below, and of the first branch.
    """
    for number, (start, stop) in enumerate(itertools.pairwise(bounds), first):
        nodes = []
        for at, key in enumerate(keys[start:stop], below + start):
            name = b"" if at == below + start else _key(key)  # what is less than the second key is below the first
            nodes.append(_CHILD.pack(at & 0xFFFF, at >> 16 & 0xFFFF, at >> 32, len(name)) + name)
        yield _page(number, _BRANCH, nodes)


def _key(number: int) -> bytes:
    return b"%08d" % number


def _page(number: int, flags: int, nodes: list[bytes]) -> bytes:
    """Return a page of nodes, the first of them at its end."""
    ends = _PAGE - np.cumsum([len(node) for node in nodes])
    pointers = ends.astype("<u2").tobytes()
    head = _HEADER.pack(number, 0, flags, _HEADER.size + len(pointers), int(ends[-1])) + pointers
    return head + bytes(int(ends[-1]) - len(head)) + b"".join(reversed(nodes))


def _meta(number: int, size: int, main: tuple[int, ...] | None, last: int) -> bytes:
    """Return a meta page: that of transaction `number`, of a file of so many bytes."""
    free = _TREE.pack(_PAGE, _INTEGER_KEY, 0, 0, 0, 0, 0, _NOTHING)
    tree = _TREE.pack(*(main or (0, 0, 0, 0, 0, 0, 0, _NOTHING)))
    told = _TELLS.pack(_MAGIC, _VERSION, 0, size, free, tree, last, number)
    return (_HEADER.pack(number, 0, _META, 0, 0) + told).ljust(_PAGE, b"\0")
