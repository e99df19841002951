"""What the paths of members mean, of many at once: split, label and official name, and which of them contradict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ilsvrc import facts
from ilsvrc.archive.index import numbers
from ilsvrc.archive.names import LAST_NUMBER, NO_LABEL
from ilsvrc.issues import Code

SPLITS = ("train", "val", "test")
"""Splits by their number in columns."""

IMAGE = (
    r"^(?:(?P<folders>.*)/)?"
    r"(?:(?P<wnid>n[0-9]{8})_(?P<number>[0-9]{1,18})|ILSVRC2012_(?P<flat>val|test)_0*(?P<place>[0-9]{1,9}))"
    r"(?:_(?P<stated>n[0-9]{8}))?\.(?i:jpe?g)$"
)
"""Matches the path of an image; Hugging Face's archives state its wnid again, at the end of the name."""

INNER = r"^(?:.*/)?n[0-9]{8}\.tar$"
"""Matches the path of a class's own tar."""

_HIDDEN = r"(?:^|/)(?:\.[^/]|__MACOSX/)"
_CLASS_FOLDER = r"^(?:.*/)?(?P<wnid>n[0-9]{8})(?:\.tar(?:\.[a-z0-9]+)?)?(?:/.*)?$"
_SPLIT_FOLDER = r"^(?:.*/)?(?P<split>train|val|validation)(?:/.*)?$"

Int = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Images:
    """The images among some paths, in the order of the paths.

    places : their positions among the paths, shape (N,), int64
    splits : numbers in SPLITS, shape (N,), int8
    labels : by their names, shape (N,), int16
    names : official file names, N strings
    folders : the rest of their paths, N strings, empty where there is none
    stated : label that the folder or the end of the name states, -1 where neither does, shape (N,), int16
    """

    places: Int
    splits: npt.NDArray[np.int8]
    labels: npt.NDArray[np.int16]
    names: pa.StringArray
    folders: pa.StringArray
    stated: npt.NDArray[np.int16]


class UnknownImage(ValueError):  # noqa: N818  -- it is what happened, and is given a place by the caller
    """A name like those of ILSVRC 2012, of a class or number that is none of it."""

    def __init__(self, place: int, code: Code, detail: str, hint: str = "") -> None:
        super().__init__(detail)
        self.place = place
        self.code = code
        self.hint = hint


def images_among(paths: pa.StringArray) -> Images:
    """Return the images among the paths of members; all else is passed over.

    A name says the label. It says the split too, unless the image lies in a folder `train` or `val`: imagenette has
    images of either split in both.

    Raises
    ------
    UnknownImage
        If a name has a wnid that is none of the 1000, or a number out of range.
    """
    found = pc.extract_regex(paths, IMAGE)
    ours = pc.and_not(pc.is_valid(found), pc.match_substring_regex(paths, _HIDDEN))
    places = np.flatnonzero(_bools(ours)).astype(np.int64)
    parts = found.take(pa.array(places))
    wnids, counted, flat, digits, folders = (
        pc.struct_field(parts, key) for key in ("wnid", "number", "flat", "place", "folders")
    )
    of_class = _bools(pc.not_equal(wnids, ""))
    labels = _labels(wnids)
    _refuse_unknown(places, of_class & (labels < 0), Code.UNKNOWN_CLASS)
    val = _bools(pc.equal(flat, "val"))
    position = _numbers(digits)
    last = np.where(val, LAST_NUMBER["val"], LAST_NUMBER["test"])
    _refuse_unknown(places, ~of_class & ((position < 1) | (position > last)), Code.UNKNOWN_MEMBER)
    labels[val] = facts.val_labels()[position[val] - 1].astype(np.int16)
    splits = np.where(of_class, 0, np.where(val, 1, 2)).astype(np.int8)
    by_folder = _in_folders(folders, _SPLIT_FOLDER)
    splits[_bools(pc.equal(by_folder, "train")) & (splits != 2)] = 0
    splits[_bools(pc.starts_with(by_folder, "val")) & (splits != 2)] = 1
    official = pc.if_else(
        pa.array(of_class),
        pc.binary_join_element_wise(wnids, counted, "_"),
        pc.binary_join_element_wise("ILSVRC2012", flat, pc.utf8_lpad(digits, 8, "0"), "_"),
    )
    names = pc.binary_join_element_wise(official, "JPEG", ".")
    return Images(places, splits, labels, names, folders, _stated(folders, pc.struct_field(parts, "stated")))


def _stated(folders: pa.StringArray, ends: pa.StringArray) -> npt.NDArray[np.int16]:
    """Return the label that the end of the name states; where it has none, the folder's."""
    in_name = _labels(ends)
    in_folder = _labels(_in_folders(folders, _CLASS_FOLDER))
    return np.where(in_name >= 0, in_name, in_folder).astype(np.int16)


def _in_folders(folders: pa.StringArray, pattern: str) -> pa.StringArray:
    """Return what a pattern's one group finds in each of many folders, of which few differ."""
    encoded = folders.dictionary_encode()
    return pc.struct_field(pc.extract_regex(encoded.dictionary, pattern), [0]).take(encoded.indices)


def contradicted(images: Images) -> Int:
    """Return the rows of the images whose folder, or end of name, states another label than their name."""
    return np.flatnonzero((images.stated >= 0) & (images.labels >= 0) & (images.stated != images.labels))


def named(label: int) -> str:
    """Return a label in words, for messages."""
    if label == NO_LABEL:
        return "no class"
    synset = facts.classes()[label]
    return f"{synset.wnid} ({synset.name}, index {label})"


def _labels(wnids: pa.StringArray) -> npt.NDArray[np.int16]:
    """Return the label of each wnid, -1 where it is none of the 1000."""
    found = pc.index_in(wnids, value_set=pa.array(facts.classes().wnids))
    return numbers(pc.cast(pc.fill_null(found, NO_LABEL), pa.int16())).copy()


def _numbers(digits: pa.StringArray) -> Int:
    """Return the numbers that strings of digits are, -1 for those that are empty or missing."""
    missing = pc.fill_null(pc.equal(digits, ""), True)
    return numbers(pc.cast(pc.if_else(missing, "-1", digits), pa.int64()))


def _bools(values: pa.BooleanArray) -> npt.NDArray[np.bool_]:
    """Return truth values, a missing one as False; Arrow's own conversion would import pandas."""
    return numbers(pc.cast(pc.fill_null(values, False), pa.uint8())).astype(np.bool_)


def _refuse_unknown(places: Int, wrong: npt.NDArray[np.bool_], code: Code) -> None:
    if not wrong.any():
        return
    place = int(places[np.flatnonzero(wrong)[0]])
    if code is Code.UNKNOWN_CLASS:
        hint = "this may be the Fall 2011 or the 21k release; ilsvrc handles ILSVRC 2012"
        raise UnknownImage(place, code, "its wnid is none of the 1000 classes of ILSVRC 2012", hint)
    ranges = ", ".join(f"{split} 1 to {last:,}" for split, last in LAST_NUMBER.items())
    raise UnknownImage(place, code, f"there is no image of this number: {ranges}")
