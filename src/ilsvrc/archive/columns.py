"""Arrow columns as NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def one_chunk(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array; without a copy if it is of one chunk."""
    return (
        column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])
    )


def numbers(array: pa.Array) -> npt.NDArray[Any]:
    """Return an array of integers without nulls, shape (N,), without a copy.

    Arrow's own `to_numpy` imports pandas wherever that is installed: a second and 30 MB for every worker.
    """
    dtype = np.dtype(str(array.type))
    if not len(array):
        return np.empty(0, dtype)
    return np.frombuffer(array.buffers()[1], dtype, len(array), array.offset * dtype.itemsize)
