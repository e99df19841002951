"""Tell a tree's layout by its folders and the images in them, and what a reader of folders would make of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ilsvrc import facts
from ilsvrc.dataset.tree import Tree
from ilsvrc.issues import Code, Issue

UNKNOWN = "unknown"
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


def folder_label(layout: str, folder: str) -> int | None:
    """Return the label that a folder's name stands for under a layout, or None if it stands for none."""
    if layout == "wnid":
        synset = facts.classes().get(folder)
        return synset.index if synset else None
    if layout in ("index", "padded") and folder.isdecimal() and int(folder) < len(facts.classes()):
        return int(folder)
    return None


def label_issues(tree: Tree, layout: str) -> list[Issue]:
    """Return an issue for every folder that is not of its images' class, and for every image among others of another.

    Train images' names carry their wnid, validation images' names their number: so names tell the truth.
    """
    if layout == "flat":
        return []
    told = layout in ("wnid", "index", "padded")  # under another template a folder's name tells nothing
    claimed = {folder: folder_label(layout, folder) for folder in tree.folders if not folder.startswith(".")}
    strangers = [folder for folder, label in claimed.items() if label is None and told]
    issues = [Issue(f, Code.STRAY_FOLDER, f"not the folder of a class under layout {layout}") for f in strangers]
    for folder, label in tree.folder_labels.items():
        if claimed.get(folder) not in (None, label):
            issues.append(Issue(folder, Code.WRONG_LABEL, f"its images are of {_named(label)}"))
    paths = tree.table.column("path")
    for row, (folder, label) in enumerate(zip(tree.parents, tree.labels.tolist(), strict=True)):
        if not folder or label != tree.folder_labels[folder]:
            issues.append(Issue(paths[row].as_py(), Code.WRONG_LABEL, f"an image of {_named(label)}"))
    return issues


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
