"""Which labels the loaders in common use give to the classes of a split."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ilsvrc import facts
from ilsvrc.archive.names import NO_LABEL
from ilsvrc.files import printable
from ilsvrc.tree.scan import Tree


@dataclass(frozen=True, slots=True)
class LoaderLabels:
    """The labels that loaders of one kind give, beside the index that ILSVRC 2012 is numbered by.

    loaders : their names
    rule : how they number classes
    folders : how many folders they take for classes
    wrong : how many of these get another label than their images have
    example : one of them, in words; empty if there is none
    """

    loaders: str
    rule: str
    folders: int
    wrong: int
    example: str = ""


@dataclass(frozen=True, slots=True)
class _Kind:
    """Loaders that number folders alike.

    loaders, rule : see LoaderLabels
    hidden, empty : whether they take folders that are hidden, and folders without images
    natural : whether they sort the numbers in names as numbers; else names as text
    """

    loaders: str
    rule: str
    hidden: bool = True
    empty: bool = True
    natural: bool = False

    def labels(self, actual: dict[str, int]) -> LoaderLabels:
        """Return the labels that they give, by the name and the true label of each folder; -1 without images."""
        taken = [
            name
            for name, label in actual.items()
            if (self.hidden or not name.startswith(".")) and (self.empty or label >= 0)
        ]
        taken.sort(key=_natural if self.natural else None)
        wrong = [(name, given) for given, name in enumerate(taken) if actual[name] not in (given, NO_LABEL)]
        example = f"folder {wrong[0][0]} gets label {wrong[0][1]}, is {actual[wrong[0][0]]}" if wrong else ""
        return LoaderLabels(self.loaders, self.rule, len(taken), len(wrong), example)


def _natural(name: str) -> list[int | str]:
    """Return a name cut into texts and numbers."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name.lower())]


_KINDS = (
    _Kind("torchvision ImageFolder and ImageNet", "position among all folders, sorted as text"),
    _Kind(
        "Keras image_dataset_from_directory",
        "position among the folders that are not hidden, sorted as text",
        hidden=False,
    ),
    _Kind(
        "Hugging Face imagefolder",
        "position among the folders that hold images, sorted as text",
        empty=False,
    ),
    _Kind(
        "timm ImageFolder",
        "position among the folders that hold images, numbers sorted as numbers",
        empty=False,
        natural=True,
    ),
)
"""As of torchvision 0.28 (datasets/folder.py), Keras 3.15 (utils/dataset_utils.py), datasets 5.2
(folder_based_builder.py) and timm 1.0.31 (data/readers/reader_image_folder.py)."""


def folder_labels(tree: Tree) -> tuple[LoaderLabels, ...]:
    """Return the labels that loaders give to a tree's folders; none where images lie in no folders."""
    return _given(tree.folders, tree.folder_labels.tolist()) if tree.split != "test" else ()


def class_labels(labels: npt.NDArray[np.int16]) -> tuple[LoaderLabels, ...]:
    """Return the labels that loaders would give to the classes of a split in folders named by wnid; none for test."""
    present = np.unique(labels[labels >= 0]).tolist()
    return _given([facts.classes()[label].wnid for label in present], present)


def _given(folders: Sequence[str], actual: Sequence[int]) -> tuple[LoaderLabels, ...]:
    labels = {printable(name): label for name, label in zip(folders, actual, strict=True)}
    return tuple(kind.labels(labels) for kind in _KINDS) if labels else ()
