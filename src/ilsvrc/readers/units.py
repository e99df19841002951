"""Members and labels to samples: what there is to write, in the order in which it lies in the archive."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ilsvrc.archive.index import Index, Member
from ilsvrc.archive.names import NO_LABEL
from ilsvrc.archive.source import FileSource
from ilsvrc.facts.names import val_number
from ilsvrc.tree.layout import Layout

VAL_UNIT = 64 << 20
"""Bytes of images in a unit of a flat archive, about."""


@dataclass(frozen=True, slots=True)
class SampleRef:
    """An image and its label.

    key : path below the tree's folder, by the layout
    member : where its bytes are
    label : index of the sorted wnids, or None in the test split
    """

    key: str
    member: Member
    label: int | None


@dataclass(frozen=True, slots=True)
class Sample:
    """An image in memory: `data` is its file, byte for byte."""

    ref: SampleRef
    data: bytes


@dataclass(frozen=True, slots=True)
class Unit:
    """A part of an archive that is written at once, and not again once it is done.

    id : the wnid for train, a number for flat archives
    start, stop : half-open range of the catalog's images in archive order
    end : byte of the archive file after which all of it has been read
    images, bytes : what it holds
    """

    id: str
    start: int
    stop: int
    end: int
    images: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user wants of an archive; small, since it goes with every unit to a worker.

    layout : where each image goes
    classes : labels of the classes asked for, or None for all
    val_labels : labels to use for validation images in place of the packaged truth: int16 in bytes, that of image
        n at position n - 1 and -1 where there is none; or None
    """

    layout: Layout
    classes: frozenset[int] | None = None
    val_labels: bytes | None = None


@dataclass(frozen=True)
class Catalog:
    """The images of an archive that were asked for, under a layout.

    index : all images of the archive
    wanted : which of them, where they go, and with what labels
    """

    index: Index
    wanted: Wanted

    @cached_property
    def labels(self) -> npt.NDArray[np.int16]:
        """The label of every row of the index, shape (N,), int16."""
        if self.wanted.val_labels is None or self.index.split != "val":
            return self.index.labels
        given = np.frombuffer(self.wanted.val_labels, np.int16)
        numbers = np.array([val_number(name) for name in self.index.names.to_pylist()], np.int64)
        known = numbers <= len(given)
        return np.where(known, given[np.where(known, numbers, 1) - 1], np.int16(NO_LABEL))

    @cached_property
    def rows(self) -> npt.NDArray[np.int64]:
        """Rows of the index that were asked for, in archive order, shape (N,), int64."""
        order = self.index.archive_order
        if self.wanted.classes is None:
            return order
        wanted: npt.NDArray[np.int64] = order[np.isin(self.labels[order], sorted(self.wanted.classes))]
        return wanted

    @property
    def images(self) -> int:
        """How many images there are."""
        return len(self.rows)

    @property
    def bytes(self) -> int:
        """How many bytes they have."""
        return int(self.index.sizes[self.rows].sum())

    def refs(self, start: int = 0, stop: int | None = None) -> Iterator[SampleRef]:
        """Yield the images of a range in archive order."""
        rows = self.rows[start:stop]
        for member, label in zip(self.index.part(rows), self.labels[rows].tolist(), strict=True):
            key = self.wanted.layout.path(self.index.split, label, member.name)
            yield SampleRef(key, member, label if label >= 0 else None)

    def samples(self, source: FileSource, unit: Unit) -> Iterator[Sample]:
        """Yield the images of a unit with their bytes.

        The archive is read once, so its memory is given back: what is written gets it, while it is still at hand.
        """
        start = int(self.index.offsets[self.rows[unit.start]])
        source.will_need(start, unit.end - start)
        for ref in self.refs(unit.start, unit.stop):
            yield Sample(ref, source.read(ref.member.offset, ref.member.size))
        source.let_go(start, unit.end - start)

    def units(self) -> list[Unit]:
        """Cut the images into units: a class of train each, about 64 MB of a flat archive each."""
        sizes = self.index.sizes[self.rows]
        if self.index.split == "train":
            keys = self.labels[self.rows].astype(np.int64)
        else:
            keys = np.cumsum(sizes) // VAL_UNIT
        bounds = [0, *(np.flatnonzero(np.diff(keys)) + 1).tolist(), len(keys)]
        return [self._unit(start, stop) for start, stop in itertools.pairwise(bounds) if start < stop]

    def _unit(self, start: int, stop: int) -> Unit:
        rows = self.rows[start:stop]
        last = rows[-1]
        end = int(self.index.offsets[last] + self.index.sizes[last])
        name = self.index.name(int(rows[0]))
        unit_id = name.partition("_")[0] if self.index.split == "train" else f"{self.index.split}-{start:06}"
        return Unit(unit_id, start, stop, end, stop - start, int(self.index.sizes[rows].sum()))
