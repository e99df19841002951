"""Where each value of a column of images lies: in the file as it is, or in a piece of it that is compressed."""

from __future__ import annotations

import struct
import zlib
from array import array
from collections.abc import Callable
from contextlib import AbstractContextManager
from enum import IntEnum
from threading import Lock, Semaphore

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ilsvrc.archive.parquet import snappy
from ilsvrc.archive.parquet.pages import Chunk, Encoding, Kind, Page, damaged, walk_pages
from ilsvrc.archive.parquet.thrift import MalformedError, varint
from ilsvrc.archive.source import ByteSource
from ilsvrc.errors import ArchiveError
from ilsvrc.issues import Code


class Coding(IntEnum):
    """How an image is made of the bytes of its piece of the file.

    The numbers are in stored indexes.
    """

    RAW = 0
    """The piece is the image."""
    SHARED = 1
    """The piece is the image, and that of other rows with the same bytes."""
    BLOCKS = 2
    """The piece is whole blocks of a Snappy stream, without its head."""
    SNAPPY = 3
    GZIP = 4
    BROTLI = 5
    ZSTD = 6
    LZ4_RAW = 7
    STORED = 8
    """The piece is a page that is not compressed."""
    ROW_GROUP = 9
    """The image is read by pyarrow: `offset` is the number of the row group, `skip` of the row in it."""


PREFIX = 4
"""Bytes of a value's length, little-endian, which stand before the value in the encoding PLAIN."""

EXTENT = np.dtype(
    [("offset", "<i8"), ("length", "<i4"), ("plain", "<i4"), ("skip", "<i4"), ("size", "<i4"), ("coding", "<i2")]
)
"""Where an image lies.

offset, length : the piece of the file
plain : bytes of the piece once decompressed
skip : first byte of the image among them
size : bytes of the image
coding : a Coding
"""

Extents = npt.NDArray[np.void]
"""Shape (N,), of type EXTENT."""

_UNCOMPRESSED = 0
_CODECS = {
    _UNCOMPRESSED: Coding.STORED,
    1: Coding.SNAPPY,
    2: Coding.GZIP,
    4: Coding.BROTLI,
    6: Coding.ZSTD,
    7: Coding.LZ4_RAW,
}
"""By their numbers in parquet.thrift; left out are LZO, and LZ4 as Hadoop frames it."""

_INDICES = (Encoding.RLE_DICTIONARY, Encoding.PLAIN_DICTIONARY)
_U32 = struct.Struct("<I").unpack_from

_WINDOW = 64 << 10
"""Bytes that are read at once where images are small; of larger ones, only their lengths are read."""

_LARGE = 16 << 20
_FEW = Semaphore(4)
_ONE = Lock()
"""Of pages up to _LARGE four are in memory at once, of larger ones one: an index is built in many threads."""


class UnusualError(Exception):
    """A column is encoded in a way that only pyarrow reads."""


def locate(source: ByteSource, chunk: Chunk) -> Extents:
    """Return where each value of a column in one row group lies, by its pages.

    Compressed pages are read and decompressed; of others only headers and the lengths of values are read.

    Raises
    ------
    UnusualError
        If it has to be read by pyarrow.
    ArchiveError
        If it is damaged, or a value is null.
    """
    if chunk.codec not in _CODECS:
        raise UnusualError
    dictionary: Extents | None = None
    found = []
    for page in walk_pages(source, chunk):
        pages = _Page(source, chunk, page)
        if page.kind == Kind.DICTIONARY:
            dictionary = pages.values()
        elif page.encoding == Encoding.PLAIN:
            found.append(pages.values())
        elif page.encoding in _INDICES and dictionary is not None:
            found.append(pages.chosen(dictionary))
        else:
            raise UnusualError
    extents = np.concatenate([np.empty(0, EXTENT), *found])
    if dictionary is not None and chunk.codec == _UNCOMPRESSED:
        _mark_shared(extents)
    return extents


def decompress(coding: int, piece: bytes, plain: int) -> pa.Buffer:
    """Return what a piece holds; a codec is made for each call, as that of gzip has a state.

    Raises
    ------
    OSError
        If it is not what was compressed.
    """
    if coding == Coding.STORED:
        return pa.py_buffer(piece)
    if coding == Coding.BLOCKS:
        coding, piece = Coding.SNAPPY, snappy.framed(piece, plain)
    return pa.Codec(Coding(coding).name.lower()).decompress(piece, plain)


def _mark_shared(extents: Extents) -> None:
    """Say of which images in the file the bytes are those of several rows: a dictionary has equal values once."""
    raw = extents["coding"] == Coding.RAW
    _, which, counts = np.unique(extents["offset"][raw], return_inverse=True, return_counts=True)
    if len(counts) < np.count_nonzero(raw):
        extents["coding"][np.flatnonzero(raw)[counts[which] > 1]] = Coding.SHARED


class _Page:
    """A page whose values are located."""

    def __init__(self, source: ByteSource, chunk: Chunk, page: Page) -> None:
        self._source = source
        self._chunk = chunk
        self._page = page
        self._coding = _CODECS[chunk.codec] if page.packed else Coding.STORED
        if page.kind == Kind.DICTIONARY and page.encoding not in (Encoding.PLAIN, Encoding.PLAIN_DICTIONARY):
            raise UnusualError

    def values(self) -> Extents:
        """Return where the values lie, which are PLAIN: lengths and bytes in turn."""
        if self._coding == Coding.STORED:
            return self._in_file()
        with self._memory():
            return self._in_memory()

    def chosen(self, dictionary: Extents) -> Extents:
        """Return where the values lie, which are numbers of entries of the dictionary."""
        with self._memory():
            data = self._plain()
        at = self._after_levels(lambda _: data)
        if not self._page.values:
            return np.empty(0, EXTENT)
        if at >= len(data):
            raise self._damaged("its values are missing")
        numbers = self._hybrid(data, at + 1, len(data), data[at])
        if len(numbers) and numbers.max() >= len(dictionary):
            raise self._damaged("a value is none of the dictionary's")
        return dictionary[numbers]

    def _in_file(self) -> Extents:
        """Read the lengths of values where they lie: a page that is not compressed."""
        page, window = self._page, _Window(self._source, self._page.start + self._page.length)
        at = page.start + self._after_levels(lambda most: window.bytes(page.start, most))
        offsets, sizes = self._hop(window.number, at, page.start + page.length)
        found = np.zeros(len(sizes), EXTENT)
        found["offset"], found["coding"] = offsets, Coding.RAW
        found["size"] = found["length"] = found["plain"] = sizes
        return found

    def _in_memory(self) -> Extents:
        """Read the lengths of values in a page that has to be decompressed."""
        page, data = self._page, self._plain()
        skips, sizes = self._hop(lambda at: int(_U32(data, at)[0]), self._after_levels(lambda _: data), len(data))
        ahead = page.levels or 0
        found = np.zeros(len(sizes), EXTENT)
        found["offset"], found["length"] = page.start + ahead, page.length - ahead
        found["plain"], found["skip"], found["size"] = len(data) - ahead, skips - ahead, sizes
        found["coding"] = self._coding
        if self._coding == Coding.SNAPPY:
            _cut(found, self._source.read(page.start + ahead, page.length - ahead), len(data) - ahead)
        return found

    def _plain(self) -> bytes:
        """Return the page as it was before compression, levels included; its checksum is compared, if it has one."""
        page = self._page
        data = self._source.read(page.start, page.length)
        if page.crc is not None and zlib.crc32(data) != page.crc:
            raise self._damaged("a page does not have the checksum in its header", Code.BAD_CHECKSUM)
        if self._coding == Coding.STORED:
            return data
        ahead = page.levels or 0
        try:
            plain = decompress(self._coding, data[ahead:], page.plain - ahead)
        except (OSError, ValueError, pa.ArrowException):
            raise self._damaged("a page can't be decompressed") from None
        if len(plain) != page.plain - ahead:
            raise self._damaged("a page is not as long as its header says")
        found: bytes = plain.to_pybytes()
        return data[:ahead] + found if ahead else found

    def _after_levels(self, read: Callable[[int], bytes]) -> int:
        """Return where the values begin in the page; refuse levels that say of a value that it is null."""
        page, width = self._page, self._chunk.deepest.bit_length()
        if page.kind == Kind.DICTIONARY or not width:
            return page.levels or 0
        begin, stop = 0, page.levels
        if stop is None:
            if page.length < PREFIX:
                raise self._damaged("its levels are missing")
            begin, stop = PREFIX, PREFIX + int(_U32(read(PREFIX))[0])
            if stop > page.plain:
                raise self._damaged("its levels are longer than it")
        levels = self._hybrid(read(stop), begin, stop, width)
        if (levels != self._chunk.deepest).any():
            detail = "there is a row without the bytes of its image, perhaps with a path alone"
            hint = "write the files again with images in them, for example by datasets' push_to_hub"
            raise ArchiveError(Code.MISSING_IMAGE, detail, self._source.path, offset=page.header, hint=hint)
        return stop

    def _hop(self, number: Callable[[int], int], at: int, stop: int) -> tuple[npt.NDArray[np.int64], ...]:
        """Go from length to length; return where values begin and their sizes, which fill the page exactly."""
        places, sizes = array("q"), array("q")
        for _ in range(self._page.values):
            at += PREFIX
            size = number(at - PREFIX) if at <= stop else stop
            if size > stop - at:
                raise self._damaged("a value is longer than its page")
            places.append(at)
            sizes.append(size)
            at += size
        if at != stop:
            raise self._damaged("a page has bytes after its last value")
        return np.frombuffer(places, np.int64), np.frombuffer(sizes, np.int64)

    def _hybrid(self, data: bytes, at: int, stop: int, width: int) -> npt.NDArray[np.int64]:
        """Return one number for each value, in runs of one number and of packed bits in turn (Encodings.md, RLE)."""
        found = np.empty(self._page.values, np.int64)
        done, data = 0, data[:stop]
        if width > 32:
            raise self._damaged("numbers of more than 32 bits")
        try:
            while done < len(found):
                head, at = varint(data, at)
                size = (head >> 1) * width if head & 1 else (width + 7) // 8
                run = (head >> 1) * 8 if head & 1 else head >> 1
                if not run or (size > len(data) - at and not (head & 1 and run >= len(found) - done)):
                    raise self._damaged("its numbers end too early")
                part = found[done : done + run]
                part[:] = (
                    _packed(data[at : at + size], width, len(part)) if head & 1 else _little(data[at : at + size])
                )
                at, done = at + size, done + len(part)
        except (IndexError, ValueError, MalformedError):
            raise self._damaged("its numbers are not complete") from None
        return found

    def _memory(self) -> AbstractContextManager[object]:
        page = self._page
        return _FEW if max(page.length, page.plain) <= _LARGE else _ONE

    def _damaged(self, detail: str, code: Code = Code.BAD_HEADER) -> ArchiveError:
        return damaged(self._source, self._page.header, detail, code)


def _cut(extents: Extents, stream: bytes, plain: int) -> None:
    """Have every image in a Snappy stream made of the blocks that it lies in, where the stream can be cut."""
    found = snappy.cuts(stream, plain)
    if found is None:
        return
    places = np.array(found, np.int64)
    begins = extents["skip"].astype(np.int64) - PREFIX
    first, after = begins // snappy.BLOCK, -(-(begins + PREFIX + extents["size"]) // snappy.BLOCK)
    extents["offset"] += places[first]
    extents["length"] = places[after] - places[first]
    extents["plain"] = np.minimum(after * snappy.BLOCK, plain) - first * snappy.BLOCK
    extents["skip"] -= (first * snappy.BLOCK).astype(np.int32)
    extents["coding"] = Coding.BLOCKS


def _little(data: bytes) -> int:
    if not data:
        raise IndexError
    return int.from_bytes(data, "little")


def _packed(data: bytes, width: int, count: int) -> npt.NDArray[np.int64]:
    """Return the first numbers of `width` bits each, the lowest bit first; ValueError if there are fewer."""
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little", count=count * width)
    if len(data) * 8 < count * width:
        raise ValueError("too few bits")
    return bits.reshape(count, width).astype(np.int64) @ (1 << np.arange(width, dtype=np.int64))


class _Window:
    """Reads numbers and few bytes of a file, many small reads in one where they are near to each other."""

    def __init__(self, source: ByteSource, stop: int) -> None:
        self._source = source
        self._stop = stop
        self._start, self._data = 0, b""

    def bytes(self, at: int, length: int) -> bytes:
        """Return bytes of the file."""
        if not self._start <= at <= at + length <= self._start + len(self._data):
            near = at - self._start - len(self._data) < _WINDOW // 4
            wanted = max(length, _WINDOW if near and self._data else PREFIX)
            self._start, self._data = at, self._source.read(at, min(wanted, self._stop - at))
        return self._data[at - self._start : at - self._start + length]

    def number(self, at: int) -> int:
        """Return the length that stands at a byte."""
        return int(_U32(self.bytes(at, PREFIX))[0])
