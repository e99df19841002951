"""Files cut into blocks with a header each: an image that lies across some is not in one piece.

ArrayRecord is made of Riegeli's records, and those have such blocks:
https://github.com/google/riegeli/blob/master/doc/riegeli_records_file_format.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from ilsvrc.readers.reader import Int

_Numbers = TypeVar("_Numbers", int, Int)


@dataclass(frozen=True, slots=True)
class Blocks:
    """How a file is cut.

    size : bytes of a block, with its header
    header : bytes at the begin of each that belong to no image
    """

    size: int
    header: int

    def after(self, offsets: _Numbers, counts: _Numbers) -> _Numbers:
        """Return the offset of the byte `counts` bytes further on, headers not counted.

        Parameters
        ----------
        offsets
            Where to begin, in bytes; not in a header. An int, or int64 of shape (N,).
        counts
            How far to go, in bytes, 0 or more; of the same type.
        """
        room = self.size - offsets % self.size
        crossed = (counts - room) // (self.size - self.header) + 1
        return offsets + counts + crossed * self.header

    def length(self, offsets: _Numbers, sizes: _Numbers) -> _Numbers:
        """Return the bytes of the file from the first byte of an image to its last, headers among them included."""
        return self.after(offsets, sizes - 1) + 1 - offsets

    def without_headers(self, data: bytes, offset: int) -> bytes:
        """Return what lies between the headers in bytes of the file that begin at an offset, not in a header."""
        first = self.size - offset % self.size
        pieces = [data[:first]]
        pieces += [data[at + self.header : at + self.size] for at in range(first, len(data), self.size)]
        return b"".join(pieces)


BLOCKS = {"array_record": Blocks(64 << 10, 24)}
"""The formats whose files are cut into blocks, by name."""
