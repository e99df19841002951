"""Zip archives as files: the list of their members, many at a time, and the bytes of one member.

After PKWARE's APPNOTE 6.3.10, sections 4.3 (records), 4.4 (fields) and 4.5.3 (zip64): https://support.pkware.com/pkzip/appnote
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ilsvrc.archive.header import not_a_tar
from ilsvrc.archive.source import ByteSource
from ilsvrc.errors import ArchiveError
from ilsvrc.issues import Code

Int = npt.NDArray[np.int64]
Text = npt.NDArray[np.uint8]

MAGIC = b"PK\x03\x04"
"""The signature of a member's local header, with which a zip begins."""

LONGEST_HEADER = 30 + 2 * 0xFFFF
"""Bytes of the longest local header: its fixed part, a name and an extra field."""

STORED, DEFLATED = 0, 8
METHODS = {
    1: "shrink",
    6: "implode",
    9: "deflate64",
    12: "bzip2",
    14: "lzma",
    93: "zstandard",
    95: "xz",
    98: "ppmd",
    99: "AES encryption",
}
"""Names of methods that are not read (APPNOTE 4.4.5)."""

ENCRYPTED = 1 << 0 | 1 << 6 | 1 << 13
"""Flags of a member that needs a password (APPNOTE 4.4.4)."""

LARGEST_RATIO = 1032
"""Bytes that one byte of deflate data can become, at most: https://zlib.net/zlib_tech.html"""

SPANNED = b"PK\x07\x08"
"""The signature with which the first part of a split zip begins."""

_END, _END64, _LOCATOR = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_END_FIELDS = struct.Struct("<4sHHHHIIH")
_END64_FIELDS = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR_FIELDS = struct.Struct("<4sIQI")
_LONGEST_END = _END_FIELDS.size + 0xFFFF
_LOCAL_FIELDS = struct.Struct("<4s2xHH4xIIIHH")
_STREAMED = 1 << 3
"""The flag of a member whose sizes and CRC-32 follow its data, since they were not known before."""

_WRAP = 1 << 32
_FULL = _WRAP - 1
"""A value of 32 bits that says: see the zip64 field."""

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

_FETCH_AGAIN = "resume its download, or fetch it again"


@dataclass(frozen=True, slots=True)
class Directory:
    """Where the list of members lies.

    start, stop : its first byte in the file, and the byte after its last
    entries : how many members it lists; the last 16 bits of the number if there is no zip64
    wide : whether the zip is of the form zip64
    wraps : whether offsets were cut to 32 bits: the Finder of macOS never writes zip64
    """

    start: int
    stop: int
    entries: int
    wide: bool
    wraps: bool = False


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

    def paths(self) -> list[str]:
        """Return the names as text with `/` between folders, whatever program wrote them."""
        joined = b"".join(self.names)
        if joined.isascii():
            paths = [name.decode("ascii") for name in self.names]
        else:
            paths = [_decoded(name) for name in self.names]
        return [path.replace("\\", "/") for path in paths] if b"\\" in joined else paths

    def path(self, row: int) -> str:
        """Return one name as `paths` does."""
        return _decoded(self.names[row]).replace("\\", "/")

    def extents(self) -> Int:
        """Return how many bytes each member has at least, from its local header on: shape (N,), int64."""
        lengths = np.fromiter(map(len, self.names), np.int64, len(self.names))
        return _LOCAL_FIELDS.size + lengths + self.packed

    def are_links(self) -> npt.NDArray[np.bool_]:
        """Return which members are symbolic links: shape (N,)."""
        return self.modes & _KIND == stat.S_IFLNK

    def are_special(self) -> npt.NDArray[np.bool_]:
        """Return which members are neither regular files nor links, as far as the zip says: shape (N,)."""
        return ~np.isin(self.modes & _KIND, (0, stat.S_IFREG, stat.S_IFLNK))


class Entry(NamedTuple):
    """Where a member's bytes are, by the directory.

    offset : first byte of its local header
    room : bytes from there to the next member, or LONGEST_HEADER more than `packed` if these are fewer
    packed, size : bytes in the zip, and unpacked
    crc : CRC-32 of the unpacked bytes
    method : STORED or DEFLATED
    """

    offset: int
    room: int
    packed: int
    size: int
    crc: int
    method: int


class BadMember(ValueError):  # noqa: N818  -- it is what was found, and never leaves the readers
    """A member that is not what the directory says: the kind of fault and what is wrong, without the place."""

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def _decoded(name: bytes) -> str:
    """Return a name as text: programs write UTF-8, whether or not they say so, or else code page 437."""
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        return name.decode("cp437")


def find_directory(source: ByteSource) -> Directory:
    """Return where the list of members lies.

    Raises
    ------
    ArchiveError
        If the file is no zip, is cut short, or is one of several parts.
    """
    size = source.state.size
    head = source.read(0, min(size, 512))
    begin = max(0, size - _LONGEST_END)
    tail = source.read(begin, size - begin)
    at = _last_end(tail)
    if at is None or not head.startswith((MAGIC, _END)):
        raise _no_zip(source, head)
    _, disk, first_disk, here, entries, length, offset, _ = _END_FIELDS.unpack_from(tail, at)
    stop = begin + at
    wide = _wide_end(source, stop)
    if wide:
        stop, (_, _, _, _, disk, first_disk, here, entries, length, offset) = wide
    if disk or first_disk or here != entries:
        raise _in_parts(source)
    start = stop - length
    surplus = start - offset
    if surplus < 0 or start < 0:
        detail = f"its list of members should begin at byte {offset:,}: {-surplus:,} bytes before it are missing"
        raise ArchiveError(Code.TRUNCATED_ARCHIVE, detail, source.path, hint=_FETCH_AGAIN)
    if surplus and (wide or surplus % _WRAP):
        detail = f"{surplus:,} bytes that the zip does not speak of lie before its list of members"
        raise ArchiveError(Code.TRAILING_DATA, detail, source.path, hint=_FETCH_AGAIN)
    return Directory(start, stop, entries, wide is not None, surplus > 0)


def _last_end(tail: bytes) -> int | None:
    """Return where the end record is in the last bytes of a file: the last that reaches to the file's end."""
    at = tail.rfind(_END)
    while at >= 0:
        if len(tail) - at >= _END_FIELDS.size:
            comment = _END_FIELDS.unpack_from(tail, at)[-1]
            if at + _END_FIELDS.size + comment == len(tail):
                return at
        at = tail.rfind(_END, 0, at)
    return None


def _wide_end(source: ByteSource, end: int) -> tuple[int, tuple[Any, ...]] | None:
    """Return place and fields of the zip64 end record, if one is announced before the end record.

    Raises
    ------
    ArchiveError
        If it is announced and not there, or the zip has several parts.
    """
    if end < _LOCATOR_FIELDS.size:
        return None
    announced = source.read(end - _LOCATOR_FIELDS.size, _LOCATOR_FIELDS.size)
    signature, disk, place, disks = _LOCATOR_FIELDS.unpack(announced)
    if signature != _LOCATOR:
        return None
    if disk or disks > 1:
        raise _in_parts(source)
    last = end - _LOCATOR_FIELDS.size - _END64_FIELDS.size
    if place <= last:
        fields = _END64_FIELDS.unpack(source.read(place, _END64_FIELDS.size))
        if fields[0] == _END64:
            return place, fields
    detail = f"the end of its list of members should be at byte {place:,}, and is not: bytes are missing or too many"
    raise ArchiveError(Code.TRUNCATED_ARCHIVE, detail, source.path, hint=_FETCH_AGAIN)


def _no_zip(source: ByteSource, head: bytes) -> ArchiveError:
    """Return the error for a file without an end record."""
    if head.startswith(MAGIC):
        detail = (
            f"the zip has no list of members at its end: after its {source.state.size:,} bytes more should follow; "
            "it is still being fetched, or was cut short"
        )
        return ArchiveError(
            Code.TRUNCATED_ARCHIVE, detail, source.path, hint=f"let its download end, or {_FETCH_AGAIN}"
        )
    if head.startswith(SPANNED):
        return _in_parts(source)
    page = not_a_tar(head, source.path)
    if page and page.code == Code.HTML_PAGE:
        return page
    return ArchiveError(Code.WRONG_FILE, "this is no zip", source.path)


def _in_parts(source: ByteSource) -> ArchiveError:
    detail = "this is one part of a zip that was split into several"
    hint = "join them first: `zip -s 0 FIRST.zip --out WHOLE.zip`"
    return ArchiveError(Code.WRONG_FILE, detail, source.path, hint=hint)


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
        raise ArchiveError(Code.BAD_HEADER, detail, source.path, hint=_FETCH_AGAIN)


def _damaged(source: ByteSource, offset: int) -> ArchiveError:
    detail = "the list of members is damaged here"
    return ArchiveError(Code.BAD_HEADER, detail, source.path, offset=offset, hint=_FETCH_AGAIN)


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
    records = _gathered(text, places, _RECORD.itemsize).view(_RECORD)[:, 0]
    strange = np.flatnonzero(records["signature"] != int.from_bytes(RECORD, "little"))
    if len(strange):
        return _members(text, records[:0], places[:0], []), -1 - starts[strange[0]]
    if last - at >= len(RECORD) and not block.startswith(RECORD, at):
        return _members(text, records[:0], places[:0], []), -1 - at
    return _members(text, records, places, names), at


def _gathered(text: Text, places: Int, length: int) -> Text:
    """Return so many bytes from each place: shape (N, length)."""
    return text[places[:, None] + np.arange(length)]


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
    full = np.stack([column == _FULL for column in columns])
    rows = np.flatnonzero(full.any(axis=0))
    at = places[rows] + _RECORD.itemsize + records["name"][rows]
    at, stop = _wide_fields(text, at, at + records["extra"][rows])
    for column, wanted in zip(columns, full[:, rows], strict=True):
        there = wanted & (at + 8 <= stop)
        column[rows[there]] = _gathered(text, at[there], 8).view("<i8")[:, 0]
        at[there] += 8


def _wide_fields(text: Text, at: Int, ends: Int) -> tuple[Int, Int]:
    """Return where the data of each zip64 field begin and end, among the extra fields at these places; else 0, 0."""
    begins, stops = np.zeros_like(at), np.zeros_like(at)
    at = at.copy()
    going = np.flatnonzero(at + 4 <= ends)
    while len(going):
        kinds, lengths = _gathered(text, at[going], 4).view("<u2").astype(np.int64).T
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
    return Members(
        some.names, some.flags, some.methods, some.crcs, some.packed, some.sizes, offsets, some.modes
    ), last


def unpacked(source: ByteSource, entry: Entry, is_name: Callable[[bytes], bool]) -> bytes:
    """Return the bytes of a member: one read for its local header and its data, both compared with the directory.

    Parameters
    ----------
    source
        The zip.
    entry
        What the directory says of it.
    is_name
        Whether a name in a local header is that of the member.

    Raises
    ------
    BadMember
        If it is not what the directory says.
    """
    data = source.read(entry.offset, entry.room)
    begin = data_start(data, entry, is_name)
    packed = memoryview(data)[begin : begin + entry.packed]
    found = bytes(packed) if entry.method == STORED else _inflated(packed, entry.size)
    if zlib.crc32(found) != entry.crc:
        raise BadMember(Code.CHANGED_IMAGE, "its bytes do not have the CRC-32 that the zip has of them")
    return found


def data_start(data: bytes, entry: Entry, is_name: Callable[[bytes], bool]) -> int:
    """Return where a member's data begin in the bytes from its local header on.

    Raises
    ------
    BadMember
        If the local header is damaged, or says something else than the directory.
    """
    if len(data) < _LOCAL_FIELDS.size:
        raise BadMember(Code.BAD_HEADER, "there is no room for its header")
    signature, flags, method, crc, packed, size, name, extra = _LOCAL_FIELDS.unpack_from(data)
    if signature != MAGIC:
        raise BadMember(Code.BAD_HEADER, "its header is not where the zip's list of members says")
    stated = (crc, packed if packed != _FULL else entry.packed, size if size != _FULL else entry.size)
    same = flags & _STREAMED or stated == (entry.crc, entry.packed, entry.size)
    if method != entry.method or flags & ENCRYPTED or not same:
        raise BadMember(Code.BAD_HEADER, "its header and the zip's list of members contradict each other")
    begin = _LOCAL_FIELDS.size + name + extra
    if begin + entry.packed > entry.room:
        raise BadMember(Code.BAD_HEADER, "its bytes would reach into those of the next member")
    if not is_name(data[_LOCAL_FIELDS.size : _LOCAL_FIELDS.size + name]):
        raise BadMember(Code.BAD_HEADER, "its header has another name than the zip's list of members")
    return begin


def local_name(header: bytes) -> str:
    """Return the name in the bytes of a local header; empty if they are none."""
    if len(header) < _LOCAL_FIELDS.size or not header.startswith(MAGIC):
        return ""
    length = _LOCAL_FIELDS.unpack_from(header)[6]
    return _decoded(header[_LOCAL_FIELDS.size : _LOCAL_FIELDS.size + length])


def _inflated(packed: memoryview, size: int) -> bytes:
    """Return what deflate data unpack to, which must be `size` bytes; no more than these are unpacked."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        found = inflater.decompress(packed, size + 1)
    except zlib.error as error:
        raise BadMember(Code.CHANGED_IMAGE, f"its compressed bytes are damaged ({error})") from None
    if len(found) != size or not inflater.eof:
        how = "more" if len(found) > size else "fewer"
        raise BadMember(Code.CHANGED_IMAGE, f"it unpacks to {how} than the {size:,} bytes that the zip has of it")
    return found
