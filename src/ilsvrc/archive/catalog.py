"""Which members of any archive are images of the data set, by their paths: many at a time, as columns.

The image's own name says its label. Its folders may say a split and a class too: both are returned, to be compared.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ilsvrc import facts
from ilsvrc.archive.index import numbers
from ilsvrc.archive.names import LAST_NUMBER, NO_LABEL

SPLITS = ("train", "val", "test")
"""Splits by their number in `Images.splits`."""

UNSAID, UNKNOWN = -2, -3
"""What stands for a class: the path does not say it; it is a wnid, but none of the 1000."""

_FOLDER_SPLITS = {"train": 0, "val": 1, "validation": 1, "test": 2}
_WNID = re.compile(r"n\d{8}", re.ASCII)
_TRAIN = r"^n[0-9]{8}_[0-9]+\.[Jj][Pp][Ee]?[Gg]$"
_FLAT = {1: r"^ILSVRC2012_val_[0-9]{1,8}\.[Jj][Pp][Ee]?[Gg]$", 2: r"^ILSVRC2012_test_[0-9]{1,8}\.[Jj][Pp][Ee]?[Gg]$"}
_ENDING = ".JPEG"

Int = npt.NDArray[np.int64]
Small = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Images:
    """The images among some paths: columns of N values.

    rows : position of each among the paths, rising; int64
    names : official file names
    labels : indices of sorted wnids by the names, -1 for test, UNKNOWN for what is no image of ILSVRC 2012
    splits : by the names, numbers in SPLITS
    folder_labels : by the nearest folder whose name is a wnid; UNSAID, or UNKNOWN for another wnid
    folder_splits : by the nearest folder that has a split's name; UNSAID if there is none
    unsafe : whether the path is absolute, or goes up by `..`
    """

    rows: Int
    names: pa.StringArray
    labels: Small
    splits: Small
    folder_labels: Small
    folder_splits: Small
    unsafe: npt.NDArray[np.bool_]


def images_of(paths: pa.StringArray) -> Images:
    """Return the images among paths with `/` between folders.

    Left out are names of no image of ours, and all that lies in a folder that is hidden or that macOS adds.
    """
    folders, bases = _parted(paths)
    splits = _splits(bases)
    rows = np.flatnonzero(splits >= 0)
    folders = folders.take(pa.array(rows)).dictionary_encode()
    told = np.array([_folder(folder) for folder in folders.dictionary.to_pylist()], np.int16).reshape(-1, 4)
    told = told[numbers(folders.indices)]
    shown = told[:, 3] == 0
    rows, told = rows[shown], told[shown]
    splits = splits[rows]
    names, labels = _official(bases.take(pa.array(rows)), splits)
    return Images(rows, names, labels, splits, told[:, 0], told[:, 1], told[:, 2].astype(np.bool_))


def _parted(paths: pa.StringArray) -> tuple[pa.StringArray, pa.StringArray]:
    """Return folder and file name of each path: folder `.` if the path has none, and an empty one for the root."""
    parts = pc.split_pattern(paths, "/", max_splits=1, reverse=True)
    counts = numbers(pc.list_value_length(parts))
    lasts = np.cumsum(counts, dtype=np.int64) - 1
    texts = parts.flatten()
    folders = texts.take(pa.array(np.maximum(lasts - 1, 0)))
    if (counts < 2).any():
        folders = pc.if_else(pa.array(counts < 2), ".", folders)
    return folders, texts.take(pa.array(lasts))


def official_name(base: str) -> str:
    """Return the official name of an image's file, or an empty text: of `..._1.jpg` it is `..._00000001.JPEG`."""
    found = images_of(pa.array([base], pa.string()))
    return str(found.names[0].as_py()) if len(found.rows) else ""


def _splits(bases: pa.StringArray) -> Small:
    """Return the split of each file by its name, -1 for what is no image; shape (N,), int16."""
    found = np.where(_matches(bases, _TRAIN), np.int16(0), np.int16(-1))
    flat = np.flatnonzero(_true(pc.starts_with(bases, "ILSVRC2012_")))
    if len(flat):
        some = bases.take(pa.array(flat))
        for split, pattern in _FLAT.items():
            found[flat[_matches(some, pattern)]] = split
    return found


def _matches(texts: pa.StringArray, pattern: str) -> npt.NDArray[np.bool_]:
    return _true(pc.match_substring_regex(texts, pattern))


def _true(values: pa.BooleanArray) -> npt.NDArray[np.bool_]:
    """Return booleans, shape (N,), without the import of pandas that Arrow's `to_numpy` makes."""
    bits = np.frombuffer(values.buffers()[1] or b"", np.uint8)
    return np.unpackbits(bits, bitorder="little")[values.offset : values.offset + len(values)].astype(np.bool_)


def _folder(folder: str) -> tuple[int, int, bool, bool]:
    """Return class, split, whether it is unsafe, and whether it is hidden, of the folders of a path."""
    parts = [part for part in folder.split("/") if part not in ("", ".")]
    label = next((part for part in reversed(parts) if _WNID.fullmatch(part)), None)
    synset = facts.classes().get(label) if label else None
    split = next((_FOLDER_SPLITS[part.lower()] for part in reversed(parts) if part.lower() in _FOLDER_SPLITS), UNSAID)
    hidden = any(part == "__MACOSX" or (part.startswith(".") and part != "..") for part in parts)
    unsafe = not folder or folder.startswith("/") or ".." in parts
    return (synset.index if synset else UNKNOWN if label else UNSAID), split, unsafe, hidden


def _official(bases: pa.StringArray, splits: Small) -> tuple[pa.StringArray, Small]:
    """Return the official names of images, and their labels."""
    labels = np.full(len(bases), NO_LABEL, np.int16)
    names = bases
    if not pc.all(pc.ends_with(bases, _ENDING)).as_py():
        names = pc.replace_substring_regex(bases, r"\.[A-Za-z]+$", _ENDING)
    train = splits == 0
    if train.any():
        labels[train] = _train_labels(names if train.all() else names.filter(pa.array(train)))
    for split in (1, 2):
        rows = np.flatnonzero(splits == split)
        if len(rows):
            some, labels[rows] = _flat(names.take(pa.array(rows)), SPLITS[split])
            names = some if len(rows) == len(names) else pc.replace_with_mask(names, pa.array(splits == split), some)
    return names, labels


def _train_labels(names: pa.StringArray) -> Small:
    """Return the labels of train images."""
    wnids = pc.utf8_slice_codeunits(names, 0, 9).dictionary_encode()
    synsets = [facts.classes().get(wnid) for wnid in wnids.dictionary.to_pylist()]
    known = np.array([synset.index if synset else UNKNOWN for synset in synsets], np.int16)
    labels: Small = known[numbers(wnids.indices)]
    return labels


def _flat(names: pa.StringArray, split: str) -> tuple[pa.StringArray, Small]:
    """Return names of validation or test images with eight digits, and their labels."""
    prefix = f"ILSVRC2012_{split}_"
    digits = pc.utf8_slice_codeunits(names, len(prefix), -len(_ENDING))
    found = numbers(pc.cast(digits, pa.int64()))
    real = (found >= 1) & (found <= LAST_NUMBER[split])
    if split == "val":
        labels = np.where(real, facts.val_labels()[np.where(real, found, 1) - 1].astype(np.int16), np.int16(UNKNOWN))
    else:
        labels = np.where(real, np.int16(NO_LABEL), np.int16(UNKNOWN))
    padded = pc.utf8_lpad(digits, 8, "0")
    return pc.binary_join_element_wise(prefix, padded, _ENDING, ""), labels
