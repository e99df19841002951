"""One member of a zip: where its bytes are, and what they unpack to.

After PKWARE's APPNOTE 6.3.10, sections 4.3.7 (local header) and 4.4 (fields): https://support.pkware.com/pkzip/appnote
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple

from ilsvrc.archive.source import ByteSource
from ilsvrc.issues import Code

MAGIC = b"PK\x03\x04"
"""The signature of a member's local header, with which a zip begins."""

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

try:  # a CRC-32 in a tenth of zlib's time
    from isal.isal_zlib import crc32
except ImportError:
    from zlib import crc32

LARGEST_RATIO = 1032
"""Bytes that one byte of deflate data can become, at most: https://zlib.net/zlib_tech.html"""

FULL = (1 << 32) - 1
"""A value of 32 bits that says: see the zip64 field."""

_FIELDS = struct.Struct("<4s2xHH4xIIIHH")
FIXED = _FIELDS.size
"""Bytes of a local header before its name."""

LONGEST_HEADER = FIXED + 2 * 0xFFFF
"""Bytes of the longest local header: its fixed part, a name and an extra field."""

_USUAL_HEADER = 256
"""Bytes that are read of a local header at first: names of images are shorter."""

_STREAMED = 1 << 3
"""The flag of a member whose sizes and CRC-32 follow its data, since they were not known before."""


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


def unpacked(source: ByteSource, entry: Entry, is_name: Callable[[bytes], bool]) -> bytes:
    """Return the bytes of a member, whose local header and CRC-32 are compared with the directory.

    Stored bytes are read apart from the header, since to cut them out of one read would copy them once more: a fifth
    of the time. The caller announces both reads together, so that a disk is waited for once.

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
    if entry.method == STORED:
        begin = data_start(_header(source, entry), entry, is_name)
        found = source.read(entry.offset + begin, entry.packed)
    else:
        data = source.read(entry.offset, entry.room)
        begin = data_start(data, entry, is_name)
        found = _inflated(memoryview(data)[begin : begin + entry.packed], entry.size)
    if crc32(found) != entry.crc:
        raise BadMember(Code.CHANGED_IMAGE, "its bytes do not have the CRC-32 that the zip has of them")
    return found


def _header(source: ByteSource, entry: Entry) -> bytes:
    """Return a local header with its name: some bytes more or less than it has, but never less than the name."""
    header = source.read(entry.offset, min(entry.room, _USUAL_HEADER))
    if len(header) < _USUAL_HEADER or FIXED + int.from_bytes(header[26:28], "little") <= len(header):
        return header
    return source.read(entry.offset, min(entry.room, LONGEST_HEADER))


def data_start(data: bytes, entry: Entry, is_name: Callable[[bytes], bool]) -> int:
    """Return where a member's data begin in the bytes from its local header on.

    Raises
    ------
    BadMember
        If the local header is damaged, or says something else than the directory.
    """
    if len(data) < FIXED:
        raise BadMember(Code.BAD_HEADER, "there is no room for its header")
    signature, flags, method, crc, packed, size, name, extra = _FIELDS.unpack_from(data)
    if signature != MAGIC:
        raise BadMember(Code.BAD_HEADER, "its header is not where the zip's list of members says")
    stated = (crc, packed if packed != FULL else entry.packed, size if size != FULL else entry.size)
    same = flags & _STREAMED or stated == (entry.crc, entry.packed, entry.size)
    if method != entry.method or flags & ENCRYPTED or not same:
        raise BadMember(Code.BAD_HEADER, "its header and the zip's list of members contradict each other")
    begin: int = FIXED + name + extra
    if begin + entry.packed > entry.room:
        raise BadMember(Code.BAD_HEADER, "its bytes would reach into those of the next member")
    if not is_name(data[FIXED : FIXED + name]):
        raise BadMember(Code.BAD_HEADER, "its header has another name than the zip's list of members")
    return begin


def local_name(header: bytes) -> str:
    """Return the name in the bytes of a local header; empty if they are none."""
    if len(header) < FIXED or not header.startswith(MAGIC):
        return ""
    length = _FIELDS.unpack_from(header)[6]
    return decoded(header[FIXED : FIXED + length])


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


def decoded(name: bytes) -> str:
    """Return a name as text: programs write UTF-8, whether or not they say so, or else code page 437."""
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        return name.decode("cp437")
