"""The members of a zip by their records in its directory, some ten thousand at a time.

After PKWARE's APPNOTE 6.3.10, sections 4.3.12 (records), 4.4 (fields) and 4.5.3 (zip64):
https://support.pkware.com/pkzip/appnote
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ilsvrc.archive.source import ByteSource
from ilsvrc.archive.zip.directory import FETCH_AGAIN, Directory
from ilsvrc.archive.zip.entry import FIXED, FULL, decoded
from ilsvrc.errors import ArchiveError
from ilsvrc.issues import Code

Int = npt.NDArray[np.int64]
Text = npt.NDArray[np.uint8]

_RECORD = np.dtype(
    [
        ("signature", "<u4"),
        ("system", "<u2"),
        ("needed", "<u2"),
        ("flags", "<u2"),
        ("method", "<u2"),
        ("time", "<u4"),
        ("crc", "<u4"),
        ("packed", "<u4"),
        ("size", "<u4"),
        ("name", "<u2"),
        ("extra", "<u2"),
        ("comment", "<u2"),
        ("disk", "<u2"),
        ("internal", "<u2"),
        ("external", "<u4"),
        ("offset", "<u4"),
    ]
)
RECORD = b"PK\x01\x02"
"""The signature of a member's record in the directory."""

_LENGTHS = struct.Struct("<HHH")
_CHUNK = 1 << 22
"""Bytes of the directory that are read at a time: about 40,000 members."""

_UNIX = (3, 19)
"""Systems whose members have the mode of a Unix file (APPNOTE 4.4.2): Unix and OS X."""

_KIND = 0o170000
"""The bits of a Unix mode that say what kind of file it is: inode(7)."""

_WRAP = 1 << 32


@dataclass(frozen=True, slots=True)
class Members:
    """Some members of a zip, in the order of its directory: columns of N values.

    names : as they are in the directory
    flags, methods, crcs : uint16, uint16, uint32
    packed, sizes : bytes in the zip, and unpacked; int64
    offsets : first byte of each local header; int64
    modes : of a Unix file, with its type; 0 where the zip says nothing of it; uint16
    """

    names: list[bytes]
    flags: npt.NDArray[np.uint16]
    methods: npt.NDArray[np.uint16]
    crcs: npt.NDArray[np.uint32]
    packed: Int
    sizes: Int
    offsets: Int
    modes: npt.NDArray[np.uint16]

    def paths(self) -> pa.StringArray:
        """Return the names as N texts with `/` between folders, whatever program wrote them."""
        try:
            paths = pa.array(self.names, pa.string())
        except pa.ArrowInvalid:  # some are no UTF-8
            paths = pa.array([decoded(name) for name in self.names], pa.string())
        backslashes = pc.any(pc.match_substring(paths, "\\")).as_py()
        return pc.replace_substring(paths, "\\", "/") if backslashes else paths

    def path(self, row: int) -> str:
        """Return one name as `paths` does."""
        return decoded(self.names[row]).replace("\\", "/")

    def extents(self) -> Int:
        """Return how many bytes each member has at least, from its local header on: shape (N,), int64."""
        lengths = np.fromiter(map(len, self.names), np.int64, len(self.names))
        return FIXED + lengths + self.packed

    def are_links(self) -> npt.NDArray[np.bool_]:
        """Return which members are symbolic links: shape (N,)."""
        links: npt.NDArray[np.bool_] = self.modes & _KIND == stat.S_IFLNK
        return links

    def are_special(self) -> npt.NDArray[np.bool_]:
        """Return which members are neither regular files nor links, as far as the zip says: shape (N,)."""
        return ~np.isin(self.modes & _KIND, (0, stat.S_IFREG, stat.S_IFLNK))


def walk(source: ByteSource, directory: Directory) -> Iterator[Members]:
    """Yield all members, some ten thousand at a time.

    Raises
    ------
    ArchiveError
        If the directory is damaged, or its end record says another number of members.
    """
    place, rest, found, before = directory.start, b"", 0, 0
    while place < directory.stop:
        length = min(_CHUNK, directory.stop - place)
        block = rest + source.read(place, length)
        begin, place = place - len(rest), place + length
        some, used = cut(block)
        if used < 0:
            raise _damaged(source, begin - used - 1)
        if directory.wraps:
            some, before = _unwrapped(some, before)
        found += len(some.names)
        rest = block[used:]
        yield some
    if rest:
        raise _damaged(source, directory.stop - len(rest))
    if directory.entries != (found if directory.wide else found % (1 << 16)):
        detail = f"its end says that it has {directory.entries:,} members, and it lists {found:,}"
        raise ArchiveError(Code.BAD_HEADER, detail, source.path, hint=FETCH_AGAIN)


def cut(block: bytes) -> tuple[Members, int]:
    """Return the members whose records are whole in some bytes of a directory, and how many bytes these have.

    The number is negative if there is something that is no record: its place, from -1 down.
    """
    starts: list[int] = []
    names: list[bytes] = []
    at, last, lengths = 0, len(block), _LENGTHS.unpack_from
    while at + _RECORD.itemsize <= last:  # the only loop over members: a record's length is in the record
        name, extra, comment = lengths(block, at + 28)
        begin = at + _RECORD.itemsize
        following = begin + name + extra + comment
        if following > last:
            break
        starts.append(at)
        names.append(block[begin : begin + name])
        at = following
    text = np.frombuffer(block, np.uint8)
    places = np.array(starts, np.int64)
    records = _gathered(text, places, _RECORD)
    strange = np.flatnonzero(records["signature"] != int.from_bytes(RECORD, "little"))
    if len(strange):
        return _members(text, records[:0], places[:0], []), -1 - starts[strange[0]]
    if last - at >= len(RECORD) and not block.startswith(RECORD, at):
        return _members(text, records[:0], places[:0], []), -1 - at
    return _members(text, records, places, names), at


def _damaged(source: ByteSource, offset: int) -> ArchiveError:
    detail = "the list of members is damaged here"
    return ArchiveError(Code.BAD_HEADER, detail, source.path, offset=offset, hint=FETCH_AGAIN)


def _gathered(text: Text, places: Int, kind: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return the values of a kind at each place: shape (N,)."""
    kind = np.dtype(kind)
    if not len(places):
        return np.empty(0, kind)
    return np.ndarray((len(text) - kind.itemsize + 1,), kind, text, strides=(1,))[places]


def _members(text: Text, records: npt.NDArray[Any], places: Int, names: list[bytes]) -> Members:
    """Return the columns of some records."""
    columns = [records[name].astype(np.int64) for name in ("size", "packed", "offset")]
    _widen(text, records, places, columns)
    sizes, packed, offsets = columns
    modes = np.where(np.isin(records["system"] >> 8, _UNIX), records["external"] >> 16, 0).astype(np.uint16)
    return Members(
        names,
        records["flags"].copy(),
        records["method"].copy(),
        records["crc"].copy(),
        packed,
        sizes,
        offsets,
        modes,
    )


def _widen(text: Text, records: npt.NDArray[Any], places: Int, columns: list[Int]) -> None:
    """Put the values of zip64 fields in place of those that 32 bits can't hold.

    A zip64 field has 8 bytes for each value that is full in the record, in the order of `columns`.
    """
    full = np.stack([column == FULL for column in columns])
    rows = np.flatnonzero(full.any(axis=0))
    at = places[rows] + _RECORD.itemsize + records["name"][rows]
    at, stop = _wide_fields(text, at, at + records["extra"][rows])
    for column, wanted in zip(columns, full[:, rows], strict=True):
        there = wanted & (at + 8 <= stop)
        column[rows[there]] = _gathered(text, at[there], "<i8")
        at[there] += 8


def _wide_fields(text: Text, at: Int, ends: Int) -> tuple[Int, Int]:
    """Return where the data of each zip64 field begin and end, among the extra fields at these places; else 0, 0."""
    begins, stops = np.zeros_like(at), np.zeros_like(at)
    at = at.copy()
    going = np.flatnonzero(at + 4 <= ends)
    while len(going):
        kinds, lengths = (_gathered(text, at[going] + field, "<u2").astype(np.int64) for field in (0, 2))
        at[going] += 4
        wide = (kinds == 1) & (at[going] + lengths <= ends[going])
        begins[going[wide]] = at[going[wide]]
        stops[going[wide]] = (at[going] + lengths)[wide]
        at[going] += lengths
        going = going[(kinds != 1) & (at[going] + 4 <= ends[going])]
    return begins, stops


def _unwrapped(some: Members, before: int) -> tuple[Members, int]:
    """Return members with whole offsets, where the zip has the last 32 bits of them, in rising order."""
    turns = np.cumsum(np.diff(some.offsets, prepend=before % _WRAP) < 0)
    offsets = some.offsets + turns * _WRAP + before // _WRAP * _WRAP
    last = int(offsets[-1]) if len(offsets) else before
    return replace(some, offsets=offsets), last
