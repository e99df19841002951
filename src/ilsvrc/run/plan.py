"""What a run will do, decided before it does anything."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from ilsvrc.archive.index import Index
from ilsvrc.archive.sidecar import open_index
from ilsvrc.archive.source import ByteSource, FileSource, FileState
from ilsvrc.readers.units import Catalog, Unit, Wanted


@dataclass(frozen=True)
class Plan:
    """One split of one archive under one layout, cut into units.

    source : the archive
    index : where its images are
    wanted : which images, where each goes, and with what labels
    """

    source: FileSource
    index: Index
    wanted: Wanted

    @property
    def split(self) -> str:
        """The split that the archive holds."""
        return self.index.split

    @cached_property
    def catalog(self) -> Catalog:
        """The images that the plan speaks of."""
        return Catalog(self.index, self.wanted)

    @cached_property
    def units(self) -> list[Unit]:
        """The parts of the work, in archive order."""
        return self.catalog.units()

    def images(self) -> Iterator[tuple[str, int]]:
        """Yield path and bytes of every image that is to be written."""
        return ((ref.key, ref.member.size) for ref in self.catalog.refs())

    @property
    def settings(self) -> dict[str, object]:
        """What the user chose."""
        classes, given = self.wanted.classes, self.wanted.val_labels
        return {
            "split": self.split,
            "layout": self.wanted.layout.template,
            "classes": None if classes is None else sorted(classes),
            "val_labels": hashlib.sha256(given).hexdigest() if given and self.split == "val" else None,
        }

    @property
    def state(self) -> FileState:
        """The state that the archive was in when it was opened, and must be in to the end of a run."""
        return self.source.state

    @cached_property
    def digest(self) -> str:
        """sha256 of settings and identity, in hex: two plans of one digest write the same images to the same places.

        The bytes of the images count by where they lie, not by what they are: what an earlier run wrote is compared
        with the archive before it is taken over.
        """
        text = json.dumps([self.settings, self.index.identity], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@lru_cache(maxsize=4)
def catalog_of(path: Path, state: FileState, wanted: Wanted) -> Catalog:
    """Return a plan's catalog in a worker: the index is read from its file, never sent."""
    source: ByteSource = FileSource(path, state)
    return Catalog(open_index(source), wanted)
