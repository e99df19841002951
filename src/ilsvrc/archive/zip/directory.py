"""Where the list of a zip's members lies: at its end.

After PKWARE's APPNOTE 6.3.10, sections 4.3.14 to 4.3.16: https://support.pkware.com/pkzip/appnote
"""

from __future__ import annotations

import shlex
import struct
from dataclasses import dataclass
from typing import Any

from ilsvrc.archive.header import not_a_tar
from ilsvrc.archive.source import ByteSource
from ilsvrc.archive.zip.entry import MAGIC
from ilsvrc.errors import ArchiveError
from ilsvrc.files import printable
from ilsvrc.issues import Code
from ilsvrc.stores.path import fetch_folder

_SPANNED = b"PK\x07\x08"
"""The signature with which the first part of a split zip begins."""

FETCH_AGAIN = "resume its download, or fetch it again"

_END, _END64, _LOCATOR = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_END_FIELDS = struct.Struct("<4sHHHHIIH")
_END64_FIELDS = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR_FIELDS = struct.Struct("<4sIQI")
_LONGEST_END = _END_FIELDS.size + 0xFFFF
_WRAP = 1 << 32


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


def is_zip(source: ByteSource) -> bool:
    """Whether a file begins as a zip does, or ends as one: the last of several parts, or a zip behind a program."""
    if source.read(0, min(source.state.size, len(MAGIC))) in (MAGIC, _SPANNED):
        return True
    tail = source.read(max(0, source.state.size - _LONGEST_END), min(source.state.size, _LONGEST_END))
    return _last_end(tail) is not None


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
    if at is None:
        raise _no_zip(source, head)
    _, disk, first_disk, here, entries, length, offset, _ = _END_FIELDS.unpack_from(tail, at)
    stop = begin + at
    wide = _wide_end(source, stop)
    if wide:
        stop, (_, _, _, _, disk, first_disk, here, entries, length, offset) = wide
    if disk or first_disk or here != entries:
        raise _in_parts(source)
    if not head.startswith((MAGIC, _END)):
        detail = "other bytes lie before the zip, as in an archive that unpacks itself"
        hint = f"unpack it: `unzip {shlex.quote(str(source.path))} -d FOLDER`; then give FOLDER"
        raise ArchiveError(Code.WRONG_FILE, detail, source.path, hint=hint)
    start = stop - length
    surplus = start - offset
    if surplus < 0 or start < 0:
        detail = f"its list of members should begin at byte {offset:,}: {-surplus:,} bytes before it are missing"
        raise ArchiveError(Code.TRUNCATED_ARCHIVE, detail, source.path, hint=FETCH_AGAIN)
    if surplus and (wide or surplus % _WRAP):
        detail = f"{surplus:,} bytes that the zip does not speak of lie before its list of members"
        raise ArchiveError(Code.TRAILING_DATA, detail, source.path, hint=FETCH_AGAIN)
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
    raise ArchiveError(Code.TRUNCATED_ARCHIVE, detail, source.path, hint=FETCH_AGAIN)


def _no_zip(source: ByteSource, head: bytes) -> ArchiveError:
    """Return the error for a file without an end record."""
    if head.startswith(MAGIC):
        detail = (
            f"the zip has no list of members at its end: after its {source.state.size:,} bytes more should follow; "
            "it is still being fetched, or was cut short"
        )
        folder = printable(fetch_folder(source.path.absolute().parent))
        command = f"`ilsvrc fetch --kaggle --to {folder}` resumes it, if it is Kaggle's; else {FETCH_AGAIN}"
        return ArchiveError(Code.TRUNCATED_ARCHIVE, detail, source.path, hint=f"let its download end; or {command}")
    if head.startswith(_SPANNED):
        return _in_parts(source)
    page = not_a_tar(head, source.path)
    if page and page.code == Code.HTML_PAGE:
        return page
    detail = "this is no zip" if head else "the file is empty"
    return ArchiveError(Code.WRONG_FILE, detail, source.path, hint=FETCH_AGAIN)


def _in_parts(source: ByteSource) -> ArchiveError:
    detail = "this is one part of a zip that was split into several"
    hint = "join them first: `zip -s 0 FIRST.zip --out WHOLE.zip`"
    return ArchiveError(Code.WRONG_FILE, detail, source.path, hint=hint)
