"""What a run will do, decided before it does anything."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from ilsvrc.readers.reader import Int, Reader
from ilsvrc.readers.units import Transform, Unit, units_of
from ilsvrc.run.order import Order
from ilsvrc.tree.layout import Layout
from ilsvrc.tree.manifest import UNKNOWN_SIZE


class Damaged(StrEnum):
    """What becomes of an image that can't be transformed."""

    STOP = "stop"
    """The run ends."""
    SKIP = "skip"
    """It is left out, and the report names it."""
    LIST = "list"
    """The run goes on, to name all of them, and publishes nothing."""


_CHUNK = 1 << 14
"""Rows that are made Python values at a time."""


@dataclass(frozen=True)
class Plan:
    """The images of one split, where each goes, and the units that the work is cut into.

    reader : the images
    layout : gives each image its path in the target; None to call it by its path in the source
    chosen : what else the user chose, in plain values
    order : the order in which images are written, cut into shards, each of them a unit; None for storage order
    transform : makes each image anew; None to leave every byte as it is
    damaged : what becomes of images that can't be transformed
    share : bytes of all images after the transform by those before, about
    """

    reader: Reader
    layout: Layout | None = None
    chosen: Mapping[str, object] = field(default_factory=dict)
    order: Order | None = None
    transform: Transform | None = None
    damaged: Damaged = Damaged.STOP
    share: float = 1.0

    @property
    def sized(self) -> bool:
        """Whether the bytes of each image's new file are known: those that it has in the source."""
        return self.transform is None

    @property
    def split(self) -> str:
        """Train, val or test."""
        return self.reader.split

    @cached_property
    def rows(self) -> Int:
        """The reader's rows in the order in which they are written, shape (N,), int64."""
        return self.order.rows if self.order else self.reader.storage_order()

    @cached_property
    def units(self) -> list[Unit]:
        """The parts of the work, in the order of `rows`."""
        return units_of(self.reader) if self.order is None else shards_of(self.reader, self.order)

    def part(self, unit: Unit) -> Reader:
        """Return a reader of a unit's images, in the order of `rows`: what a worker is sent."""
        return self.reader.part(self.rows[unit.start : unit.stop])

    def images(self) -> Iterator[tuple[str, int]]:
        """Yield path and bytes of every image's new file, in the order of `rows`; UNKNOWN_SIZE if it is made anew."""
        for start in range(0, len(self.rows), _CHUNK):
            part = self.reader.part(self.rows[start : start + _CHUNK])
            sizes = part.sizes.tolist() if self.sized else [UNKNOWN_SIZE] * len(part)
            yield from zip(keys_of(part, self.layout), sizes, strict=True)

    @property
    def settings(self) -> dict[str, object]:
        """What the user chose."""
        layout = self.layout.template if self.layout else None
        made = {"transform": self.transform.settings} if self.transform else {}
        return {"split": self.split, "layout": layout, **self.chosen, **made}

    @cached_property
    def digest(self) -> str:
        """sha256 of settings and identity, in hex: two plans of one digest write the same images to the same places.

        The identity tells names, labels, sizes and places of images, not their bytes: whoever takes over the work of
        an earlier run compares the reader's state too.
        """
        text = json.dumps([self.settings, self.reader.identity], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def shards_of(reader: Reader, order: Order) -> list[Unit]:
    """Return a unit for each shard. The containers are proved up to its last image before it."""
    total = sum(container.size for container in reader.containers())
    units = []
    for number, (start, stop) in enumerate(itertools.pairwise(order.bounds.tolist())):
        spans = reader.spans(order.rows[start:stop])
        end = total if spans is None else int(spans[:, 1].max())
        size = int(reader.sizes[order.rows[start:stop]].sum())
        units.append(Unit(f"{reader.split}-{number:06}", start, stop, end, stop - start, size))
    return units


def keys_of(reader: Reader, layout: Layout | None) -> list[str]:
    """Return the path of every row below the target's folder; without a layout, its path in the source."""
    if layout is None:
        return [reader.where(row).key for row in range(len(reader))]
    pairs = zip(reader.labels.tolist(), reader.names.to_pylist(), strict=True)
    return [layout.path(reader.split, label, name) for label, name in pairs]
