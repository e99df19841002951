"""Walk tars in a store, whose every answer takes long: many headers are asked for at the same time.

Many tars are walked by as many threads. One long tar is cut into segments: in each a header is looked for, and walked on
from. What looks like a header may lie within an image, so a segment counts only if the walk from the first byte of the
tar arrives at its first header; otherwise that walk goes on alone until it arrives at one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from ilsvrc.archive.header import BLOCK, checksum_faults
from ilsvrc.archive.hop import Hop
from ilsvrc.archive.source import ArchiveSource
from ilsvrc.archive.tar import Extent, Members

WINDOW = 64 << 10
"""Bytes of a request where members are small: it brings many headers."""

SEGMENT = 8 << 20
"""Bytes of a segment at least."""

_FARTHEST = 16 << 20
"""Bytes within which a header is looked for: no image is larger by much."""

_INNER = b".tar"


def walk_apart(
    source: ArchiveSource, extents: Sequence[Extent], walk: Callable[[ArchiveSource, Extent, Hop], Members]
) -> Iterator[Members]:
    """Yield the members of each of many tars, walked by as many threads as reads are worth making at once.

    Parameters
    ----------
    source
        The archive.
    extents
        Where the tars lie in it.
    walk
        Proves what a walk has found, and returns the members.
    """

    def one(extent: Extent) -> Members:
        hop = Hop(extent.start, extent.stop - BLOCK)
        _walk_on(source, hop, extent.stop)
        return walk(source, extent, hop)

    pool = ThreadPoolExecutor(source.at_once, "ilsvrc-walk")
    try:
        yield from pool.map(one, extents)
    finally:
        pool.shutdown(cancel_futures=True)


def hop_in_segments(source: ArchiveSource, extent: Extent) -> Hop:
    """Return the walk over one tar from its first byte, made in segments where it is long and has images alone."""
    whole = Hop(extent.start, extent.stop - BLOCK)
    count = min(source.at_once, (extent.stop - extent.start) // SEGMENT)
    if count < 2 or _holds_tars(source, extent):
        _walk_on(source, whole, extent.stop)
        return whole
    step = (extent.stop - extent.start) // count // BLOCK * BLOCK
    with ThreadPoolExecutor(count, "ilsvrc-walk") as pool:
        looked = pool.map(partial(_first_header, source, extent), range(extent.start + step, extent.stop, step))
        begins = [extent.start, *sorted({place for place in looked if place is not None})]
        segments = [Hop(begin, whole.last) for begin in begins]
        bounds = [*begins[1:], extent.stop]
        list(pool.map(partial(_walk_on, source), segments, bounds))
    for segment in segments:
        _walk_on(source, whole, segment.begun)
        if whole.place == segment.begun:
            whole.headers += segment.headers
            whole.sizes += segment.sizes
            whole.place = segment.place
    _walk_on(source, whole, extent.stop)
    return whole


def _holds_tars(source: ArchiveSource, extent: Extent) -> bool:
    """Whether the first member is a tar: headers within it would be taken for those of members."""
    name = source.read(extent.start, min(100, extent.stop - extent.start)).partition(b"\0")[0]
    return name.endswith(_INNER)


def _walk_on(source: ArchiveSource, hop: Hop, bound: int) -> None:
    """Go on with a walk up to a bound, or to its end."""
    read = _Window(source, hop.last + BLOCK).read
    while hop.place < bound and hop.step(read):
        pass


def _first_header(source: ArchiveSource, extent: Extent, start: int) -> int | None:
    """Return the place of the first block from some place on that may be a header; None if none is near."""
    at, length = start, 2 * WINDOW
    while at < min(start + _FARTHEST, extent.stop - BLOCK):
        data = source.read(at, min(length, extent.stop - at) // BLOCK * BLOCK)
        blocks = [data[begin : begin + BLOCK] for begin in range(0, len(data), BLOCK)]
        right = np.setdiff1d(np.arange(len(blocks)), checksum_faults(blocks))
        named = [block for block in right.tolist() if blocks[block][0]]
        if named:
            return int(at + BLOCK * named[0])
        at += len(data)
        length = min(2 * length, 1 << 20)
    return None


class _Window:
    """Reads headers: one by one where members are large; by the window where the last one was near."""

    def __init__(self, source: ArchiveSource, stop: int) -> None:
        self._source = source
        self._stop = stop
        self._data = b""
        self._start = self._last = -WINDOW

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes at `offset`."""
        at = offset - self._start
        if not 0 <= at <= len(self._data) - length:
            near = offset - self._last < WINDOW // 4
            self._data = self._source.read(offset, min(WINDOW, self._stop - offset) if near else length)
            self._start, at = offset, 0
        self._last = offset
        return self._data[at : at + length]
