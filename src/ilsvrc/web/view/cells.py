"""What grids on pages are made of: images, classes, synsets of WordNet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ilsvrc import facts
from ilsvrc.facts import Synset
from ilsvrc.readers.reader import Int
from ilsvrc.web.view.collection import Split

PICTURED = 4
"""Images that stand for a synset of the tree."""


@dataclass(frozen=True, slots=True)
class Cell:
    """An image in a grid.

    split : its split
    row : its row there
    """

    split: Split
    row: int

    @property
    def name(self) -> str:
        """Its file name."""
        return self.split.reader.name(self.row)

    @property
    def stem(self) -> str:
        """Its file name without the ending."""
        return self.name.rpartition(".")[0]

    @property
    def page(self) -> str:
        """URL of its page."""
        return f"/image/{self.split.name}/{self.row}"

    @property
    def thumbnail(self) -> str:
        """URL of its thumbnail."""
        return f"/thumb/{self.split.name}/{self.row}?v={self.split.version}"

    @property
    def picture(self) -> str:
        """URL of the image as browsers show it."""
        return f"/picture/{self.split.name}/{self.row}?v={self.split.version}"

    @property
    def file(self) -> str:
        """URL of its file, byte for byte."""
        return f"/file/{self.split.name}/{self.row}?v={self.split.version}"

    @property
    def note(self) -> str:
        """What is known of it, in a word; empty for nothing."""
        code = facts.anomalies().get(self.name)
        return str(code) if code else ""


@dataclass(frozen=True, slots=True)
class Heading:
    """A class in a grid.

    synset : the class; None for images without a label
    images : how many there are
    cell : an image that stands for it; None if it has none
    found_as : how a search found it; empty if nothing was searched for
    """

    synset: Synset | None
    images: int
    cell: Cell | None
    found_as: str = ""


@dataclass(frozen=True, slots=True)
class Branch:
    """A synset of the WordNet tree.

    wnid : the synset
    words : its names
    classes : classes at or below it
    images : images of these
    cells : images that stand for it
    synset : the class that it is; None for an ancestor of classes
    """

    wnid: str
    words: str
    classes: int
    images: int
    cells: tuple[Cell, ...]
    synset: Synset | None


def typical(split: Split, synset: Synset | None) -> Cell | None:
    """Return an image that stands for a class, the same every time; None if it has none."""
    rows = split.rows(synset)
    return Cell(split, rows.item(len(rows) // 2)) if len(rows) else None


def heading(split: Split, synset: Synset | None, found_as: str = "") -> Heading:
    """Return what stands for a class in a grid."""
    images = int(split.counts[synset.index]) if synset else split.unlabelled
    return Heading(synset, images, typical(split, synset), found_as)


def branch(split: Split, wnid: str) -> Branch:
    """Return what stands for a synset of WordNet; KeyError if it is none of the 1,860."""
    below = facts.hierarchy().classes_below(wnid)
    counts = split.counts[[synset.index for synset in below]]
    there = [synset for synset, count in zip(below, counts.tolist(), strict=True) if count]
    chosen = [there[at] for at in spread(np.arange(len(there)), PICTURED).tolist()]
    return Branch(
        wnid=wnid,
        words=facts.hierarchy().words[wnid],
        classes=len(below),
        images=int(counts.sum()),
        cells=tuple(cell for synset in chosen if (cell := typical(split, synset))),
        synset=facts.classes().get(wnid),
    )


def spread(rows: Int, most: int) -> Int:
    """Return at most so many rows, at equal distances."""
    if len(rows) <= most:
        return rows
    chosen: Int = rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]
    return chosen
