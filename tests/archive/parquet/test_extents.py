"""Where values lie, by pages that pyarrow wrote, and pages that nobody should believe."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ilsvrc.archive.parquet.extents import Coding, Extents, UnusualError, _Page, decompress, locate
from ilsvrc.archive.parquet.footer import read_footer
from ilsvrc.archive.parquet.pages import Chunk, Kind, Page, walk_pages
from ilsvrc.archive.source import FileSource
from ilsvrc.errors import ArchiveError
from ilsvrc.issues import Code


def values(source: FileSource, extents: Extents) -> list[bytes]:
    """Return the values at some extents."""
    found = []
    for extent in extents:
        piece = source.read(int(extent["offset"]), int(extent["length"]))
        if extent["coding"] > Coding.SHARED:
            piece = decompress(extent["coding"], piece, int(extent["plain"])).to_pybytes()
            piece = piece[extent["skip"] : extent["skip"] + extent["size"]]
        found.append(piece)
    return found


def chunks(path: Path) -> list[Chunk]:
    return [group.columns["v"].chunk for group in read_footer(FileSource(path)).groups]


@given(
    st.lists(st.binary(max_size=30), min_size=1, max_size=60),
    st.sampled_from(["none", "snappy", "gzip", "zstd", "brotli", "lz4"]),
    st.sampled_from(["1.0", "2.0"]),
    st.booleans(),
    st.integers(1, 20),
    st.integers(1, 40),
)
def test_values_are_found_in_any_pages(  # noqa: PLR0917  -- hypothesis draws each
    tmp_path_factory: pytest.TempPathFactory,
    data: list[bytes],
    codec: str,
    version: str,
    dictionary: bool,
    batch: int,
    group: int,
) -> None:
    path = tmp_path_factory.mktemp("values") / "a.parquet"
    options: dict[str, Any] = {"compression": codec, "data_page_version": version, "use_dictionary": dictionary}
    options |= {"write_batch_size": batch, "data_page_size": 40, "row_group_size": group}
    pq.write_table(pa.table({"v": data}), path, **options, dictionary_pagesize_limit=200)
    source = FileSource(path)
    assert [value for chunk in chunks(path) for value in values(source, locate(source, chunk))] == data


def test_pages_tile_the_column(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"v": [bytes([i]) * 1000 for i in range(100)]}),
        tmp_path / "a.parquet",
        data_page_size=5_000,
        write_batch_size=3,
    )
    source, [chunk] = FileSource(tmp_path / "a.parquet"), chunks(tmp_path / "a.parquet")
    pages = list(walk_pages(source, chunk))
    assert pages[0].header == chunk.start
    assert [page.header for page in pages[1:]] == [page.start + page.length for page in pages[:-1]]
    assert pages[-1].start + pages[-1].length == chunk.start + chunk.size
    assert sum(page.values for page in pages if page.kind != Kind.DICTIONARY) == 100


@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.integers(0, 2**20), st.integers(1, 30)), min_size=1, max_size=9),
    st.data(),
)
def test_numbers_in_runs(
    tmp_path_factory: pytest.TempPathFactory, width: int, runs: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Runs are written by the format's own words: lengths times two, or groups of eight times two and one."""
    encoded, expected = b"", []
    for drawn, count in runs:
        number = drawn % (1 << width)
        if data.draw(st.booleans()):
            encoded += bytes([count << 1]) if count < 64 else b""
            encoded += number.to_bytes((width + 7) // 8, "little")
            expected += [number] * count
        else:
            some = [(number + i) % (1 << width) for i in range(8)]
            encoded += b"\x03" + sum(n << width * i for i, n in enumerate(some)).to_bytes(width, "little")
            expected += some
    path = tmp_path_factory.mktemp("runs") / "a"
    path.write_bytes(b"nothing of it is read")
    described: dict[str, Any] = {"kind": Kind.DATA, "header": 0, "start": 0, "length": 0, "plain": 0, "encoding": 8}
    page = Page(**described, values=len(expected), levels=None, packed=True, crc=None)
    reader = _Page(FileSource(path), Chunk(4, 0, 0, 0, 0), page)
    assert reader._hybrid(encoded, 0, len(encoded), width).tolist() == expected
    with pytest.raises(ArchiveError):
        reader._hybrid(encoded[:-1], 0, len(encoded), width)


@pytest.fixture
def checked(tmp_path: Path) -> Path:
    """A file of pages with checksums, compressed."""
    path = tmp_path / "a.parquet"
    data = np.random.default_rng(0).bytes(10_000)
    pq.write_table(pa.table({"v": [data]}), path, write_page_checksum=True, use_dictionary=False)
    return path


def test_wrong_checksum_is_refused(checked: Path) -> None:
    source, [chunk] = FileSource(checked), chunks(checked)
    [page] = walk_pages(source, chunk)
    assert page.crc == zlib.crc32(source.read(page.start, page.length))
    data = bytearray(checked.read_bytes())
    data[page.start + 5_000] ^= 1
    checked.write_bytes(data)
    with pytest.raises(ArchiveError) as caught:
        locate(FileSource(checked), chunk)
    assert caught.value.code == Code.BAD_CHECKSUM


@pytest.mark.parametrize("start", [0, 3, 1 << 40])
def test_columns_outside_of_the_file_are_refused(checked: Path, start: int) -> None:
    [chunk] = chunks(checked)
    with pytest.raises(ArchiveError, match="outside of the file"):
        locate(FileSource(checked), Chunk(start, chunk.size, 1, chunk.codec, chunk.deepest))


def header(*, plain: int = 14, length: int = 14, count: int = 1, kind: int = 0, encoding: int = 0) -> bytes:
    """Return the header of a page."""

    def number(value: int) -> bytes:
        value, out = value << 1 if value >= 0 else (-value << 1) - 1, b""
        while value > 0x7F:
            value, out = value >> 7, out + bytes([value & 0x7F | 0x80])
        return out + bytes([value])

    inner = b"\x15" + number(count) + b"\x15" + number(encoding) + b"\x15\x06\x15\x06\x00"
    field = {0: b"\x2c", 2: b"\x4c"}[kind]
    return b"\x15" + number(kind) + b"\x15" + number(plain) + b"\x15" + number(length) + field + inner + b"\x00"


VALUE = (10).to_bytes(4, "little") + b"0123456789"


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (header() + (11).to_bytes(4, "little") + b"0123456789", "longer than its page"),
        (header() + (9).to_bytes(4, "little") + b"0123456789", "after its last value"),
        (header() + (0xFFFFFFFF).to_bytes(4, "little") + b"0123456789", "longer than its page"),
        (header(length=15) + VALUE, "in a column that ends"),
        (header(length=-1) + VALUE, "in a column that ends"),
        (header(plain=1 << 30 | 1) + VALUE, "in a column that ends"),
        (header(count=-1) + VALUE, "-1 values"),
        (header(count=2) + VALUE, "more values than"),
        (header(kind=2, encoding=0) + VALUE, "no page header"),
        (b"\xff" * 30, "no page header"),
        (b"\x00" * 30, "not complete"),
        (b"\x15\x00\x15\x02\x15\x02\x00" + VALUE, "not complete"),
    ],
)
def test_pages_that_can_not_be_are_refused(tmp_path: Path, page: bytes, said: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"PAR1" + page)
    with pytest.raises(ArchiveError, match=said):
        locate(FileSource(path), Chunk(4, len(page), 1, 0, 0))


def test_page_by_the_format_is_read(tmp_path: Path) -> None:
    """The pages above are refused for what is wrong in them: this one is right."""
    path = tmp_path / "a"
    path.write_bytes(b"PAR1" + header() + VALUE)
    source = FileSource(path)
    assert values(source, locate(source, Chunk(4, len(header() + VALUE), 1, 0, 0))) == [b"0123456789"]


@pytest.mark.parametrize(("codec", "encoding"), [(3, 0), (5, 0), (99, 0), (0, 6), (0, 8)])
def test_what_only_pyarrow_reads(tmp_path: Path, codec: int, encoding: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"PAR1" + header(encoding=encoding) + VALUE)
    with pytest.raises(UnusualError):
        locate(FileSource(path), Chunk(4, len(header() + VALUE), 1, codec, 0))
