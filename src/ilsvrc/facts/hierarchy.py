"""WordNet above the 1000 classes: 860 ancestors up to `entity`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from ilsvrc.facts.classes import classes
from ilsvrc.facts.tables import read_rows


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """The 1,860 synsets of the devkit's meta.mat and the 1,937 edges between them.

    words : all names of each synset, by wnid
    parents : wnids right above each synset; none above entity
    children : wnids right below each synset; none below a class
    """

    words: Mapping[str, str]
    parents: Mapping[str, tuple[str, ...]]
    children: Mapping[str, tuple[str, ...]]


@cache
def hierarchy() -> Hierarchy:
    """Return the hierarchy of ILSVRC 2012, from the genuine devkit's meta.mat."""
    words = {s.wnid: s.words for s in classes()} | {row["wnid"]: row["words"] for row in read_rows("ancestors.tsv")}
    parents, children = defaultdict(list), defaultdict(list)
    for row in read_rows("edges.tsv"):
        parents[row["child_wnid"]].append(row["parent_wnid"])
        children[row["parent_wnid"]].append(row["child_wnid"])
    return Hierarchy(
        words=words,
        parents={wnid: tuple(parents[wnid]) for wnid in words},
        children={wnid: tuple(children[wnid]) for wnid in words},
    )
