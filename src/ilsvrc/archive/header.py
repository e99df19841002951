"""The fields of a 512-byte tar header, and the values that are refused in them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ilsvrc import facts
from ilsvrc.errors import ArchiveError
from ilsvrc.issues import Code
from ilsvrc.stores.path import Location

_COMPRESSED = {
    b"\x1f\x8b": ("gzip", "gunzip"),
    b"BZh": ("bzip2", "bunzip2"),
    b"\xfd7zXZ\x00": ("xz", "unxz"),
    b"\x28\xb5\x2f\xfd": ("zstandard", "unzstd"),
    b"PK\x03\x04": ("zip", "unzip"),
}
_HTML = (b"<!doctype html", b"<html", b"<head", b"<?xml")


def not_a_tar(head: bytes, archive: Location, member: str = "", offset: int | None = None) -> ArchiveError | None:
    """Return the error for bytes whose beginning shows that they are no tar; None if they may be a tar.

    Parameters
    ----------
    head
        The first bytes, 512 or fewer.
    archive, member, offset
        The place of the bytes, for the message.
    """

    def _error(code: Code, detail: str, hint: str) -> ArchiveError:
        return ArchiveError(code, detail, archive, member=member, offset=offset, hint=hint)

    for magic, (name, program) in _COMPRESSED.items():
        if head.startswith(magic):
            if archive.name == facts.DEVKIT:
                hint = "this is the devkit, which has labels and no images: give the folder of the archives"
                return _error(Code.COMPRESSED, f"this is {name} data, not a tar", hint)
            hint = f"the official archives are not compressed: unpack it with {program} or fetch it again"
            return _error(Code.COMPRESSED, f"this is {name} data, not a tar", hint)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_HTML):
        hint = "the server sent a page, most likely its login; log in and fetch the archive again"
        return _error(Code.HTML_PAGE, "this is a web page saved as an archive", hint)
    if not head:
        return _error(Code.NOT_TAR, "the file is empty", "fetch the archive again")
    return None


BLOCK = 512
"""Bytes of a tar block."""

_REFUSED = {
    "1": (Code.HARD_LINK, "a hard link"),
    "2": (Code.SYMLINK, "a symbolic link"),
    "3": (Code.DEVICE, "a character device"),
    "4": (Code.DEVICE, "a block device"),
    "6": (Code.DEVICE, "a named pipe"),
    "S": (Code.SPARSE, "a sparse file"),
}
_ACCEPTED = frozenset(b"0\x0075")
_CHECKSUM = slice(148, 156)
_PAX_SIZE = re.compile(r"[0-9]{1,19}")
_PAX_RECORD = re.compile(rb"(\d{1,20}) ")

Fault = tuple[Code, str]


def size_field(header: bytes) -> int:
    """Return the size in bytes: octal digits, or base-256 where the first bit is set; -1 if it is neither."""
    field = header[124:136]
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big") if field[0] == 0x80 else -1
    try:
        size = int(field.strip(b" \0") or b"0", 8)
    except ValueError:
        return -1
    return max(size, -1)


def pax_size(text: str) -> int:
    """Return the size in bytes that a pax record states, -1 if it is no number of at most 19 digits."""
    return int(text) if _PAX_SIZE.fullmatch(text) else -1


def member_name(header: bytes) -> str:
    """Return the name in a header, with the prefix where it is a ustar one."""
    name = header[:100].split(b"\0", 1)[0]
    if header[345] and header[257:263] == b"ustar\0":
        name = header[345:500].split(b"\0", 1)[0] + b"/" + name
    return name.decode("utf-8", "surrogateescape")


def checksum_faults(headers: Sequence[bytes]) -> npt.NDArray[np.intp]:
    """Return the positions of headers whose checksum is wrong.

    The checksum is the sum of all bytes with the field itself taken as spaces; historic writers summed signed bytes,
    which readers accept too.
    """
    if not headers:
        return np.empty(0, np.intp)
    blocks = np.frombuffer(b"".join(headers), np.uint8).reshape(-1, BLOCK)
    field = blocks[:, _CHECKSUM]
    sums = blocks.sum(1, dtype=np.int64) - field.sum(1, dtype=np.int64) + 8 * ord(" ")
    stated = np.array([_octal(header[_CHECKSUM]) for header in headers], np.int64)
    suspects = np.flatnonzero(sums != stated)
    signed = blocks[suspects].view(np.int8)
    signed_sums = signed.sum(1, dtype=np.int64) - signed[:, _CHECKSUM].sum(1, dtype=np.int64) + 8 * ord(" ")
    faults: npt.NDArray[np.intp] = suspects[signed_sums != stated[suspects]]
    return faults


def kind_fault(header: bytes, kind: int) -> Fault | None:
    """Return the fault of a member of this type, or None: ilsvrc accepts regular files and folders only."""
    if kind in _ACCEPTED:
        return None
    refused = _REFUSED.get(chr(kind))
    if refused is None:
        return Code.UNKNOWN_MEMBER, f"a member of unknown type {chr(kind)!r}"
    code, description = refused
    target = header[157:257].split(b"\0", 1)[0].decode("utf-8", "backslashreplace")
    return code, f"{description} to {target!r}" if target and code is not Code.DEVICE else description


def path_fault(name: str) -> Fault | None:
    """Return the fault of a path, or None: a path must stay below the folder that it is unpacked to."""
    if name.startswith("/"):
        return Code.ABSOLUTE_PATH, "an absolute path"
    if ".." in name and ".." in name.split("/"):
        return Code.PATH_TRAVERSAL, "a path that leads out of its folder"
    return None


def pax_records(data: bytes) -> dict[str, str] | None:
    """Return the records of a pax header, `LENGTH KEY=VALUE` and a newline each; None if they can't be read."""
    records: dict[str, str] = {}
    position = 0
    while position < len(data):
        match = _PAX_RECORD.match(data, position)
        end = position + int(match[1]) if match else 0
        if not match or end > len(data) or end <= match.end() or data[end - 1] != ord("\n"):
            return None
        key, equals, value = data[match.end() : end - 1].partition(b"=")
        if not equals:
            return None
        records[key.decode("utf-8", "surrogateescape")] = value.decode("utf-8", "surrogateescape")
        position = end
    return records


def _octal(field: bytes) -> int:
    """Return the number in an octal field, or -1, which no checksum equals, if the field holds no number."""
    try:
        return int(field.strip(b" \0") or b"-1", 8)
    except ValueError:
        return -1
