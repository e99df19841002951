"""Walk the pages of a column in one row group of a Parquet file, from header to header.

The format is described in Parquet's own parquet.thrift, README.md and Encodings.md. The page index at the end of
newer files says where pages begin, but not how they are encoded, so headers are read with or without an index.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from ilsvrc.archive.parquet.thrift import MalformedError, ShortError, Struct, read_struct
from ilsvrc.archive.source import ByteSource
from ilsvrc.errors import ArchiveError
from ilsvrc.issues import Code

FETCH_AGAIN = "fetch the file again"

LARGEST = 1 << 30
"""Bytes of a page beyond which it is refused: 100 images of the data set have 11 MB."""

_HEADER_READS = (512, 16 << 10, 1 << 20)
"""Bytes in which a header is looked for; most have 30, those with statistics some thousand."""


class Kind(IntEnum):
    """Types of pages in parquet.thrift."""

    DATA = 0
    INDEX = 1
    DICTIONARY = 2
    DATA_V2 = 3


class Encoding(IntEnum):
    """Encodings in parquet.thrift that are read here; a number that is none of them is left to pyarrow."""

    PLAIN = 0
    PLAIN_DICTIONARY = 2
    RLE = 3
    RLE_DICTIONARY = 8


@dataclass(frozen=True, slots=True)
class Chunk:
    """One column in one row group, as the file's footer describes it.

    start : first byte of its first page's header
    size : bytes of all its pages with their headers
    values : how many, nulls included
    codec : number of the compression in parquet.thrift
    deepest : greatest definition level: a value below it is null or lies in something that is
    """

    start: int
    size: int
    values: int
    codec: int
    deepest: int


@dataclass(frozen=True, slots=True)
class Page:
    """One page, as its header describes it.

    kind : data (of version 1 or 2) or dictionary
    header : first byte of its header
    start, length : the bytes after the header, in the file
    plain : how many bytes they are once decompressed
    values : how many, nulls included
    encoding : number of the encoding of its values
    levels : bytes of definition levels before the values, which are not compressed; None where both are compressed
        together, and levels say their length themselves (version 1)
    packed : whether its values are compressed, if the column is
    crc : CRC-32 of the bytes in the file, or None
    """

    kind: Kind
    header: int
    start: int
    length: int
    plain: int
    values: int
    encoding: int
    levels: int | None
    packed: bool
    crc: int | None


def walk_pages(source: ByteSource, chunk: Chunk) -> Iterator[Page]:
    """Yield the dictionary page, if there is one, and all data pages of a column in one row group.

    Raises
    ------
    ArchiveError
        If pages lie outside of the column, are of absurd sizes, or do not have as many values as it should have.
    """
    at, stop, values = chunk.start, chunk.start + chunk.size, 0
    if not 4 <= at <= stop <= source.state.size:
        raise damaged(source, at, "the footer says that a column lies outside of the file")
    while values < chunk.values:
        page = _page(source, at, stop)
        if page is not None:
            values += page.values if page.kind != Kind.DICTIONARY else 0
            if values > chunk.values:
                raise damaged(source, at, "its pages have more values than the footer says")
            yield page
            at = page.start + page.length
        else:
            at = _after(source, at, stop)


def damaged(source: ByteSource, at: int, detail: str, code: Code = Code.BAD_HEADER) -> ArchiveError:
    """Return the error for a file that is no sound Parquet."""
    return ArchiveError(code, f"damaged Parquet: {detail}", source.path, offset=at, hint=FETCH_AGAIN)


def _header(source: ByteSource, at: int, stop: int) -> tuple[Struct, int]:
    """Return the header that begins at a byte, and the byte after it."""
    for most in _HEADER_READS:
        data = source.read(at, min(most, stop - at))
        try:
            header, length = read_struct(data)
        except ShortError:
            if len(data) == stop - at:
                break
            continue
        except MalformedError as error:
            raise damaged(source, at, f"no page header is here: {error}") from None
        return header, at + length
    raise damaged(source, at, "no page header is here: the column ends, or it is too long")


def _after(source: ByteSource, at: int, stop: int) -> int:
    """Return the byte after a page that is passed over."""
    header, start = _header(source, at, stop)
    length = header.get(3)
    assert isinstance(length, int)  # _page has looked
    return start + length


def _page(source: ByteSource, at: int, stop: int) -> Page | None:
    """Return the page whose header begins at a byte; None for one of a kind that holds no values."""
    header, start = _header(source, at, stop)
    kind, plain, length = (_number(source, at, header, field) for field in (1, 2, 3))
    if not (0 <= length <= stop - start and 0 <= plain <= LARGEST):
        detail = f"a page of {length:,} bytes in the file and {plain:,} in memory, in a column that ends after"
        raise damaged(source, at, f"{detail} {stop - start:,}; pages of more than {LARGEST:,} bytes are not read")
    if kind not in (Kind.DATA, Kind.DATA_V2, Kind.DICTIONARY):
        return None
    crc = header.get(4)
    return Page(
        kind=Kind(kind),
        header=at,
        start=start,
        length=length,
        plain=plain,
        crc=crc & 0xFFFFFFFF if isinstance(crc, int) else None,
        **_described(source, at, Kind(kind), header, length),
    )


def _described(source: ByteSource, at: int, kind: Kind, header: Struct, length: int) -> dict[str, Any]:
    """Return what the header's inner struct says, which is another one for each kind of page."""
    inner = header.get({Kind.DATA: 5, Kind.DICTIONARY: 7, Kind.DATA_V2: 8}[kind])
    if not isinstance(inner, dict):
        raise damaged(source, at, "a page header is not complete")
    values = _number(source, at, inner, 1)
    encoding = _number(source, at, inner, 4 if kind == Kind.DATA_V2 else 2)
    levels: int | None = 0 if kind == Kind.DICTIONARY else None
    if kind == Kind.DATA_V2:
        levels = _number(source, at, inner, 5)
        if _number(source, at, inner, 6) != 0 or not 0 <= levels <= length:
            raise damaged(source, at, "a page has levels that it can't have")
    if not 0 <= values <= LARGEST:
        raise damaged(source, at, f"a page of {values:,} values")
    return {"values": values, "encoding": encoding, "levels": levels, "packed": inner.get(7) is not False}


def _number(source: ByteSource, at: int, fields: Struct, field: int) -> int:
    found = fields.get(field)
    if not isinstance(found, int) or isinstance(found, bool):
        raise damaged(source, at, "a page header is not complete")
    return found
