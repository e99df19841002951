"""Blocks with headers: the arithmetic, against a file that is put together byte by byte."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ilsvrc.readers.blocks import Blocks

HEADER = -1


@st.composite
def placed(draw: st.DrawFn) -> tuple[Blocks, list[int], int, int]:
    """Return blocks, a file of them (the number of each byte of contents, or HEADER), and a part of its contents."""
    header = draw(st.integers(1, 4))
    blocks = Blocks(header + draw(st.integers(1, 6)), header)
    bare, file = draw(st.integers(1, 60)), list[int]()
    for number in range(bare):
        if len(file) % blocks.size == 0:
            file += [HEADER] * header
        file.append(number)
    first = draw(st.integers(0, bare - 1))
    return blocks, file, first, draw(st.integers(1, bare - first))


@given(placed())
def test_length_and_contents_are_those_of_the_file(case: tuple[Blocks, list[int], int, int]) -> None:
    blocks, file, first, size = case
    offset, end = file.index(first), file.index(first + size - 1) + 1
    assert blocks.length(offset, size) == end - offset
    assert list(blocks.without_headers(bytes(max(b, 0) for b in file[offset:end]), offset)) == list(
        range(first, first + size)
    )


@given(placed())
def test_after_counts_no_header_and_takes_arrays(case: tuple[Blocks, list[int], int, int]) -> None:
    blocks, file, first, size = case
    begin = file.index(first)
    wanted = [file.index(first + count) for count in range(size)]
    assert [blocks.after(begin, count) for count in range(size)] == wanted
    assert blocks.after(np.full(size, begin), np.arange(size)).tolist() == wanted
