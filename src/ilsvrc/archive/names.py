"""Read the split, class and number that the names of members state."""

from __future__ import annotations

import re
from typing import NamedTuple

from ilsvrc import facts
from ilsvrc.errors import ArchiveError
from ilsvrc.issues import Code
from ilsvrc.stores.path import Location

NO_LABEL = -1
"""The label of a test image."""

_INNER = re.compile(r"(?:.*/)?(n\d{8})\.tar", re.ASCII)
_TRAIN = re.compile(r"(?:.*/)?((n\d{8})_\d+\.JPEG)", re.ASCII)
_FLAT = re.compile(r"(?:.*/)?(ILSVRC2012_(val|test)_0*(\d{1,8})\.JPEG)", re.ASCII)
LAST_NUMBER = {"val": 50_000, "test": 100_000}
"""The highest number of an image in each flat archive."""


class RefusedName(ValueError):  # noqa: N818  -- always caught within this folder
    """A member's name that is refused: the fault, without its place in the archive."""

    def __init__(self, code: Code, detail: str, hint: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.hint = hint

    def at(self, archive: Location, member: str, offset: int) -> ArchiveError:
        """Return the error that names the fault and its place."""
        return ArchiveError(self.code, str(self), archive, member=member, offset=offset, hint=self.hint)


def split_of(name: str) -> str | None:
    """Return the split whose archive holds a member of this name: train, val, test or None."""
    if _INNER.fullmatch(name):
        return "train"
    match = _FLAT.fullmatch(name)
    return match[2] if match else None


def inner_label(name: str) -> int:
    """Return the label of an inner archive of train, such as n01440764.tar.

    Raises
    ------
    RefusedName
        If it is named otherwise, or its wnid is none of the 1000.
    """
    match = _INNER.fullmatch(name)
    if not match:
        raise RefusedName(Code.UNKNOWN_MEMBER, "not an archive of a class, which is named WNID.tar")
    synset = facts.classes().get(match[1])
    if synset is None:
        hint = "this may be the Fall 2011 or the 21k release; ilsvrc handles ILSVRC 2012"
        raise RefusedName(Code.UNKNOWN_CLASS, f"{match[1]} is none of the 1000 classes of ILSVRC 2012", hint)
    return synset.index


def train_name(name: str, wnid: str) -> str:
    """Return the file name of a member of a class's archive.

    Raises
    ------
    RefusedName
        If it is not WNID_NUMBER.JPEG, or of another class.
    """
    match = _TRAIN.fullmatch(name)
    if not match:
        raise RefusedName(Code.UNKNOWN_MEMBER, "not a train image, which is named WNID_NUMBER.JPEG")
    if match[2] != wnid:
        raise RefusedName(Code.WRONG_CLASS, f"an image of class {match[2]} in the archive of {wnid}")
    return match[1]


class FlatImage(NamedTuple):
    """The parts of a val or test member's name: file name, number, label (`NO_LABEL` for test)."""

    name: str
    number: int
    label: int


def flat_image(name: str, split: str) -> FlatImage:
    """Return the parts of a val or test member's name; its number may have any number of digits.

    Raises
    ------
    RefusedName
        If it is not ILSVRC2012_SPLIT_NUMBER.JPEG, or its number is out of range.
    """
    match = _FLAT.fullmatch(name)
    if not match or match[2] != split:
        raise RefusedName(Code.UNKNOWN_MEMBER, f"not a {split} image, which is named ILSVRC2012_{split}_NUMBER.JPEG")
    number, last = int(match[3]), LAST_NUMBER[split]
    if not 1 <= number <= last:
        raise RefusedName(Code.UNKNOWN_MEMBER, f"there is no {split} image {number}, only 1 to {last}")
    label = int(facts.val_labels()[number - 1]) if split == "val" else NO_LABEL
    return FlatImage(match[1], number, label)
