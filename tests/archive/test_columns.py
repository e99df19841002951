"""Arrow's numbers as NumPy's, whatever slice or number of chunks they come in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from ilsvrc import index
from ilsvrc.archive.index import numbers, one_chunk


@given(st.lists(st.lists(st.integers(-(2**15), 2**15 - 1))), st.sampled_from(["int16", "int64"]))
def test_chunks_become_one_array(chunks: list[list[int]], kind: str) -> None:
    column = pa.chunked_array(chunks, pa.type_for_alias(kind))
    array = numbers(one_chunk(column))
    assert array.dtype == np.dtype(kind)
    assert array.tolist() == [number for chunk in chunks for number in chunk]


@given(st.integers(0, 9), st.integers(0, 9))
def test_slices_begin_where_they_say(start: int, length: int) -> None:
    array = pa.array(range(9), pa.int64()).slice(start, length)
    assert numbers(array).tolist() == list(range(9))[start : start + length]


def test_one_chunk_is_not_copied() -> None:
    column = pa.chunked_array([pa.array([1, 2, 3], pa.int64())])
    array = numbers(one_chunk(column))
    assert array.ctypes.data == column.chunk(0).buffers()[1].address


def test_opening_imports_no_pandas(mini: Path) -> None:
    index(mini)
    code = "import ilsvrc, sys; ilsvrc.ImageNet(sys.argv[1]).bytes(0); print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, str(mini)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
