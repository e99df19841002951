"""Structs of the compact protocol, as the protocol's document writes them and as pyarrow does."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ilsvrc.archive.parquet.thrift import MalformedError, ShortError, read_struct, varint


def written(number: int) -> bytes:
    """Return an unsigned number in groups of seven bits, the lowest first."""
    groups = [number >> shift & 0x7F for shift in range(0, max(1, number.bit_length()), 7)]
    return bytes(group | 0x80 for group in groups[:-1]) + bytes(groups[-1:])


@given(st.integers(0, 2**64 - 1), st.binary(max_size=5))
def test_numbers(number: int, after: bytes) -> None:
    data = written(number)
    assert varint(b"xx" + data + after, 2) == (number, 2 + len(data))


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        (b"\x00", {}),
        (b"\x15\x02\x00", {1: 1}),
        (b"\x15\x01\x15\x54\x00", {1: -1, 2: 42}),
        (b"\x05\xc8\x01\x09\x00", {100: -5}),  # a long field number
        (b"\x11\x12\x00", {1: True, 2: False}),
        (b"\x18\x03abc\x00", {1: b"abc"}),
        (b"\x1c\x15\x02\x00\x13\x07\x00", {1: {1: 1}, 2: 7}),
        (b"\x19\x25\x02\x04\x15\x06\x00", {1: [1, 2], 2: 3}),
        (b"\x19\x21\x01\x02\x00", {1: [1, 2]}),
        (b"\x17" + bytes(8) + b"\x15\x02\x00", {1: None, 2: 1}),
        (b"\x1b\x01\x58\x02\x01x\x15\x02\x00", {1: None, 2: 1}),
        (b"\x1b\x00\x15\x02\x00", {1: None, 2: 1}),
    ],
)
def test_structs(data: bytes, fields: object) -> None:
    assert read_struct(b"?" + data + b"more", 1) == (fields, 1 + len(data))
    for end in range(len(data)):
        with pytest.raises(ShortError):
            read_struct(data[:end])


@pytest.mark.parametrize(
    "data", [b"\x1d", b"\x19\x10", b"\x15" + b"\xff" * 10 + b"\x01", b"\x1c" * 20, b"\x19\x19" * 20, b"\x1b\x01\x05"]
)
def test_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        read_struct(data + bytes(100))


@given(st.binary(max_size=60))
def test_any_bytes_end_in_a_struct_or_our_error(data: bytes) -> None:
    try:
        _, end = read_struct(data)
    except MalformedError:
        return
    assert end <= len(data)


def test_footer_of_pyarrow(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1, 2, 3]}), tmp_path / "a.parquet", row_group_size=2)
    data = (tmp_path / "a.parquet").read_bytes()
    footer, length = data[:-8], int.from_bytes(data[-8:-4], "little")
    fields, end = read_struct(footer, len(footer) - length)
    assert (fields[3], end) == (3, len(footer))
