"""What a run will do, decided before it does anything."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from ilsvrc.readers.reader import Int, Reader
from ilsvrc.readers.units import Unit, units_of
from ilsvrc.tree.layout import Layout

_CHUNK = 1 << 14
"""Rows that are made Python values at a time."""


@dataclass(frozen=True)
class Plan:
    """The images of one split, where each goes, and the units that the work is cut into.

    reader : the images
    layout : gives each image its path in the target; None to call it by its path in the source
    chosen : what else the user chose, in plain values
    """

    reader: Reader
    layout: Layout | None = None
    chosen: Mapping[str, object] = field(default_factory=dict)

    @property
    def split(self) -> str:
        """Train, val or test."""
        return self.reader.split

    @cached_property
    def rows(self) -> Int:
        """The reader's rows in storage order, shape (N,), int64."""
        return self.reader.storage_order()

    @cached_property
    def units(self) -> list[Unit]:
        """The parts of the work, in storage order."""
        return units_of(self.reader)

    def part(self, unit: Unit) -> Reader:
        """Return a reader of a unit's images, in storage order: what a worker is sent."""
        return self.reader.part(self.rows[unit.start : unit.stop])

    def images(self) -> Iterator[tuple[str, int]]:
        """Yield path and bytes of every image, in storage order."""
        for start in range(0, len(self.rows), _CHUNK):
            part = self.reader.part(self.rows[start : start + _CHUNK])
            yield from zip(keys_of(part, self.layout), part.sizes.tolist(), strict=True)

    @property
    def settings(self) -> dict[str, object]:
        """What the user chose."""
        layout = self.layout.template if self.layout else None
        return {"split": self.split, "layout": layout, **self.chosen}

    @cached_property
    def digest(self) -> str:
        """sha256 of settings and identity, in hex: two plans of one digest write the same images to the same places.

        The identity tells names, labels, sizes and places of images, not their bytes: whoever takes over the work of
        an earlier run compares the reader's state too.
        """
        text = json.dumps([self.settings, self.reader.identity], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def keys_of(reader: Reader, layout: Layout | None) -> list[str]:
    """Return the path of every row below the target's folder; without a layout, its path in the source."""
    if layout is None:
        return [reader.where(row).key for row in range(len(reader))]
    pairs = zip(reader.labels.tolist(), reader.names.to_pylist(), strict=True)
    return [layout.path(reader.split, label, name) for label, name in pairs]
