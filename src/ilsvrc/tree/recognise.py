"""Recognise a tree's layout by its folders and images, and the labels that a reader of folders would give."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xxhash

from ilsvrc import facts
from ilsvrc.archive.names import NO_LABEL
from ilsvrc.facts import LabelScheme, scheme, schemes
from ilsvrc.files import printable
from ilsvrc.issues import Code, Issue
from ilsvrc.tree.scan import Tree

UNKNOWN = "unknown"
MOST = 0.9
"""Share of folders whose names a scheme must explain to be taken for the tree's scheme."""
_DIGITS = 9
"""Digits of the longest number that may be a label; longer ones would not fit an int64."""
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
    """Return the scheme of a tree's folder names, by the images in the folders; None if no scheme fits.

    Train images' names hold their wnid, validation images' names their number, so each name states the true class.
    """
    if layout == "wnid":
        return scheme("wnid")
    if layout not in ("index", "padded"):
        return None
    labels_of = {
        _number(folder): label
        for folder, label in zip(tree.folders, tree.folder_labels.tolist(), strict=True)
        if folder.isdecimal() and label >= 0
    }
    numbers, labels = np.array(list(labels_of), np.int64), np.array(list(labels_of.values()), np.int64)
    numeric = [s for s in schemes() if s.numeric]
    agreement = [float((s.lookup(numbers) == labels).mean()) if labels_of else 1.0 for s in numeric]
    best = int(np.argmax(agreement))  # the first of equals: index comes before the others
    return numeric[best] if agreement[best] > MOST else None


def label_issues(tree: Tree, layout: str) -> list[Issue]:
    """Return an issue for each folder with the name of another class, and each image among those of another class."""
    if layout == "flat" or tree.split == "test":
        return []  # no folder names a class: test images have none, and lie in no folder under any layout
    named = folder_scheme(tree, layout)
    issues = _scheme_issues(layout, named) + _folder_issues(tree, layout, named) + _loose_issues(tree)
    for row in tree.misplaced[tree.parents[tree.misplaced] >= 0].tolist():
        issues.append(Issue(tree.path(row), Code.WRONG_LABEL, f"an image of {_named(int(tree.labels[row]))}"))
    return issues


def _scheme_issues(layout: str, named: LabelScheme | None) -> list[Issue]:
    """Return one issue for a tree whose folders are all numbered by a scheme other than the index."""
    if layout not in ("index", "padded") or named is None or named.name == "index":
        return []
    detail = f"folders are named by {named.name} ({named.range}; {named.used_by}), not by index: see `ilsvrc relabel`"
    return [Issue(".", Code.WRONG_LABEL, detail)]


def _loose_issues(tree: Tree) -> list[Issue]:
    """Return one issue for all images that lie beside the class folders: a script that sorts them was stopped."""
    loose = tree.loose
    if not len(loose):
        return []
    detail = f"{len(loose):,} images lie in no class folder, such as {tree.path(loose.item(0))}: see `ilsvrc relabel`"
    return [Issue(".", Code.WRONG_LABEL, detail)]


def _folder_issues(tree: Tree, layout: str, named: LabelScheme | None) -> list[Issue]:
    """Return an issue for every folder that names no class, or another class than that of its images."""
    if layout not in ("wnid", "index", "padded"):
        return []  # with another template, a folder's name may mean anything
    named = named or scheme("index")
    issues = []
    for folder, actual in zip(tree.folders, tree.folder_labels.tolist(), strict=True):
        claimed = _label_of(folder, named)
        if claimed is None and not folder.startswith("."):
            issues.append(
                Issue(printable(folder), Code.STRAY_FOLDER, f"not the folder of a class under layout {layout}")
            )
        elif claimed is not None and actual not in (claimed, NO_LABEL):
            issues.append(Issue(folder, Code.WRONG_LABEL, f"its images are of {_named(actual)}"))
    return issues


def contradicted(tree: Tree) -> npt.NDArray[np.int64]:
    """Return the rows of images that lie in the folder of another class than their names state, shape (K,), int64.

    A folder is of the class that its name states under the tree's layout; where it states none, of the class of most
    of its images.
    """
    layout = layout_of(tree)
    named = folder_scheme(tree, layout) if tree.split != "test" else None
    stated = [_label_of(folder, named) if named else None for folder in tree.folders]
    usual = tree.folder_labels.tolist()
    folders = [own if claimed is None else claimed for claimed, own in zip(stated, usual, strict=True)]
    claimed = np.array([*folders, NO_LABEL], np.int64)[tree.parents]  # -1 takes the last
    return np.flatnonzero((claimed != NO_LABEL) & (claimed != tree.labels))


def _label_of(folder: str, named: LabelScheme) -> int | None:
    """Return the index of the class that a folder's name stands for in a scheme, or None."""
    if named.numeric and not folder.isdecimal():
        return None
    found = int(named.lookup(np.array([_number(folder) if named.numeric else folder]))[0])
    return found if found >= 0 else None


def _number(folder: str) -> int:
    """Return the number that a folder's name is; -1, which is no label of any scheme, if it is too long for one."""
    return int(folder) if len(folder) <= _DIGITS else -1


@dataclass(frozen=True, slots=True)
class FolderOrder:
    """The labels of a reader that numbers sorted folder names, as torchvision's ImageFolder does.

    folders : how many folders it takes for classes
    wrong : how many of those with images get another label than their images have
    example : one of them, in words; empty if there is none
    """

    folders: int
    wrong: int
    example: str


def folder_order(tree: Tree) -> FolderOrder:
    """Return the labels that ImageFolder gives in a tree (torchvision.datasets.folder: it sorts folder names)."""
    true = tree.folder_labels
    wrong = np.flatnonzero((true >= 0) & (true != np.arange(len(true)))).tolist()
    first = wrong[0] if wrong else 0
    example = f"folder {tree.folders[first]} gets label {first}, is {true[first]}" if wrong else ""
    return FolderOrder(len(tree.folders), len(wrong), example)


def duplicate_issues(tree: Tree) -> list[Issue]:
    """Return an issue for every image that is in the tree more than once, by its name."""
    digests = np.fromiter(
        map(xxhash.xxh3_64_intdigest, map(str.encode, tree.names())), np.uint64, tree.table.num_rows
    )
    order = np.argsort(digests, kind="stable")
    twice = np.flatnonzero(digests[order][1:] == digests[order][:-1]) + 1
    pairs = [(tree.path(int(order[at])), tree.path(int(order[at - 1]))) for at in twice.tolist()]
    return [
        Issue(path, Code.DUPLICATE_IMAGE, f"also at {other}")
        for path, other in pairs
        if path.rpartition("/")[2] == other.rpartition("/")[2]
    ]


def _named(label: int) -> str:
    synset = facts.classes()[label]
    return f"{synset.wnid} {synset.name}, index {label}"


def _most(names: Sequence[str], holds: Callable[[str], object]) -> bool:
    return sum(bool(holds(name)) for name in names) * 2 > len(names)
