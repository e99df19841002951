"""Lists of classes that have a name, such as imagenette, each read from the repository of those who chose them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache

from ilsvrc.errors import UsageError
from ilsvrc.facts.classes import Synset, classes
from ilsvrc.facts.tables import read_bytes, read_rows


@dataclass(frozen=True, slots=True)
class ClassList:
    """Some of the 1000 classes, under the name that people call them by.

    name : such as imagenette
    title : one line for people
    wnids : of the classes, sorted
    repository : owner and name of the GitHub repository that the list was read from
    path : of the file in this repository
    commit : of this file
    """

    name: str
    title: str
    wnids: tuple[str, ...]
    repository: str
    path: str
    commit: str

    @property
    def synsets(self) -> tuple[Synset, ...]:
        """Return its classes, in the order of their wnids."""
        return tuple(classes().by_wnid(wnid) for wnid in self.wnids)

    @property
    def labels(self) -> frozenset[int]:
        """Return the index of each of its classes."""
        return frozenset(synset.index for synset in self.synsets)


@cache
def class_lists() -> tuple[ClassList, ...]:
    """Return every class list, the smallest first.

    >>> [(listed.name, len(listed.wnids)) for listed in class_lists()][:3]
    [('imagenette', 10), ('imagewoof', 10), ('imagenet-100', 100)]
    """
    members = defaultdict(list)
    for row in read_rows("class_lists.tsv"):
        members[row["list"]].append(row["wnid"])
    return tuple(
        ClassList(
            name=row["list"],
            title=row["title"],
            wnids=tuple(members[row["list"]]),
            repository=row["repository"],
            path=row["path"],
            commit=row["commit"],
        )
        for row in read_rows("class_list_sources.tsv")
    )


def class_list(name: str) -> ClassList:
    """Return the class list of this name.

    Raises
    ------
    UsageError
        There is none; its hint names the closest.
    """
    known = {listed.name: listed for listed in class_lists()}
    if name in known:
        return known[name]
    close = get_close_matches(name.casefold(), known, n=2)
    hint = f"did you mean {' or '.join(close)}?" if close else f"choose one of {', '.join(known)}"
    raise UsageError(f"no class list is called {name!r}", hint=hint)


@cache
def detection_wnids() -> frozenset[str]:
    """Return the wnids of the 200 classes of the detection task (DET), many of them no class of classification."""
    return frozenset(read_bytes("detection_wnids.txt").decode().split())
