"""WordNet above the 1000 classes: 860 ancestors up to `entity`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from ilsvrc.facts.classes import Synset, classes
from ilsvrc.facts.tables import read_rows


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """The 1,860 synsets of the devkit's meta.mat and the 1,937 edges between them: no tree, 75 have several parents.

    words : all names of each synset, by wnid
    devkit_ids : ILSVRC2012_ID of each synset, by wnid; 1 to 1000 are the classes, 1001 to 1860 their ancestors
    parents : wnids right above each synset, sorted; none above entity
    children : wnids right below each synset, by devkit id; none below a class
    """

    words: Mapping[str, str]
    devkit_ids: Mapping[str, int]
    parents: Mapping[str, tuple[str, ...]]
    children: Mapping[str, tuple[str, ...]]

    def ancestors(self, wnid: str) -> tuple[str, ...]:
        """Return every wnid above this one, once each, nearest first; KeyError if it is none of the 1,860."""
        return _reached(self.parents, wnid)

    def paths(self, wnid: str) -> tuple[tuple[str, ...], ...]:
        """Return every way from entity down to a synset, both included; KeyError if it is none of the 1,860."""
        ways = tuple((*path, wnid) for parent in self.parents[wnid] for path in self.paths(parent))
        return ways or ((wnid,),)

    def classes_below(self, wnid: str) -> tuple[Synset, ...]:
        """Return the classes at or below a synset, in order of the index; KeyError if it is none of the 1,860."""
        synsets = (classes().get(one) for one in (wnid, *_reached(self.children, wnid)))
        return tuple(sorted((synset for synset in synsets if synset), key=lambda synset: synset.index))

    def height(self, wnid: str) -> int:
        """Return the edges on the longest way down to a class: 0 for a class itself."""
        return max((1 + self.height(child) for child in self.children[wnid]), default=0)


def _reached(edges: Mapping[str, tuple[str, ...]], wnid: str) -> tuple[str, ...]:
    """Return every synset that edges lead to from this one, once each, nearest first."""
    found = dict.fromkeys(edges[wnid])
    queue = list(found)
    for one in queue:
        new = [other for other in edges[one] if other not in found]
        found.update(dict.fromkeys(new))
        queue += new
    return tuple(found)


@cache
def hierarchy() -> Hierarchy:
    """Return the hierarchy of ILSVRC 2012, from the genuine devkit's meta.mat."""
    ancestors = list(read_rows("ancestors.tsv"))
    ids = {s.wnid: s.devkit_id for s in classes()} | {row["wnid"]: int(row["devkit_id"]) for row in ancestors}
    parents, children = defaultdict(list), defaultdict(list)
    for row in read_rows("edges.tsv"):
        parents[row["child_wnid"]].append(row["parent_wnid"])
        children[row["parent_wnid"]].append(row["child_wnid"])
    return Hierarchy(
        words={s.wnid: s.words for s in classes()} | {row["wnid"]: row["words"] for row in ancestors},
        devkit_ids=ids,
        parents={wnid: tuple(sorted(parents[wnid])) for wnid in ids},
        children={wnid: tuple(sorted(children[wnid], key=ids.__getitem__)) for wnid in ids},
    )
