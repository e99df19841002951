"""Ranges of objects fetched in the background, and kept in memory until they are given back."""

from __future__ import annotations

import os
import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

MEMORY = 256 << 20
"""Bytes that are kept for all objects of a process; beyond that, the ranges announced first are dropped."""

AT_ONCE = 32
"""Requests of a process that run at the same time."""

PIECE = 8 << 20
"""Bytes of one request at most: a longer range is fetched in pieces, which come at the same time."""

Fetch = Callable[[int, int], bytes]
"""Returns the bytes at (start, length) of an object."""


@dataclass(slots=True, eq=False)
class _Piece:
    """A range that was announced.

    start, stop : first byte, and the byte after the last
    ranges : those of the same object, which hold it
    data : its bytes, now or later
    """

    start: int
    stop: int
    ranges: Ranges
    data: Future[bytes]


class Prefetch:
    """The ranges of all objects of a process. Safe to use from many threads.

    Parameters
    ----------
    memory
        Bytes to keep.
    at_once
        Requests that run at the same time.
    """

    def __init__(self, memory: int = MEMORY, at_once: int = AT_ONCE) -> None:
        self._memory = memory
        self._lock = threading.Lock()
        self._pieces: dict[_Piece, None] = {}  # in order of their announcement
        self._held = 0
        self.pool = ThreadPoolExecutor(at_once, "ilsvrc-store")

    def announce(self, ranges: Ranges, start: int, stop: int) -> None:
        """Begin to fetch a range, as far as it is not there and memory allows."""
        with self._lock:
            for begin, end in list(ranges.gaps(start, min(stop, start + self._memory))):
                for at in range(begin, end, PIECE):
                    self._begin(ranges, at, min(end, at + PIECE))

    def _begin(self, ranges: Ranges, start: int, stop: int) -> None:
        while self._pieces and self._held + stop - start > self._memory:
            self._drop(next(iter(self._pieces)))
        piece = _Piece(start, stop, ranges, self.pool.submit(ranges.fetch, start, stop - start))
        self._pieces[piece] = None
        self._held += stop - start
        insort(ranges.pieces, piece, key=_start)

    def _drop(self, piece: _Piece) -> None:
        piece.data.cancel()
        del self._pieces[piece]
        self._held -= piece.stop - piece.start
        piece.ranges.pieces.remove(piece)

    def drop(self, ranges: Ranges, start: int, stop: int) -> None:
        """Give back the pieces that a range touches."""
        with self._lock:
            for piece in ranges.touched(start, stop):
                self._drop(piece)

    def read(self, ranges: Ranges, start: int, stop: int) -> bytes:
        """Return the bytes of a range: those announced from memory, as soon as they have come; all others fetched."""
        with self._lock:
            pieces = ranges.touched(start, stop)
        parts, at = [], start
        for piece in pieces:
            parts.append(self._fetched(ranges, at, piece.start))
            at = max(at, piece.start)
            parts.append(self._taken(piece, at, min(stop, piece.stop)))
            at = min(stop, piece.stop)
        parts.append(self._fetched(ranges, at, stop))
        parts = [part for part in parts if part]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _taken(self, piece: _Piece, start: int, stop: int) -> bytes:
        """Return some bytes of a piece."""
        try:
            data = piece.data.result()
        except CancelledError:  # it was dropped before its turn
            return piece.ranges.fetch(start, stop - start)
        except BaseException:
            with self._lock:  # who reads it again asks the server again
                if piece in self._pieces:
                    self._drop(piece)
            raise
        return data[start - piece.start : stop - piece.start]

    def _fetched(self, ranges: Ranges, start: int, stop: int) -> bytes:
        """Return bytes that were not announced."""
        if stop - start <= PIECE:
            return ranges.fetch(start, stop - start) if start < stop else b""
        parts = [(at, min(PIECE, stop - at)) for at in range(start, stop, PIECE)]
        return b"".join(self.pool.map(lambda part: ranges.fetch(*part), parts))


@dataclass(slots=True, eq=False)
class Ranges:
    """The ranges of one object that were announced.

    fetch : asks the server for a range
    pieces : what is kept, by its place; no two overlap
    """

    fetch: Fetch
    pieces: list[_Piece] = field(default_factory=list)

    def touched(self, start: int, stop: int) -> list[_Piece]:
        """Return the pieces that have bytes of a range."""
        first = bisect_right(self.pieces, start, key=_stop)
        return self.pieces[first : bisect_left(self.pieces, stop, key=_start)]

    def gaps(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yield begin and end of the parts of a range that are in no piece."""
        for piece in self.touched(start, stop):
            if start < piece.start:
                yield start, piece.start
            start = piece.stop
        if start < stop:
            yield start, stop


def _start(piece: Any) -> int:
    start: int = piece.start
    return start


def _stop(piece: Any) -> int:
    stop: int = piece.stop
    return stop


_PREFETCH: Prefetch | None = None
_MAKING = threading.Lock()


def prefetch() -> Prefetch:
    """Return the one of this process."""
    global _PREFETCH  # noqa: PLW0603
    if _PREFETCH is None:
        with _MAKING:
            if _PREFETCH is None:
                _PREFETCH = Prefetch()
    return _PREFETCH


def _begin_anew() -> None:
    """Forget, in a child that was forked, its parent's threads, which it doesn't have, and a lock they may hold."""
    global _PREFETCH, _MAKING
    _PREFETCH, _MAKING = None, threading.Lock()


os.register_at_fork(after_in_child=_begin_anew)
