"""What reads the images of one split, wherever they lie."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ilsvrc.errors import IlsvrcError
from ilsvrc.issues import Code

Rows = npt.NDArray[np.integer[Any]]
"""Rows of a reader, shape (N,), any integer type."""


class Reader(Protocol):
    """Random access to the images of a split, by rows in catalog order: by label, then by name.

    Safe to use from many threads at once. Pickles by reopening, and refuses to read what changed meanwhile.
    """

    @property
    def split(self) -> str:
        """Train, val or test."""

    @property
    def labels(self) -> npt.NDArray[np.int16]:
        """Indices of sorted wnids, shape (N,), int16; -1 in the test split."""

    @property
    def names(self) -> pa.StringArray:
        """File names, N strings."""

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Bytes of each image's file, shape (N,), int64."""

    def __len__(self) -> int:
        """Return the number of images."""

    def name(self, row: int) -> str:
        """Return the file name of an image."""

    def path(self, row: int) -> str:
        """Return where an image is: its path, which goes on inside the archive where it lies in one."""

    def read(self, row: int) -> bytes:
        """Return an image's file, byte for byte.

        Raises
        ------
        DataError
            If it is not there any more, not whole, or not what it should be.
        """

    def storage_order(self) -> npt.NDArray[np.int64]:
        """Return the rows in the order in which they lie on the disk, shape (N,), int64."""

    def will_need(self, rows: Rows) -> None:
        """Let the system fetch these rows into memory ahead, if it can; returns at once."""

    def fault(self, row: int, code: Code, detail: str) -> IlsvrcError:
        """Return an error about an image that says where it is."""
