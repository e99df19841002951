"""SquashFS: one read-only file system per split, which a cluster's nodes mount as one large file.

The form is version 4.0: https://docs.kernel.org/filesystems/squashfs.html and https://dr-emann.github.io/squashfs/.
Nothing is compressed. A file is equal, byte for byte, to that which `sqfstar` of squashfs-tools 4.5 makes of a tar of
the same images without compression, fragments and the sharing of equal blocks; the program itself is not needed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ilsvrc import facts
from ilsvrc.readers.reader import Int
from ilsvrc.sinks.formats.base import ShardFile
from ilsvrc.sinks.formats.whole import OneFile

_SUPERBLOCK = struct.Struct("<IIIIIHHHHHHQQQQQQQQ")
"""Magic, inodes, time, bytes of a block, fragments, compressor, log of the block, flags, ids, version, root, bytes;
where the tables of ids, attributes, inodes, directories, fragments and exports are."""

_MAGIC = 0x73717368
_BLOCK_LOG = 17
_BLOCK = 1 << _BLOCK_LOG
_GZIP = 1
_FLAGS = 0x001 | 0x002 | 0x008 | 0x010 | 0x100 | 0x200
"""Inodes, data, fragments and attributes are not compressed; there are no fragments and no attributes."""

_STORED = 1 << 24
"""Bit of the bytes of a block of data that is not compressed."""

_ABSENT = (1 << 64) - 1
_METADATA = 8192
_RAW = 1 << 15
"""Bit of the bytes of a block of metadata that is not compressed."""

_ALIGNED = 4096
_FOLDER, _FILE, _LARGE_FOLDER, _LARGE_FILE = 1, 2, 8, 9
_FOLDER_MODE, _FILE_MODE = 0o755, 0o644
_INODE = struct.Struct("<HHHHII")
"""Kind, permissions, owner, group, time, number."""

_OF_FOLDER = struct.Struct("<IIHHI")
"""Block of the listing, links, bytes of the listing and 3, offset in the block, number of the folder above."""

_OF_LARGE_FOLDER = struct.Struct("<IIIIHHI")
"""Links, bytes of the listing and 3, its block, number of the folder above, lines of an index, offset, attributes."""

_OF_FILE = struct.Struct("<IIII")
"""First byte, fragment, offset in it, bytes."""

_OF_LARGE_FILE = struct.Struct("<QQQIIII")
"""First byte, bytes, bytes left out, links, fragment, offset in it, attributes."""

_NONE = (1 << 32) - 1
"""No fragment, no attributes; the largest number of 32 bits."""

_HEADER = struct.Struct("<III")
"""In a listing: entries that follow, less 1; the block of their inodes; the number that theirs are relative to."""

_ENTRY = struct.Struct("<HhHH")
"""In a listing: offset of the inode in its block, its number, its kind, bytes of the name less 1."""

_INDEX = struct.Struct("<III")
"""Of a large folder: a place in the listing, the block that it is in, bytes of the name there less 1."""

_MOST_ENTRIES = 256
_FARTHEST = (1 << 15) - 1


@dataclass(frozen=True, slots=True)
class SquashFs(OneFile):
    """One file for each split, `{split}.squashfs`; in it class folders, `n01440764/n01440764_10026.JPEG`, test flat.

    Mounted at DATA/train, a split is the tree that ImageFolder reads. The data of the images lies in the shuffled
    order, so that a program that reads in this order reads the file from its beginning to its end.
    """

    name: ClassVar[str] = "squashfs"

    def path(self, split: str, number: int, count: int) -> str:  # noqa: ARG002
        """Return `train.squashfs`."""
        return f"{split}.squashfs"

    def layout(self, sizes: Int, notes: bytes | None = None) -> Data:  # noqa: ARG002
        """Return images one after the other."""
        return Data()


@dataclass(frozen=True, slots=True)
class Data:
    """A layout: images follow each other behind the superblock, with nothing in between."""

    def begins(self, sizes: Int) -> Int:
        """Return the first byte of each image."""
        return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64) + _SUPERBLOCK.size

    def around(self, at: int, number: int, label: int, data: bytes) -> tuple[bytes, bytes]:  # noqa: ARG002
        """Return nothing."""
        return b"", b""

    def complete(self, file: ShardFile, table: pa.Table, notes: bytes, split: str) -> None:  # noqa: ARG002
        """Write inodes, listings and ids, then the superblock."""
        tree = _Tree()
        root = tree.add_all(table)
        inodes = file.append(*tree.inodes.blocks())
        listings = file.append(*tree.listings.blocks())
        ids = file.append(struct.pack("<HI", _RAW | 4, 0))
        table_of_ids = file.append(struct.pack("<Q", ids))
        told = (_MAGIC, tree.number, 0, _BLOCK, 0, _GZIP, _BLOCK_LOG, _FLAGS, 1, 4, 0, root.block << 16 | root.offset)
        tables = (file.tell(), table_of_ids, _ABSENT, inodes, listings, ids, _ABSENT)
        file.append(bytes(-file.tell() % _ALIGNED))
        file.rewrite(0, _SUPERBLOCK.pack(*told, *tables))


class _At(NamedTuple):
    """A place in metadata: first byte of a block, from the first one on, and the offset in it."""

    block: int
    offset: int


class _Metadata:
    """Bytes that are written in blocks of 8 KiB, each with its size before it."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def add(self, *parts: bytes) -> _At:
        """Add bytes; return where they begin."""
        at = len(self._bytes)
        for part in parts:
            self._bytes += part
        return self.at(at)

    def at(self, position: int) -> _At:
        """Return where a byte is."""
        number, offset = divmod(position, _METADATA)
        return _At(number * (_METADATA + 2), offset)

    def __len__(self) -> int:
        return len(self._bytes)

    def blocks(self) -> Iterator[bytes]:
        """Yield the blocks."""
        for at in range(0, len(self._bytes), _METADATA):
            piece = bytes(self._bytes[at : at + _METADATA])
            yield struct.pack("<H", _RAW | len(piece)) + piece


class _Entry(NamedTuple):
    """A line of a listing: a name, the kind and number of what has it, and where its inode is."""

    name: bytes
    kind: int
    number: int
    inode: _At


class _Tree:
    """Inodes and listings of a tree: the files of a folder by their names, then the folder, the root at the end."""

    def __init__(self) -> None:
        self.inodes, self.listings = _Metadata(), _Metadata()
        self.number = 0

    def add_all(self, table: pa.Table) -> _At:
        """Add the images of a manifest, in class folders if they have labels; return where the root's inode is."""
        wnids = [synset.wnid.encode() for synset in facts.classes()]
        names = pc.replace_substring_regex(table.column("path"), "^.*/", "")
        named = pa.table({"label": table.column("label"), "name": names, **_columns(table, "offset", "size")})
        labels = sorted(pc.unique(named.column("label")).to_pylist())
        if labels == [-1]:
            entries, folders = self._files(named.sort_by("name")), 0
        else:
            root = table.num_rows + len(labels) + 1
            named = named.sort_by([("label", "ascending"), ("name", "ascending")])
            ends = np.searchsorted(named.column("label").to_numpy(), labels, side="right").tolist()
            parts = (named.slice(start, end - start) for start, end in zip([0, *ends], ends, strict=False))
            entries = [self._class(wnids[label], part, root) for label, part in zip(labels, parts, strict=True)]
            folders = len(labels)
        self.number += 1
        return self._folder(entries, self.number, self.number + 1, folders)

    def _class(self, wnid: bytes, images: pa.Table, above: int) -> _Entry:
        """Add a class folder; it has a lower number than its files, and its inode lies behind theirs."""
        self.number += 1
        number = self.number
        inode = self._folder(self._files(images), number, above)
        return _Entry(wnid, _FOLDER, number, inode)

    def _files(self, images: pa.Table) -> list[_Entry]:
        """Add files."""
        entries, columns = [], (images.column(name).to_pylist() for name in ("name", "offset", "size"))
        for name, offset, size in zip(*columns, strict=True):
            self.number += 1
            entries.append(
                _Entry(name.encode(), _FILE, self.number, self.inodes.add(_file(self.number, offset, size)))
            )
        return entries

    def _folder(self, entries: Sequence[_Entry], number: int, above: int, folders: int = 0) -> _At:
        """Add a folder of entries that are there, of which some are folders; return where its inode is."""
        begin = len(self.listings)
        listing, index = _listing(entries)
        at, links, size = self.listings.add(listing), 2 + folders, len(listing) + 3
        if not index:
            told = _OF_FOLDER.pack(at.block, links, size, at.offset, above)
            return self.inodes.add(_INODE.pack(_FOLDER, _FOLDER_MODE, 0, 0, 0, number), told)
        lines = [
            _INDEX.pack(place, self.listings.at(begin + place).block, len(name) - 1) + name for place, name in index
        ]
        told = _OF_LARGE_FOLDER.pack(links, size, at.block, above, len(index), at.offset, _NONE)
        return self.inodes.add(_INODE.pack(_LARGE_FOLDER, _FOLDER_MODE, 0, 0, 0, number), told, *lines)


def _columns(table: pa.Table, *names: str) -> dict[str, pa.ChunkedArray]:
    return {name: table.column(name) for name in names}


def _file(number: int, offset: int, size: int) -> bytes:
    """Return the inode of a file with so many bytes, which begin at an offset."""
    whole, rest = divmod(size, _BLOCK)
    blocks = struct.pack(f"<{whole}I", *[_BLOCK | _STORED] * whole) + (
        struct.pack("<I", rest | _STORED) if rest else b""
    )
    begin = offset if size else 0
    if max(begin, size) <= _NONE:
        told = _OF_FILE.pack(begin, _NONE, 0, size)
        return _INODE.pack(_FILE, _FILE_MODE, 0, 0, 0, number) + told + blocks
    told = _OF_LARGE_FILE.pack(begin, size, 0, 1, _NONE, 0, _NONE)
    return _INODE.pack(_LARGE_FILE, _FILE_MODE, 0, 0, 0, number) + told + blocks


def _listing(entries: Sequence[_Entry]) -> tuple[bytes, list[tuple[int, bytes]]]:
    """Return the listing of a folder, and an index: a place about every 8 KiB of it, with the name there."""
    listing, index, head, first, count = bytearray(), list[tuple[int, bytes]](), 0, entries[:1], 0
    indexed = 0
    for entry in entries:
        full = len(listing) + _ENTRY.size + len(entry.name) - indexed > _METADATA
        if full or not count or not _continues(entry, first[0], count):
            if full:
                indexed = len(listing)
                index.append((indexed, entry.name))
            head, first, count = len(listing), [entry], 0
            listing += bytes(_HEADER.size)
        count += 1
        _HEADER.pack_into(listing, head, count - 1, first[0].inode.block, first[0].number)
        listing += _ENTRY.pack(entry.inode.offset, entry.number - first[0].number, entry.kind, len(entry.name) - 1)
        listing += entry.name
    return bytes(listing), index


def _continues(entry: _Entry, first: _Entry, count: int) -> bool:
    """Whether an entry can be listed below the header of the first of `count` others."""
    near = -_FARTHEST - 1 <= entry.number - first.number <= _FARTHEST
    return near and count < _MOST_ENTRIES and entry.inode.block == first.inode.block
