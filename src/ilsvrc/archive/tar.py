"""Walk one tar by its headers alone: ustar, GNU and pax.

Formats: POSIX.1-2017 `pax` (ustar and pax headers) and the GNU tar manual's "Basic Tar Format".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ilsvrc.archive.header import (
    BLOCK,
    checksum_faults,
    kind_fault,
    member_name,
    not_a_tar,
    path_fault,
    pax_records,
    pax_size,
    size_field,
)
from ilsvrc.archive.source import ByteSource
from ilsvrc.errors import ArchiveError
from ilsvrc.issues import Code

DIRECTORY = ord("5")
EXTENSIONS = frozenset(b"LKxXg")
_WITHOUT_DATA = frozenset(b"12346")
"""Links, devices and pipes: no data follow them, whatever size they state."""
APPLE_DOUBLE = "._"
"""Prefix of the files that macOS adds to a tar to hold attributes of other files; they are never images."""

LONGEST_EXTENSION = 1 << 20
"""An extension header with a payload of more bytes is taken for damage."""

_ZERO = bytes(BLOCK)
_REFETCH = "fetch the archive again"


@dataclass(frozen=True, slots=True)
class Extent:
    """Where a tar lies in the archive file.

    start, stop : bytes in the archive file, half open
    inner : the inner archive's member name, empty for the outer tar
    """

    start: int
    stop: int
    inner: str = ""


@dataclass(frozen=True, slots=True)
class Members:
    """The regular files of one tar, in archive order, without the files that macOS adds.

    names : member names without leading ./
    offsets : int64, first byte of each one's data in the archive file
    sizes : int64, bytes
    """

    names: list[str]
    offsets: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]


def walk(source: ByteSource, extent: Extent) -> Members:
    """Return the regular files of the tar at `extent`, having proved its structure.

    Every header's checksum holds, members tile the extent without gap or overlap up to an end-of-archive marker,
    nothing follows it, every path is safe, and no member is anything but a file or a folder. Folders, and the files
    whose names begin with `._` that macOS adds, are skipped. Only headers are read.

    Raises
    ------
    ArchiveError
        The message names archive, member and byte offset of the first fault.
    """
    return Walk(source, extent).run()


class Walk:
    """One pass over the headers of one tar; used once.

    Parameters
    ----------
    source
        The archive.
    extent
        Where the tar lies in it.
    skips
        Says by the name of a member that is no plain file or folder whether to pass over it; None to refuse them all.

    Attributes
    ----------
    position : byte of the next header
    ended : whether the end-of-archive marker was met
    """

    def __init__(self, source: ByteSource, extent: Extent, skips: Callable[[str], bool] | None = None) -> None:
        self.source = source
        self.extent = extent
        self.skips = skips
        self.position = extent.start
        self.ended = False
        self.begun = extent.start  # where what is collected begins
        self.headers: list[bytes] = []
        self.places: list[int] = []  # offset of each header
        self.names: list[str] = []
        self.offsets: list[int] = []
        self.sizes: list[int] = []
        self.spans: list[int] = []  # blocks that each header and its data take, in bytes
        self.pending: dict[str, str] = {}  # records of extension headers for the next member
        self.shared: dict[str, str] = {}  # records of pax global headers for all later members

    def run(self) -> Members:
        """Walk the tar, prove its structure, and return its members."""
        for _ in self.steps():
            pass
        found = self.members()
        self.prove_marker()
        return found

    def steps(self) -> Iterator[None]:
        """Go from header to header up to the end-of-archive marker, and give way after each."""
        try:
            while not self.ended:
                self._step()
                yield
        except ArchiveError as error:
            self._prove_checksums()  # a broken header is the cause, `error` only its consequence
            raise error from None

    def members(self) -> Members:
        """Return what was found since the last call, having proved it; not between an extension and its member."""
        self._prove_checksums()
        self._prove_tiling(self.position)
        found = Members(self.names, np.array(self.offsets, np.int64), np.array(self.sizes, np.int64))
        self.begun = self.position
        self.headers, self.places, self.spans = [], [], []
        self.names, self.offsets, self.sizes = [], [], []
        return found

    def _step(self) -> None:
        """Read one header, or find that the end-of-archive marker begins here."""
        position = self.position
        if position + BLOCK > self.extent.stop:
            raise self._cut_short(position)
        header = self.source.read(position, BLOCK)
        if header[0] == 0 and header == _ZERO:
            if self.pending:
                raise self._error(Code.BAD_HEADER, "an extension header is followed by no member", position)
            self.ended = True
            return
        self.headers.append(header)
        self.places.append(position)
        self._take(header, position, self._size(header, position))
        self.position += self.spans[-1]

    def _take(self, header: bytes, position: int, size: int) -> None:
        """Record the member that a header describes."""
        kind = header[156]
        if kind in EXTENSIONS:
            self._span(position, size)
            self._extend(header, position, size)
            return
        name = self.pending.get("path") or self.shared.get("path") or member_name(header)
        self.pending = {}
        folder = kind == DIRECTORY or (kind == 0 and name.endswith("/"))
        fault = kind_fault(header, kind) or path_fault(name.lstrip("/") if folder else name)
        if fault:
            if fault[0] is Code.SPARSE or not (self.skips and self.skips(name)):
                raise self._error(*fault, position, name)
            self._span(position, 0 if kind in _WITHOUT_DATA else size, name)
            return
        if folder:  # its path does not matter: no folder of an archive is ever created
            self.spans.append(BLOCK)
            return
        self._span(position, size, name)
        if name.rpartition("/")[2].startswith(APPLE_DOUBLE):
            return
        self.names.append(_plain(name))
        self.offsets.append(position + BLOCK)
        self.sizes.append(size)

    def _size(self, header: bytes, position: int) -> int:
        """Return the bytes of a header's data: the size in a pax record, else the one in the header."""
        stated = None if header[156] in EXTENSIONS else self.pending.get("size", self.shared.get("size"))
        size = size_field(header) if stated is None else pax_size(stated)
        if size < 0:
            if position == self.extent.start and checksum_faults(self.headers).size:
                raise self._no_tar(position)
            raise self._error(Code.BAD_HEADER, "its size is not a number", position)
        return size

    def _span(self, position: int, size: int, name: str = "") -> None:
        """Record the blocks that a header and its data take, if they lie within the extent."""
        span = BLOCK + (size + BLOCK - 1) // BLOCK * BLOCK
        if position + span > self.extent.stop:
            missing = position + span - self.extent.stop
            detail = f"its {size:,} bytes go beyond the end of the archive by {missing:,}: the archive is cut short"
            raise self._error(Code.TRUNCATED_ARCHIVE, detail, position, name)
        self.spans.append(span)

    def _extend(self, header: bytes, position: int, size: int) -> None:
        """Read an extension header: a GNU long name, or pax records for the next or for all members."""
        if size > LONGEST_EXTENSION:
            raise self._error(Code.BAD_HEADER, f"an extension header of {size:,} bytes", position)
        data = self.source.read(position + BLOCK, size)
        kind = chr(header[156])
        if kind == "L":
            self.pending["path"] = data.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
        elif kind != "K":  # a long link name belongs to a link, which is refused when it comes
            records = pax_records(data)
            if records is None:
                raise self._error(Code.BAD_HEADER, "a pax header that can't be read", position)
            if any(key.startswith("GNU.sparse") for key in records):
                raise self._error(Code.SPARSE, "a sparse file", position)
            (self.shared if kind == "g" else self.pending).update(records)

    def _prove_checksums(self) -> None:
        """Check every header's checksum at once; the first that fails is the fault."""
        wrong = checksum_faults(self.headers)
        if not wrong.size:
            return
        first = int(wrong[0])
        if self.places[first] == self.extent.start:
            raise self._no_tar(self.places[0])
        name = self.headers[first][:100].split(b"\0", 1)[0].decode("ascii", "backslashreplace")
        raise self._error(Code.BAD_CHECKSUM, "the header does not match its checksum", self.places[first], name)

    def _prove_tiling(self, end: int) -> None:
        """Check that every header begins where the blocks before it end, and the marker where the last ends."""
        starts = np.array([*self.places, end], np.int64)
        ends = np.array(self.places, np.int64) + np.array(self.spans, np.int64)
        if starts[0] != self.begun or not np.array_equal(starts[1:], ends):
            raise self._error(Code.BAD_HEADER, "members do not tile the archive", self.begun)

    def prove_marker(self) -> None:
        """Check that two zero blocks end the archive and that only zeros follow."""
        end = self.position
        stop = self.extent.stop
        if end + 2 * BLOCK > stop:
            raise self._cut_short(end)
        for position in range(end, stop, 1 << 20):
            data = self.source.read(position, min(1 << 20, stop - position))
            rest = data.lstrip(b"\0")
            if rest:
                place = position + len(data) - len(rest)
                detail = "data follow the end of the archive: more than one archive in one file?"
                raise self._error(Code.TRAILING_DATA, detail, place)

    def _cut_short(self, position: int) -> ArchiveError:
        if position == self.extent.start:  # there is no member: this may be no tar at all
            self.headers.append(self.source.read(position, min(BLOCK, self.extent.stop - position)))
            return self._no_tar(position)
        detail = "the archive ends without its end marker: it is cut short"
        return self._error(Code.TRUNCATED_ARCHIVE, detail, position)

    def _no_tar(self, position: int) -> ArchiveError:
        """Return the error for a first block that is no tar header."""
        recognised = not_a_tar(self.headers.pop(0), self.source.path, self.extent.inner, position)
        return recognised or self._error(Code.NOT_TAR, "this is not a tar archive", position)

    def _error(self, code: Code, detail: str, offset: int, name: str = "") -> ArchiveError:
        member = "/".join(part for part in (self.extent.inner, name) if part)
        return ArchiveError(
            code, detail, self.source.path, member=member, offset=offset, hint=_HINTS.get(code, _REFETCH)
        )


_HINTS = dict.fromkeys(
    (Code.PATH_TRAVERSAL, Code.ABSOLUTE_PATH, Code.SYMLINK, Code.HARD_LINK, Code.DEVICE),
    "the official archives hold no such member: don't unpack this one with any tool; fetch the official archive",
)


def _plain(name: str) -> str:
    """Return a path without empty and `.` parts."""
    if "./" not in name and "//" not in name:
        return name
    return "/".join(part for part in name.split("/") if part not in ("", "."))
