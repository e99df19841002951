"""The images of a data set in the order of its indices, with their labels; an image is found again by its path."""

from __future__ import annotations

import operator
import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from ilsvrc import facts
from ilsvrc.archive.index import numbers
from ilsvrc.dataset.views import Numbers, View
from ilsvrc.errors import UsageError
from ilsvrc.facts.names import true_label
from ilsvrc.readers.reader import Int, Reader

Path = str | os.PathLike[str]

NO_LABEL = -1
"""The label of test images."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """The image and the label of each index of a data set. Safe in many threads; pickles as its reader does.

    reader : reads the images; its rows are sorted by label, then by name
    numbering : labels that are numbered anew, ascending: label `numbering[k]` becomes k; None keeps all labels
    rows : row of each index, shape (N,), int64; None where index i is row i
    given : label of each index as the user assigned it, shape (N,), int64; None where the reader's labels hold
    """

    reader: Reader
    numbering: npt.NDArray[np.int16] | None = None
    rows: Int | None = None
    given: Int | None = None

    def __len__(self) -> int:
        return len(self.reader) if self.rows is None else len(self.rows)

    def row(self, index: int) -> int:
        """Return the reader's row of an index from 0 to N - 1."""
        return index if self.rows is None else self.rows.item(index)

    def label(self, index: int) -> int:
        """Return the label of an index."""
        if self.given is not None:
            return self.given.item(index)
        label = self.reader.labels.item(self.row(index))
        return label if self.numbering is None else int(np.searchsorted(self.numbering, label))

    def labels(self) -> Int:
        """Return the label of every index, shape (N,), int64."""
        if self.given is not None:
            return self.given.copy()
        labels = self.reader.labels if self.rows is None else self.reader.labels[self.rows]
        return (labels if self.numbering is None else np.searchsorted(self.numbering, labels)).astype(np.int64)

    def path(self, index: int) -> str:
        """Return the path of an image; in an archive, the archive's path with class and name after it."""
        return path_in(self.reader, self.row(index))

    def sample(self, index: int) -> tuple[str, int]:
        """Return path and label of an index."""
        return self.path(index), self.label(index)

    def view(self) -> View[tuple[str, int]]:
        """Return path and label of every index."""
        return View(len(self), self.sample)

    def numbers(self) -> Numbers:
        """Return the label of every index."""
        return Numbers(self.labels, len(self), self.label)

    def chosen(self, pairs: Iterable[Any]) -> Samples:
        """Return the samples of (path, label) pairs, in their order; an image may be there more than once.

        Raises
        ------
        UsageError
            If an entry is no pair, its path is no image of this data set, or its label is no integer.
        """
        checked = [_pair(entry) for entry in pairs]
        rows = np.array([row_of(self.reader, path) for path, _ in checked], np.int64)
        return replace(self, rows=rows, given=np.array([label for _, label in checked], np.int64))

    def storage_order(self) -> Int:
        """Return all indices in the order in which their images lie on the disk, shape (N,), int64."""
        order = self.reader.storage_order()
        if self.rows is None:
            return order
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        return np.argsort(rank[self.rows], kind="stable").astype(np.int64, copy=False)

    def will_need(self, indices: Int) -> None:
        """Announce the reads of some indices; negative ones count from the end."""
        self.reader.will_need(self._rows_of(indices))

    def let_go(self, indices: Int) -> None:
        """Give back the memory of some indices that were announced."""
        self.reader.let_go(self._rows_of(indices))

    def _rows_of(self, indices: Int) -> Int:
        at = np.where(indices < 0, indices + len(self), indices)
        return at if self.rows is None else self.rows[at]


def path_in(reader: Reader, row: int) -> str:
    """Return the path of a reader's row: of its file, or of its archive with class and name after it."""
    place, label = reader.where(row), reader.labels.item(row)
    if not place.member:
        return place.file
    folders = [facts.classes()[label].wnid] if label != NO_LABEL else []
    return "/".join((place.file, *folders, reader.name(row)))


def row_of(reader: Reader, path: Path) -> int:
    """Return the row of a path that `path_in` gave.

    Raises
    ------
    UsageError
        If no image of this data set has the path.
    """
    text = os.fspath(path)
    for row in _rows_named(reader, text.rpartition("/")[2]):
        if path_in(reader, row) == text:
            return row
    hint = "take paths from `dataset.samples` or `dataset.path(index)` of the same data set"
    raise UsageError(f"{text} is no image of this data set", hint=hint)


def _rows_named(reader: Reader, name: str) -> Iterator[int]:
    """Yield the rows of a name, and at last rows whose names hold it; a tree may have an image in two folders.

    The name tells the label, and rows are sorted by label, then by name. All names are searched only after these:
    a tree may have been prepared with other validation labels.
    """
    label = true_label(name)
    label = NO_LABEL if label is None else label
    first, end = np.searchsorted(reader.labels, [label, label + 1]).tolist()
    row: int = first + bisect_left(range(first, end), name, key=reader.name)
    while row < end and reader.name(row) == name:
        yield row
        row += 1
    holding = pc.match_substring(reader.names, name)  # not pc.equal, which imports pandas to make a scalar
    yield from numbers(pc.indices_nonzero(holding)).tolist()


def _pair(entry: Any) -> tuple[Path, int]:
    """Return a (path, label) pair of an assigned list."""
    try:
        path, label = entry
    except (TypeError, ValueError):
        raise UsageError(f"samples has {entry!r}, which is no pair of path and label") from None
    try:
        return path, operator.index(label)
    except TypeError:
        hint = "assign integer labels, and give target_transform a function that turns them into other targets"
        raise UsageError(f"samples has the label {label!r}, which is no integer", hint=hint) from None
