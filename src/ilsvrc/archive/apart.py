"""Walk tars in a store, whose every answer takes long: many headers are asked for at the same time.

The tars in a tar are walked by many threads, each as soon as it is met. A long tar of images is cut into segments: in
each a header is looked for, and walked on from. What looks like a header may lie within an image, so a segment counts
only if the walk from the first byte of the tar arrives at its first header; otherwise that walk goes on alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Self

import numpy as np

from ilsvrc.archive.header import BLOCK, checksum_faults
from ilsvrc.archive.hop import Hop
from ilsvrc.archive.source import ArchiveSource
from ilsvrc.archive.tar import Extent, Members

WINDOW = 64 << 10
"""Bytes of a request where members are small: it brings many headers."""

SMALL = 64 << 20
"""Bytes of an archive up to which all of it is fetched: that takes eight requests, and its headers take thousands."""

SEGMENT = 8 << 20
"""Bytes of a segment at least."""

_FARTHEST = 16 << 20
"""Bytes within which a header is looked for: no image is larger by much."""

_INNER = b".tar"

Prove = Callable[[ArchiveSource, Extent, Hop], Members]


class InnerWalks:
    """The walks over the tars in a tar, each begun as soon as the walk over the outer one meets it.

    A context: leaving it ends the threads.

    Parameters
    ----------
    source
        The archive.
    prove
        Proves what a walk has found, and returns the members.
    """

    def __init__(self, source: ArchiveSource, prove: Prove) -> None:
        self._source = source
        self._prove = prove
        self._begun: dict[Extent, Future[Members]] = {}
        self._pool = ThreadPoolExecutor(source.at_once, "ilsvrc-walk")

    def __enter__(self) -> Self:
        if self._source.size <= SMALL:
            self._source.will_need(0, self._source.size)
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        if self._source.size <= SMALL:
            self._source.let_go(0, self._source.size)

    def begin(self, extent: Extent) -> Future[Members]:
        """Begin the walk over a tar, unless it has begun."""
        if extent not in self._begun:
            self._begun[extent] = self._pool.submit(self._walked, extent)
        return self._begun[extent]

    def members(self, extents: Sequence[Extent]) -> Iterator[Members]:
        """Yield the members of each of many tars."""
        for extent in extents:
            self.begin(extent)
        for extent in extents:
            yield self._begun.pop(extent).result()

    def _walked(self, extent: Extent) -> Members:
        hop = Hop(extent.start, extent.stop - BLOCK)
        _walk_on(self._source, hop, extent.stop)
        return self._prove(self._source, extent, hop)


def hop_over(source: ArchiveSource, extent: Extent, inner: InnerWalks) -> Hop:
    """Return the walk over a tar from its first byte; one of images alone is walked in segments where it is long.

    Parameters
    ----------
    source
        The archive.
    extent
        Where the tar lies in it.
    inner
        Gets the tars that the walk meets.
    """
    whole = Hop(extent.start, extent.stop - BLOCK)
    count = min(source.at_once, (extent.stop - extent.start) // SEGMENT)
    if _holds_tars(source, extent):
        _walk_on(source, whole, extent.stop, inner)
    elif count < 2:
        _walk_on(source, whole, extent.stop)
    else:
        _join(source, whole, extent, _segments(source, extent, count))
    return whole


def _segments(source: ArchiveSource, extent: Extent, count: int) -> list[Hop]:
    """Return walks from the first header that is found in each segment, up to that of the next."""
    step = (extent.stop - extent.start) // count // BLOCK * BLOCK
    with ThreadPoolExecutor(count, "ilsvrc-walk") as pool:
        looked = pool.map(partial(_first_header, source, extent), range(extent.start + step, extent.stop, step))
        begins = [extent.start, *sorted({place for place in looked if place is not None})]
        segments = [Hop(begin, extent.stop - BLOCK) for begin in begins]
        list(pool.map(partial(_walk_on, source), segments, [*begins[1:], extent.stop]))
    return segments


def _join(source: ArchiveSource, whole: Hop, extent: Extent, segments: Sequence[Hop]) -> None:
    """Go on with a walk through segments: those that it arrives at are taken over, the others walked anew."""
    for segment in segments:
        _walk_on(source, whole, segment.begun)
        if whole.place == segment.begun:
            whole.headers += segment.headers
            whole.sizes += segment.sizes
            whole.place = segment.place
    _walk_on(source, whole, extent.stop)


def _holds_tars(source: ArchiveSource, extent: Extent) -> bool:
    """Whether the first member is a tar: headers within it would be taken for those of members."""
    name = source.read(extent.start, min(100, extent.stop - extent.start)).partition(b"\0")[0]
    return name.endswith(_INNER)


def _walk_on(source: ArchiveSource, hop: Hop, bound: int, inner: InnerWalks | None = None) -> None:
    """Go on with a walk up to a bound, or to its end; tars that it meets are walked meanwhile."""
    read = _Window(source, hop.last + BLOCK).read
    place = hop.place
    while hop.place < bound and hop.step(read):
        name = hop.headers[-1][:100].rstrip(b"\0")
        if inner and name.endswith(_INNER) and name.isascii():
            inner.begin(Extent(place + BLOCK, place + BLOCK + hop.sizes[-1], name.decode("ascii")))
        place = hop.place


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
