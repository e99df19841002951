"""Streams of libsnappy, as pyarrow has it, cut into blocks that it decompresses one by one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ilsvrc.archive.parquet.snappy import BLOCK, cuts, framed

SNAPPY = pa.Codec("snappy")


def text(size: int, seed: int, repeats: int) -> bytes:
    """Return bytes of which some stand there again, as the tables in JPEG files do."""
    generator = np.random.default_rng(seed)
    data = bytearray(generator.bytes(size))
    for _ in range(repeats if size > 900 else 0):
        start, to = generator.integers(0, size - 800, 2)
        data[to : to + 700] = data[start : start + 700]
    return bytes(data)


@given(st.integers(0, 5 * BLOCK), st.integers(0, 99), st.integers(0, 40))
def test_blocks_decompress_by_themselves(size: int, seed: int, repeats: int) -> None:
    data = text(size, seed, repeats)
    stream = SNAPPY.compress(data, asbytes=True)
    found = cuts(stream, size)
    if found is None:
        assert len(stream) < size
        return
    assert len(found) == -(-size // BLOCK) + 1
    assert found[-1] == len(stream)
    for first in range(len(found) - 1):
        for after in range(first + 1, len(found)):
            part = data[first * BLOCK : after * BLOCK]
            piece = framed(stream[found[first] : found[after]], len(part))
            assert SNAPPY.decompress(piece, len(part), asbytes=True) == part


def literal(data: bytes) -> bytes:
    return bytes([61 << 2]) + (len(data) - 1).to_bytes(2, "little") + data


def test_a_stream_that_copies_from_another_block_is_not_cut() -> None:
    data = text(BLOCK, 0, 0)
    copy = bytes([(3 << 2) | 3]) + (BLOCK).to_bytes(4, "little")
    stream = framed(literal(data) + copy + literal(data[4:]), 2 * BLOCK)
    assert SNAPPY.decompress(stream, 2 * BLOCK, asbytes=True) == data * 2
    assert cuts(stream, 2 * BLOCK) is None


def test_a_stream_with_an_element_of_two_blocks_is_not_cut() -> None:
    data = text(BLOCK, 0, 0)
    stream = framed(literal(data[:-9]) + literal(data), 2 * BLOCK - 9)
    assert SNAPPY.decompress(stream, 2 * BLOCK - 9, asbytes=True) == data[:-9] + data
    assert cuts(stream, 2 * BLOCK - 9) is None


def test_what_compresses_well_is_not_looked_at() -> None:
    data = bytes(5 * BLOCK)
    assert cuts(SNAPPY.compress(data, asbytes=True), len(data)) is None


@pytest.mark.parametrize("size", [0, 1, 127, 128, 1 << 20, (1 << 31) - 1])
def test_length_is_that_of_a_stream(size: int) -> None:
    head = framed(b"", size)
    value = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(head))
    assert value == size
    assert [byte >> 7 for byte in head] == [1] * (len(head) - 1) + [0]
