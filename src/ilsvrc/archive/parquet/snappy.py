"""Cut a Snappy stream where it can be decompressed from: one image can then be read out of a page of a hundred.

Encoders compress 64 KiB at a time, and what they write of one such block refers to no other (google/snappy,
`kBlockSize`). The format does not demand it (format_description.txt), so all elements of a stream are looked at
before it is cut. A piece of it, behind a length of its own, is a Snappy stream again, for any library to decompress.
"""

from __future__ import annotations

BLOCK = 1 << 16
"""Bytes that encoders compress at a time."""

_WORTH = 0.75
"""Compressed size, as a part of the other, below which a page is not cut: it would have very many elements."""


def cuts(stream: bytes, size: int) -> list[int] | None:
    """Return the place in a stream where each block of BLOCK bytes begins, and then the stream's end.

    Parameters
    ----------
    stream
        A Snappy stream that was decompressed without error before.
    size
        Bytes that it decompresses to.

    Returns
    -------
    list of int or None
        None if the stream was made in another way, so that it has to be decompressed as a whole.
    """
    if len(stream) < _WORTH * size:
        return None
    at = 0
    while stream[at] > 0x7F:
        at += 1
    at += 1
    found, done, edge, end = [at], 0, BLOCK, len(stream)
    while at < end:
        tag = stream[at]
        kind, back = tag & 3, 0
        if kind == 0:
            length = (tag >> 2) + 1
            width = max(0, length - 60)
            if width:
                length = int.from_bytes(stream[at + 1 : at + 1 + width], "little") + 1
            at += 1 + width + length
        elif kind == 1:
            length = (tag >> 2 & 7) + 4
            back = (tag >> 5 << 8) | stream[at + 1]
            at += 2
        else:
            length, width = (tag >> 2) + 1, 2 if kind == 2 else 4
            back = int.from_bytes(stream[at + 1 : at + 1 + width], "little")
            at += 1 + width
        if back > done - edge + BLOCK:
            return None  # it copies from another block
        done += length
        if done >= edge:
            if done > edge:
                return None  # an element of two blocks
            found.append(at)
            edge += BLOCK
    if done != size:
        return None
    return found if found[-1] == end else [*found, end]


def framed(piece: bytes, size: int) -> bytes:
    """Return a piece of a stream as a stream of its own.

    Parameters
    ----------
    piece
        Whole blocks.
    size
        Bytes that they decompress to.
    """
    length = bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    length.append(size)
    return bytes(length) + piece
