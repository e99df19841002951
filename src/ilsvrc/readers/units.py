"""Units: the parts that the images of a split are cut into, each written at once and not again once it is done."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ilsvrc.readers.reader import Int, Reader

UNIT = 64 << 20
"""Bytes of images in a unit, about, where units are not classes."""

SWEPT = 512 << 20
"""Bytes of images in a unit, about, of files that are read front to back only."""


@dataclass(frozen=True, slots=True)
class Sample:
    """An image in memory.

    key : path below the target's folder, by the layout; without a layout, its path in the source
    name : official file name
    label : index of the sorted wnids, or None in the test split
    data : its file, byte for byte
    file : path of the file that holds it and nothing else; None if it lies in an archive
    source : xxh3_128 of the image's file in the source, if `data` was made anew from it; None where that is `data`
    ending : ending of a file name that tells what `data` is: jpg, webp, png or ppm
    """

    key: str
    name: str
    label: int | None
    data: bytes
    file: str | None = None
    source: bytes | None = None
    ending: str = "jpg"


class Transform(Protocol):
    """Makes the file of an image anew: smaller, cropped, encoded otherwise. Pure; pickles."""

    @property
    def settings(self) -> dict[str, object]:
        """What it does, in plain values: equal for equal results, so the versions of codecs too."""

    @property
    def ending(self) -> str | None:
        """What every image becomes: jpg, webp, png or ppm; None for what it was."""

    @property
    def turns(self) -> bool:
        """Whether images are turned as their EXIF orientation says; else that is ignored, and lost."""

    def __call__(self, sample: Sample) -> Sample:
        """Return the image anew, with the digest of what it was made from; the same sample if nothing is to be done.

        Raises
        ------
        DamageError
            If its bytes can't be decoded; its one issue says why.
        """


@dataclass(frozen=True, slots=True)
class Unit:
    """A range of a split's images in storage order.

    id : the wnid if it is a class of train, else the split and the number of its first image
    start, stop : half-open range of storage order
    end : byte of the containers, laid end to end, after which all of it has been read; 0 without containers
    images, bytes : how many it has
    """

    id: str
    start: int
    stop: int
    end: int
    images: int
    bytes: int


def units_of(reader: Reader) -> list[Unit]:
    """Cut a split into units, in storage order.

    A class of train each, where the images of every class lie together; else about 64 MB of images each. Of files
    that are read front to back only, 512 MB each: to begin in the middle of one is dear.
    """
    rows = reader.storage_order()
    if not len(rows):
        return []
    labels = reader.labels[rows]
    swept = bool(reader.containers()) and reader.spans(rows[:1]) is None
    together = int(np.count_nonzero(np.diff(labels))) < len(np.unique(labels))
    by_class = reader.split == "train" and together and not swept
    keys = labels if by_class else np.cumsum(reader.sizes[rows]) // (SWEPT if swept else UNIT)
    bounds = [0, *(np.flatnonzero(np.diff(keys)) + 1).tolist(), len(keys)]
    return [_unit(reader, rows, start, stop, by_class=by_class) for start, stop in itertools.pairwise(bounds)]


def _unit(reader: Reader, rows: Int, start: int, stop: int, *, by_class: bool) -> Unit:
    spans = reader.spans(rows[start:stop])
    name = reader.name(rows.item(start)).partition("_")[0] if by_class else f"{reader.split}-{start:06}"
    end = 0 if spans is None else int(spans[:, 1].max())
    return Unit(name, start, stop, end, stop - start, int(reader.sizes[rows[start:stop]].sum()))
