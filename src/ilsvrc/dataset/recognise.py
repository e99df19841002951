"""Tell a tree's layout by its folders and the images in them, and what a reader of folders would make of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ilsvrc import facts
from ilsvrc.archive.naming import NO_LABEL
from ilsvrc.dataset.tree import Tree
from ilsvrc.facts import LabelScheme, scheme, schemes
from ilsvrc.issues import Code, Issue

UNKNOWN = "unknown"
MOST = 0.9
"""Share of folders that a scheme must explain to be the one that they are named by."""
_WNID = re.compile(r"n\d{8}")


def layout_of(tree: Tree) -> str:
    """Return the name of a tree's layout: wnid, index, padded, flat, or `unknown`."""
    names = [folder for folder in tree.folders if not folder.startswith(".")]
    if not names:
        return "flat"
    if _most(names, lambda name: _WNID.fullmatch(name) is not None):
        return "wnid"
    if _most(names, str.isdecimal):
        padded = any(name.startswith("0") and len(name) > 1 for name in names)
        return "padded" if padded else "index"
    return UNKNOWN


def folder_scheme(tree: Tree, layout: str) -> LabelScheme | None:
    """Return the scheme that a tree's folder names are in, by the images in them; None if they fit none.

    Train images' names carry their wnid, validation images' names their number: so names tell the truth.
    """
    if layout == "wnid":
        return scheme("wnid")
    if layout not in ("index", "padded"):
        return None
    told = {int(f): label for f, label in tree.folder_labels.items() if f.isdecimal() and label != NO_LABEL}
    numbers, labels = np.array(list(told), np.int64), np.array(list(told.values()), np.int64)
    numeric = [s for s in schemes() if s.numeric]
    agreement = [float((s.lookup(numbers) == labels).mean()) if told else 1.0 for s in numeric]
    best = int(np.argmax(agreement))  # the first of equals: index comes before the others
    return numeric[best] if agreement[best] > MOST else None


def label_issues(tree: Tree, layout: str) -> list[Issue]:
    """Return an issue for folders that are not of their images' class, and for each image among those of another."""
    if layout == "flat":
        return []
    named = folder_scheme(tree, layout)
    issues = _scheme_issues(layout, named) + _folder_issues(tree, layout, named)
    paths = tree.table.column("path")
    for row, (folder, label) in enumerate(zip(tree.parents, tree.labels.tolist(), strict=True)):
        if not folder or label != tree.folder_labels[folder]:
            issues.append(Issue(paths[row].as_py(), Code.WRONG_LABEL, f"an image of {_named(label)}"))
    return issues


def _scheme_issues(layout: str, named: LabelScheme | None) -> list[Issue]:
    """Return one issue for a tree whose folders are all numbered by another scheme than the index."""
    if layout not in ("index", "padded") or named is None or named.name == "index":
        return []
    detail = f"folders are named by {named.name} ({named.range}; {named.used_by}), not by index: see `ilsvrc relabel`"
    return [Issue(".", Code.WRONG_LABEL, detail)]


def _folder_issues(tree: Tree, layout: str, named: LabelScheme | None) -> list[Issue]:
    """Return an issue for every folder that names no class, or another one than its images are of."""
    if layout not in ("wnid", "index", "padded"):
        return []  # under another template a folder's name tells nothing
    named = named or scheme("index")
    issues = []
    for folder in tree.folders:
        claimed, actual = _label_of(folder, named), tree.folder_labels.get(folder, NO_LABEL)
        if claimed is None and not folder.startswith("."):
            issues.append(Issue(folder, Code.STRAY_FOLDER, f"not the folder of a class under layout {layout}"))
        elif claimed is not None and actual not in (claimed, NO_LABEL):
            issues.append(Issue(folder, Code.WRONG_LABEL, f"its images are of {_named(actual)}"))
    return issues


def _label_of(folder: str, named: LabelScheme) -> int | None:
    """Return the index of the class that a folder's name stands for in a scheme, or None."""
    if named.numeric and not folder.isdecimal():
        return None
    found = int(named.lookup(np.array([int(folder) if named.numeric else folder]))[0])
    return found if found >= 0 else None


@dataclass(frozen=True, slots=True)
class FolderOrder:
    """What labels a reader that numbers sorted folder names would give, as torchvision's ImageFolder does.

    folders : how many folders it takes for classes
    wrong : how many of those with images get another label than their images have
    example : one of them, in words; empty if there is none
    """

    folders: int
    wrong: int
    example: str


def folder_order(tree: Tree) -> FolderOrder:
    """Return what ImageFolder would make of a tree (torchvision.datasets.folder: classes are sorted folder names)."""
    given = {name: position for position, name in enumerate(tree.folders)}
    true = {name: label for name, label in tree.folder_labels.items() if name in given and label >= 0}
    wrong = [name for name in tree.folders if name in true and given[name] != true[name]]
    example = f"folder {wrong[0]} gets label {given[wrong[0]]}, is {true[wrong[0]]}" if wrong else ""
    return FolderOrder(len(tree.folders), len(wrong), example)


def duplicate_issues(tree: Tree) -> list[Issue]:
    """Return an issue for every image that is in the tree more than once, by its name."""
    names = np.array([path.rpartition("/")[2] for path in tree.table.column("path").to_pylist()], np.bytes_)
    order = np.argsort(names, kind="stable")
    twice = np.flatnonzero(names[order][1:] == names[order][:-1]) + 1
    paths = tree.table.column("path")
    return [
        Issue(paths[int(order[at])].as_py(), Code.DUPLICATE_IMAGE, f"also at {paths[int(order[at - 1])].as_py()}")
        for at in twice.tolist()
    ]


def _named(label: int) -> str:
    synset = facts.classes()[label]
    return f"{synset.wnid} {synset.name}, index {label}"


def _most(names: Sequence[str], holds: Callable[[str], object]) -> bool:
    return sum(bool(holds(name)) for name in names) * 2 > len(names)
