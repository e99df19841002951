"""The 1000 classes, in the order of their sorted wnids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import overload

from ilsvrc.facts.tables import read_rows


@dataclass(frozen=True, slots=True)
class Synset:
    """A class of ILSVRC 2012.

    wnid : WordNet id, such as n01440764
    words : all its names, separated by comma and space
    devkit_id : ILSVRC2012_ID, 1 to 1000
    index : place in the list of sorted wnids, 0 to 999
    train_images : images in the official train archive, 732 to 1300
    name : its first word, made unique where two classes share it (crane, maillot, cardigan)
    """

    wnid: str
    words: str
    devkit_id: int
    index: int
    train_images: int
    name: str


class ClassTable(Sequence[Synset]):
    """The classes by index, wnid or devkit id.

    >>> classes()[65].words
    'sea snake'
    >>> classes().by_wnid("n01751748").devkit_id
    490
    """

    def __init__(self, synsets: Iterable[Synset]) -> None:
        self._synsets = tuple(synsets)
        self._by_wnid = {s.wnid: s for s in self._synsets}
        self._by_devkit_id = {s.devkit_id: s for s in self._synsets}

    @overload
    def __getitem__(self, index: int) -> Synset: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Synset]: ...
    def __getitem__(self, index: int | slice) -> Synset | Sequence[Synset]:
        return self._synsets[index]

    def __len__(self) -> int:
        return len(self._synsets)

    def __iter__(self) -> Iterator[Synset]:
        return iter(self._synsets)

    @property
    def wnids(self) -> tuple[str, ...]:
        """All wnids, sorted: position is index."""
        return tuple(self._by_wnid)

    def get(self, wnid: str) -> Synset | None:
        """Return the class of a wnid, or None."""
        return self._by_wnid.get(wnid)

    def by_wnid(self, wnid: str) -> Synset:
        """Return the class of a wnid; KeyError if it is none of the 1000."""
        return self._by_wnid[wnid]

    def by_devkit_id(self, devkit_id: int) -> Synset:
        """Return the class of an ILSVRC2012_ID in 1..1000; KeyError outside."""
        return self._by_devkit_id[devkit_id]


@cache
def classes() -> ClassTable:
    """Return the 1000 classes of ILSVRC 2012, from the genuine devkit's meta.mat."""
    return ClassTable(
        Synset(
            wnid=row["wnid"],
            words=row["words"],
            devkit_id=int(row["devkit_id"]),
            index=int(row["index"]),
            train_images=int(row["train_images"]),
            name=row["name"],
        )
        for row in read_rows("synsets.tsv")
    )
