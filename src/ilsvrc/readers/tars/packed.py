"""The bytes inside a compressed tar: in one sweep to index it, then anywhere, by seek points that the sweep left.

gzip (RFC 1952) has no places to begin at; the library `rapidgzip` notes some as it goes, and with the 32 KiB before
each it begins there later (its export is in the format of gztool). zstandard (RFC 8878) begins at any frame: a file
of many frames can be read at random, one of a single frame only from front to back.

Nothing vouches for bytes that were read at random, nor for seek points that somebody else may have written: whoever
reads here compares a digest of each image.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import io
import os
import re
import shlex
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakSet

import numpy as np
import numpy.typing as npt

from ilsvrc.archive.remote import SourceFile, source_of
from ilsvrc.archive.source import ArchiveSource
from ilsvrc.errors import ArchiveError, MissingExtraError, UsageError
from ilsvrc.issues import Code

FORMS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz"}
"""What a compressed file begins with."""

THREADS = min(8, os.cpu_count() or 1)
"""Threads that decompress gzip in one sweep; each holds some chunks of 4 MiB, so more would take too much memory."""

LONGEST = 64 << 20
"""Bytes of a zstandard frame up to which it is begun anew for a single image."""

_CHUNK = 1 << 20
_STEP = 1 << 15
"""Bytes of zstandard data decompressed at a time: a few may stand for very many."""

_FRAME, _SKIPPABLE = b"\x28\xb5\x2f\xfd", b"\x2a\x4d\x18"
_UNPACK = {"bzip2": "bunzip2 --keep", "xz": "unxz --keep"}
_REFETCH = "fetch the archive again, or write it again"


class Sweep(Protocol):
    """Reads the unpacked bytes, best from front to back; for one thread. Close it."""

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes at `offset`, counted in what is unpacked.

        Raises
        ------
        ArchiveError
            If the data end before, or are damaged.
        """

    def rest(self, offset: int) -> Iterator[bytes]:
        """Yield all bytes from `offset` to the end, in pieces."""

    def points(self) -> bytes:
        """Return the seek points, once all was read."""

    def close(self) -> None:
        """Let go of what it holds."""


def form_of(head: bytes) -> str:
    """Return how a file is compressed by its first bytes: gzip, zstd, bzip2, xz, or nothing: empty."""
    return next((form for magic, form in FORMS.items() if head.startswith(magic)), "")


def sweep(source: ArchiveSource, form: str, points: bytes | None = None) -> Sweep:
    """Return a sweep over a compressed file.

    Parameters
    ----------
    source
        The file.
    form
        How it is compressed.
    points
        Seek points, to begin anywhere; None to begin at the front and to find them.

    Raises
    ------
    MissingExtraError
        If the library for it is not installed.
    UsageError
        If it can't be read at random and is not read, but unpacked by its own program.
    """
    if form == "gzip":
        return GzipSweep(source, points, THREADS)
    if form == "zstd":
        return ZstdSweep(source, points)
    path = shlex.quote(str(source.path))
    hint = f"unpack it: {_UNPACK[form]} {path}"
    raise UsageError(f"{source.path} is compressed by {form}, which can't be read at random", hint=hint)


class Unpacked:
    """Random access to the bytes inside a compressed file. Thread-safe; forks; pickles with its seek points.

    Parameters
    ----------
    source
        The file.
    form
        `gzip` or `zstd`.
    points
        The seek points that a sweep left.
    """

    def __init__(self, source: ArchiveSource, form: str, points: bytes) -> None:
        self.source = source
        self.form = form
        self.points = points
        self._lock = threading.Lock()
        self._sweep: Sweep | None = None
        _UNPACKED.add(self)

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes at `offset`, counted in what is unpacked."""
        with self._lock:
            if self._sweep is None:
                self._sweep = self._random()
            return self._sweep.read(offset, length)

    def sweep(self) -> Sweep:
        """Return a sweep of one's own, to read much from front to back."""
        return sweep(source_of(self.source.path, self.source.state), self.form, self.points)

    def close(self) -> None:
        """Let go of what it has open; reading opens it again."""
        with self._lock:
            if self._sweep is not None:
                self._sweep.close()
                self._sweep = None
            self.source.close()

    def fits(self) -> bool:
        """Whether the points are such as a sweep over this file could have left."""
        try:
            self._random().close()
        except ArchiveError:
            return False
        return True

    def _random(self) -> Sweep:
        if self.form == "gzip":
            return GzipSweep(self.source, self.points, 1)
        return ZstdSweep(self.source, self.points, LONGEST)

    def _begin_anew(self) -> None:
        """Drop, in a fork, a lock that another thread of the parent may hold, and what it guards."""
        self._lock = threading.Lock()
        self._sweep = None

    def __reduce__(self) -> tuple[object, ...]:
        return Unpacked, (self.source, self.form, self.points)


_AHEAD = 32 << 20
"""Bytes of a file in a store that are fetched ahead."""


class GzipSweep:
    """A gzip file, decompressed by many threads of rapidgzip's."""

    def __init__(self, source: ArchiveSource, points: bytes | None, threads: int) -> None:
        try:
            import rapidgzip
        except ImportError:
            raise MissingExtraError("rapidgzip", "gzip") from None
        self._source = source
        source.refuse_changed()
        self._formats = rapidgzip.IndexFormat
        opened = str(source.path) if isinstance(source.path, Path) else SourceFile(source, _AHEAD)
        self._file: Any = rapidgzip.open(opened, parallelization=threads)
        self._at = 0
        _GZIPS.add(self)
        try:
            source.refuse_replaced()
            if points is not None:
                with self._faults(0):
                    self._file.import_index(io.BytesIO(points))
        except ArchiveError:
            self.close()
            raise

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes at `offset`."""
        with self._faults(offset):
            if offset != self._at:
                self._file.seek(offset)
            data = bytes(self._file.read(length))
        self._at = offset + len(data)
        if len(data) < length:
            raise _cut_short(self._source, self._at, self._compressed())
        return data

    def rest(self, offset: int) -> Iterator[bytes]:
        """Yield all bytes from `offset` to the end; the checksums of what was read in one go are compared there."""
        self.read(offset, 0)
        while True:
            with self._faults(self._at):
                if offset != self._at:
                    self._file.seek(self._at)
                data = bytes(self._file.read(_CHUNK))
            if not data:
                if self._compressed() < self._source.size:  # the library takes a stream that is cut short for whole
                    raise _cut_short(self._source, self._at, self._compressed())
                return
            self._at += len(data)
            offset = self._at
            yield data

    def points(self) -> bytes:
        """Return the seek points in the format of gztool, windows compressed."""
        kept = io.BytesIO()
        self._file.export_index(kept, self._formats.GZTOOL)
        return kept.getvalue()

    def close(self) -> None:
        """End its threads: one that lives on when Python ends aborts the process."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _compressed(self) -> int:
        return int(self._file.tell_compressed()) // 8

    @contextlib.contextmanager
    def _faults(self, offset: int) -> Iterator[None]:
        """Turn what the library raises into an error with its place."""
        try:
            yield
        except (ValueError, RuntimeError, OSError, EOFError, IndexError, MemoryError) as error:
            detail = f"it can't be unpacked around byte {offset:,} of its contents{_reason(error)}"
            raise ArchiveError(Code.DAMAGED_COMPRESSION, detail, self._source.path, hint=_REFETCH) from None

    def _leave(self) -> None:
        """Leave, in a fork, what belongs to the parent's threads: it must neither be used nor freed here."""
        if self._file is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._file))
            self._file = None

    def __del__(self) -> None:
        if getattr(self, "_file", None) is not None:
            self.close()


class ZstdSweep:
    """A zstandard file, decompressed frame by frame.

    Parameters
    ----------
    source
        The file.
    points
        First byte of each frame in the file and in what is unpacked, int64, as `points` returned them; None to find
        them.
    longest
        Bytes of a frame beyond which it is not begun anew, so that a loop of random reads does not take years; None
        to read on in it, but never back.
    """

    def __init__(self, source: ArchiveSource, points: bytes | None, longest: int | None = None) -> None:
        try:
            import zstandard
        except ImportError:
            raise MissingExtraError("zstandard", "zstd") from None
        self._library = zstandard
        self._source = source
        self._longest = longest
        self._known = None if points is None else _frames(points, source)
        self._frames = [(0, 0)]
        self._decoder: Any = None
        self._ready = bytearray()
        self._place = self._at = 0

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes at `offset`."""
        self._go_to(offset)
        while len(self._ready) < length:
            if not self._more():
                raise _cut_short(self._source, self._at + len(self._ready), self._place)
        data, self._ready = bytes(self._ready[:length]), self._ready[length:]
        self._at += length
        return data

    def rest(self, offset: int) -> Iterator[bytes]:
        """Yield all bytes from `offset` to the end."""
        self._go_to(offset)
        while self._ready or self._more():
            data, self._ready = bytes(self._ready), bytearray()
            self._at += len(data)
            yield data

    def points(self) -> bytes:
        """Return the first byte of each frame in the file and in what is unpacked, and the ends of both."""
        ends = (self._source.size, self._at + len(self._ready))
        return np.array([*self._frames, ends], "<i8").tobytes()

    def close(self) -> None:
        """Let go of the window."""
        self._decoder = None
        self._ready = bytearray()

    def _begin(self, place: int, offset: int) -> None:
        """Begin at a frame's place in the file, whose first byte in what is unpacked is `offset`."""
        self._place, self._at = place, offset
        self._ready = bytearray()
        self._decoder = None

    def _go_to(self, offset: int) -> None:
        """Move on to an offset; begin its frame anew where that is nearer, or the way leads back."""
        if self._known is not None:
            last = len(self._known) - 2
            here, there = np.clip(np.searchsorted(self._known[:, 1], [self._at, offset], "right") - 1, 0, last)
            (place, start), (_, stop) = self._known[there : there + 2].tolist()
            back = offset < self._at
            if stop - start > (self._longest or LONGEST) and (back or self._longest):
                raise _no_random_reads(self._source, stop - start)
            if back or there > here:
                self._begin(place, start)
        while self._at + len(self._ready) < offset:
            self._at += len(self._ready)
            self._ready = bytearray()
            if not self._more():
                raise _cut_short(self._source, self._at, self._place)
        del self._ready[: offset - self._at]
        self._at = offset

    def _more(self) -> bool:
        """Decompress some more; return whether there was anything left."""
        if self._place >= self._source.size:
            if self._decoder is not None:
                raise _cut_short(self._source, self._at + len(self._ready), self._place)
            return False
        data = self._source.read(self._place, min(_STEP, self._source.size - self._place))
        if self._decoder is None and not self._next_frame(data):
            return True
        try:
            found = self._decoder.decompress(data)
        except self._library.ZstdError as error:
            detail = f"it can't be unpacked around byte {self._place:,}: {error}"
            raise ArchiveError(Code.DAMAGED_COMPRESSION, detail, self._source.path, hint=_REFETCH) from None
        self._ready += found
        self._place += len(data) - len(self._decoder.unused_data)
        if self._decoder.eof:
            self._decoder = None
        self._source.let_go(self._place - len(data), len(data))
        return True

    def _next_frame(self, data: bytes) -> bool:
        """Make ready for the frame that begins here; pass over one to be skipped and return False."""
        if data[1:4] == _SKIPPABLE and data[0] & 0xF0 == 0x50:
            self._place += 8 + int.from_bytes(data[4:8], "little")
            return False
        if not data.startswith(_FRAME):
            detail = "no zstandard frame begins here"
            raise ArchiveError(Code.DAMAGED_COMPRESSION, detail, self._source.path, offset=self._place, hint=_REFETCH)
        unpacked = self._at + len(self._ready)
        if unpacked > self._frames[-1][1]:
            self._frames.append((self._place, unpacked))
        self._decoder = self._library.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
        return True


def _frames(points: bytes, source: ArchiveSource) -> npt.NDArray[np.int64]:
    """Return the frames that seek points tell of, and the ends, shape (F + 1, 2).

    Raises
    ------
    ArchiveError
        If they are no seek points of this file.
    """
    found = np.frombuffer(points, "<i8") if len(points) % 16 == 0 else np.empty(0, "<i8")
    pairs = found.reshape(-1, 2).astype(np.int64)
    if len(pairs) < 2 or pairs[0].any() or pairs[-1, 0] != source.size or (pairs[1:] <= pairs[:-1]).any():
        detail = "the stored seek points are not those of this file"
        raise ArchiveError(Code.DAMAGED_COMPRESSION, detail, source.path)
    return pairs


def _reason(error: Exception) -> str:
    """Return the reason that rapidgzip gives, after a colon, without its threads and bits; empty if it gives none."""
    reason = re.sub(r"\[[^\]]*\]\s*", "", str(error)).partition("! ")[0].rstrip(".!")
    return "" if reason in ("", "std::exception") else f": {reason}"


def _cut_short(source: ArchiveSource, unpacked: int, packed: int) -> ArchiveError:
    detail = (
        f"the archive ends after {unpacked:,} bytes of its contents, around byte {min(packed, source.size):,} "
        "of the file: it is cut short"
    )
    return ArchiveError(Code.TRUNCATED_ARCHIVE, detail, source.path, hint=_REFETCH)


def _no_random_reads(source: ArchiveSource, size: int) -> UsageError:
    path = shlex.quote(str(source.path))
    hint = (
        f"`ilsvrc prepare {path} DST` reads it from front to back; or compress it in many frames: "
        f"zstd -dc {path} | pzstd -o NEW.tar.zst"
    )
    return UsageError(
        f"{source.path}: images can't be read at random: {size:,} bytes of them are one zstandard frame", hint=hint
    )


_UNPACKED: WeakSet[Unpacked] = WeakSet()
_GZIPS: WeakSet[GzipSweep] = WeakSet()
"""All that are alive in this process, for its forks and its end."""


def _begin_anew() -> None:
    for gzip in list(_GZIPS):
        gzip._leave()
    for unpacked in list(_UNPACKED):
        unpacked._begin_anew()


def _close_all() -> None:
    for gzip in list(_GZIPS):
        gzip.close()


os.register_at_fork(after_in_child=_begin_anew)
atexit.register(_close_all)
