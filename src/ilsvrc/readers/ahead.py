"""Read rows of packed files in batches: the next is fetched while one is read, whose memory is then given back."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import numpy as np

from ilsvrc.archive.source import ArchiveSource
from ilsvrc.readers.reader import Int, Rows

NEAR = 256 << 10
"""Bytes between two images up to which they are fetched ahead in one piece: a disk reads on faster than it seeks."""

BATCH = 32 << 20
"""Bytes of images that `take` announces at a time; one batch is read while the next is fetched."""

HEADERS = 4 << 10
"""Bytes between two images up to which nothing but tar headers lies between them."""


def take_ahead(
    rows: Rows,
    sizes: Int,
    read: Callable[[int], bytes],
    *,
    will_need: Callable[[Rows], None],
    let_go: Callable[[Rows], None],
) -> Iterator[tuple[int, bytes]]:
    """Yield rows and their bytes in the order given, the system a batch ahead.

    Parameters
    ----------
    rows
        The rows to read.
    sizes
        Bytes that each of them takes in its file, shape (N,), int64.
    read
        Reads one row.
    will_need, let_go
        Announce the rows of a batch, and give back their memory.
    """
    parts = batches(rows, sizes)
    will_need(parts[0])
    for batch, following in itertools.zip_longest(parts, parts[1:], fillvalue=rows[:0]):
        will_need(following)
        for row in batch.tolist():
            yield row, read(row)
        let_go(batch)


class InFiles(ABC):
    """A reader of images that lie in many files: how it announces them, and gives their memory back."""

    sizes: Int

    @abstractmethod
    def read(self, row: int) -> bytes:
        """Return an image's file."""

    @abstractmethod
    def _ranges(self, rows: Rows, near: int) -> Iterator[tuple[ArchiveSource, int, int]]:
        """Yield file, first byte and length of each piece that holds some rows, neighbours up to `near` in one."""

    def take(self, rows: Rows) -> Iterator[tuple[int, bytes]]:
        """Yield rows and their bytes; the system fetches the next batch while one is read; its memory is let go."""
        return take_ahead(rows, self.sizes[rows], self.read, will_need=self.will_need, let_go=self.let_go)

    def will_need(self, rows: Rows) -> None:
        """Let the system fetch these rows ahead, neighbours in one piece."""
        for source, start, length in self._ranges(rows, NEAR):
            source.will_need(start, length)

    def let_go(self, rows: Rows) -> None:
        """Give back the memory of rows that were read."""
        for source, start, length in self._ranges(rows, HEADERS):
            source.let_go(start, length)


def batches(rows: Rows, sizes: Int) -> list[Rows]:
    """Cut rows into batches of about BATCH bytes each; one empty batch if there are no rows."""
    return np.split(rows, np.flatnonzero(np.diff(np.cumsum(sizes) // BATCH)) + 1)


def pieces(offsets: Int, sizes: Int, near: int = NEAR) -> list[tuple[int, int]]:
    """Return (offset, length) of each byte range that holds some images, in the order in which they will be read.

    Images with up to `near` bytes between them share a range.
    """
    if not len(offsets):
        return []
    order = np.argsort(offsets)
    starts, stops = offsets[order], (offsets + sizes)[order]
    ends = np.append(np.flatnonzero(starts[1:] > stops[:-1] + near), len(order) - 1)
    begins = np.append(0, ends[:-1] + 1)
    turns = np.argsort(np.minimum.reduceat(order, begins))
    found = starts[begins][turns], (stops[ends] - starts[begins])[turns]
    return list(zip(*(column.tolist() for column in found), strict=True))
