"""Write tars record by record: the standard library's writer refuses to write broken ones."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

BLOCK = tarfile.BLOCKSIZE
MTIME = 1_339_632_000
"""14 June 2012, the day of the genuine devkit; fixed, so that the same seed gives the same archives."""

_CHECKSUM = slice(148, 156)
_SIZE = slice(124, 136)


@dataclass(frozen=True, slots=True)
class Entry:
    """A member to be written.

    name : the name in the header
    payload : returns its bytes, when they are needed
    kind : the type flag of its header
    link : the name that a link points to
    rewrite : changes the finished header of 512 bytes
    image : official name of the image, where the last part of `name` is another
    """

    name: str
    payload: Callable[[], bytes] = bytes
    kind: bytes = tarfile.REGTYPE
    link: str = ""
    rewrite: Callable[[bytes], bytes] = bytes
    image: str = ""


class TarWriter:
    """Writes one tar at the current position of a file; it needs `seek` only for nested tars."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._start = file.tell()

    def add(self, entry: Entry, data: bytes) -> None:
        """Write a member with this payload, padded to whole blocks."""
        self._file.write(header(entry, len(data)))
        self._file.write(data)
        self._pad(BLOCK)

    @contextmanager
    def nested(self, name: str) -> Iterator[None]:
        """Make a member of the bytes that the caller writes within the block; its size is filled in afterwards."""
        place = self._file.tell()
        self._file.write(bytes(BLOCK))
        yield
        end = self._file.tell()
        self._file.seek(place)
        self._file.write(header(Entry(name), end - place - BLOCK))
        self._file.seek(end)
        self._pad(BLOCK)

    def close(self) -> None:
        """Write the two zero blocks that end a tar, and zeros up to a whole record of 10,240 bytes."""
        self._file.write(bytes(2 * BLOCK))
        self._pad(tarfile.RECORDSIZE)

    def _pad(self, unit: int) -> None:
        self._file.write(bytes((self._start - self._file.tell()) % unit))


def header(entry: Entry, size: int) -> bytes:
    """Return the header block of a member whose payload has `size` bytes; GNU format, as GNU tar writes it."""
    info = tarfile.TarInfo(entry.name)
    info.type, info.linkname, info.size, info.mtime = entry.kind, entry.link, size, MTIME
    info.mode = 0o755 if entry.kind == tarfile.DIRTYPE else 0o644
    info.uname = info.gname = "imagenet"
    if entry.kind == tarfile.CHRTYPE:
        info.devmajor, info.devminor = 1, 3  # /dev/null
    return entry.rewrite(info.tobuf(tarfile.GNU_FORMAT))


def with_checksum_too_high(block: bytes) -> bytes:
    """Return the header with a checksum that is wrong by one."""
    return _with_checksum(block, checksum(block) + 1)


def with_base256_size(block: bytes) -> bytes:
    """Return the header with its size in base 256, as GNU tar writes sizes of 8 GiB and more."""
    size = int(block[_SIZE].rstrip(b"\0 "), 8)
    changed = block[: _SIZE.start] + b"\x80" + size.to_bytes(11, "big") + block[_SIZE.stop :]
    return _with_checksum(changed, checksum(changed))


def checksum(block: bytes) -> int:
    """Return the sum of a header's bytes, with spaces where its own checksum stands."""
    return sum(block) - sum(block[_CHECKSUM]) + 8 * ord(" ")


def _with_checksum(block: bytes, value: int) -> bytes:
    return block[: _CHECKSUM.start] + b"%06o\0 " % value + block[_CHECKSUM.stop :]


def gnu_long_name(name: str) -> Entry:
    """Return the record that holds the name of the next member, as GNU tar writes it for names over 100 bytes."""
    return Entry("././@LongLink", f"{name}\0".encode, kind=tarfile.GNUTYPE_LONGNAME)


def pax_header(name: str) -> Entry:
    """Return a POSIX.1-2001 record that holds the name and the time of the next member."""
    records = pax_record("path", name) + pax_record("mtime", f"{MTIME}.25")
    return Entry(f"PaxHeaders/{name}", lambda: records, kind=tarfile.XHDTYPE)


def pax_record(key: str, value: str) -> bytes:
    """Return `LENGTH KEY=VALUE` and a newline, where LENGTH counts itself too."""
    rest = f" {key}={value}\n".encode()
    digits = len(str(len(rest)))
    digits = len(str(len(rest) + digits))
    return b"%d%b" % (len(rest) + digits, rest)
