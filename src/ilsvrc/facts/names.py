"""The label that an image's name states: train names hold their wnid, validation names their number."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from ilsvrc.errors import UsageError
from ilsvrc.facts.classes import classes
from ilsvrc.facts.images import val_labels

VAL_NAME = r"ILSVRC2012_val_(?P<number>\d{1,8})(?!\d)"
"""Matches a validation image's name without its ending, with any number of digits; the group holds its number."""

_VAL = re.compile(VAL_NAME)
_TRAIN = re.compile(r"(?P<wnid>n\d{8})_\d+")
_FILE = re.compile(r"(?:n\d{8}_\d+|ILSVRC2012_(?P<flat>val|test)_\d{1,8})\.jpe?g", re.IGNORECASE)


def val_number(name: str) -> int | None:
    """Return the number (1 to 50000) in a validation image's name, with or without folder and ending, or None."""
    found = _VAL.search(name)
    number = int(found["number"]) if found else 0
    return number if 1 <= number <= len(val_labels()) else None


def val_name(number: int) -> str:
    """Return the official file name of a validation image.

    >>> val_name(1)
    'ILSVRC2012_val_00000001.JPEG'
    """
    return f"ILSVRC2012_val_{number:08}.JPEG"


def true_label(name: str) -> int | None:
    """Return the index of an image's class by its name, or None if the name states no class.

    >>> true_label("val/ILSVRC2012_val_00000001.JPEG"), true_label("n01440764_18")
    (65, 0)
    """
    number = val_number(name)
    if number is not None:
        return int(val_labels()[number - 1])
    found = _TRAIN.search(name)
    synset = classes().get(found["wnid"]) if found else None
    return synset.index if synset else None


def image_split(name: str) -> str | None:
    """Return the split that an image file of this name belongs to, or None if it is no image of ILSVRC 2012.

    >>> image_split("n01440764_18.JPEG"), image_split("ILSVRC2012_test_00000001.JPEG"), image_split("Thumbs.db")
    ('train', 'test', None)
    """
    found = _FILE.fullmatch(name)
    if not found or found["flat"] == "test":
        return "test" if found else None
    return (found["flat"] or "train") if true_label(name) is not None else None


def true_labels(names: Iterable[str]) -> npt.NDArray[np.int64]:
    """Return the index of every image by its name: int64.

    Raises
    ------
    UsageError
        If a name is neither that of a validation image nor that of a train image.
    """
    listed = list(names)
    labels = [true_label(name) for name in listed]
    unknown = [name for name, label in zip(listed, labels, strict=True) if label is None]
    if unknown:
        raise UsageError(
            f"{len(unknown):,} of {len(listed):,} names are of no image of ILSVRC 2012: {', '.join(unknown[:3])}",
            hint="give names such as ILSVRC2012_val_00000001.JPEG, with or without folder and ending",
        )
    return np.array(labels, np.int64)
