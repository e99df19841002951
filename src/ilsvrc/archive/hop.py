"""One walk over the headers of a tar, from each to the next, as fast as can be."""

from __future__ import annotations

from collections.abc import Callable

from ilsvrc.archive.header import BLOCK

_SIZE = slice(124, 135)


class Hop:
    """A walk through one tar from header to header; it ends at one without a size, such as the zeros at the end.

    Parameters
    ----------
    place
        The first header.
    last
        The last place that a header could have.
    """

    __slots__ = ("begun", "headers", "last", "place", "sizes")

    def __init__(self, place: int, last: int) -> None:
        self.begun = place
        self.place = place
        self.last = last
        self.headers: list[bytes] = []
        self.sizes: list[int] = []

    def step(self, read: Callable[[int, int], bytes]) -> bool:
        """Read one header; return whether there may be another."""
        if self.place > self.last:
            return False
        header = read(self.place, BLOCK)
        try:
            size = int(header[_SIZE], 8)
        except ValueError:
            return False
        if size < 0:
            return False
        self.headers.append(header)
        self.sizes.append(size)
        self.place += BLOCK + (size + BLOCK - 1 & -BLOCK)
        return True
