"""Compare the labels of validation images with Kaggle's list of them, where it lies beside the images."""

from __future__ import annotations

import numpy as np

from ilsvrc import facts
from ilsvrc.archive.names import NO_LABEL
from ilsvrc.check.report import LISTED, Compared, Findings, NotCompared
from ilsvrc.errors import DataError
from ilsvrc.facts.names import val_number
from ilsvrc.files import printable
from ilsvrc.issues import Code, Issue
from ilsvrc.labels.forms import Subject
from ilsvrc.labels.sources import Listing, read_listing
from ilsvrc.readers.reader import Int, Reader
from ilsvrc.stores.path import Location, StorePath

SOLUTION = "LOC_val_solution.csv"
"""Beside the folder ILSVRC in Kaggle's download (kaggle.com/c/imagenet-object-localization-challenge/data)."""

_ROOT = "ILSVRC"


def solution_of(place: Location) -> Location | None:
    """Return Kaggle's list of validation labels for a file or folder of its download, or None.

    It lies at the root of the download: beside the folder ILSVRC that holds the images, or beside the packed file.
    """
    if place.is_dir():
        roots = [folder.parent for folder in (place, *place.parents) if folder.name == _ROOT]
    else:
        roots = [place.parent]
    return next((root / SOLUTION for root in roots if (root / SOLUTION).is_file()), None)


def compare_solution(reader: Reader) -> Findings:
    """Compare the labels of a val split with the list of its download; nothing is compared where there is none."""
    path = solution_of(reader.path) if reader.split == "val" else None
    if path is None:
        return Findings()
    if isinstance(path, StorePath):
        return Findings(not_compared=(NotCompared("labels", f"{SOLUTION} is read on this machine only"),))
    try:
        listing = read_listing(path)
        if listing.form.subject is not Subject.VAL or listing.labels.dtype.kind != "U":
            raise DataError(f"{path}: it is no list of the wnids of validation images")
    except (DataError, OSError) as error:
        issue = Issue(SOLUTION, Code.UNREADABLE, f"labels were not compared with it: {printable(str(error))}")
        return Findings((issue,), (), (NotCompared("labels", f"{SOLUTION} can't be read"),))
    return _compared(reader, listing)


def _compared(reader: Reader, listing: Listing) -> Findings:
    """Compare labels by the number of each validation image."""
    images = np.array([val_number(name) or 0 for name in reader.names.to_pylist()], np.int64)
    listed = _labels(listing)[images]
    wrong = np.flatnonzero((listed != NO_LABEL) & (listed != reader.labels)).tolist()
    unlisted = int((listed == NO_LABEL).sum())
    issues = [_contradiction(reader, row, listed.item(row)) for row in wrong[:LISTED]]
    if len(wrong) > LISTED:
        detail = f"it contradicts the labels of {len(wrong):,} images in all"
        issues.append(Issue(SOLUTION, Code.WRONG_LABEL, detail))
    lacking = [NotCompared(f"labels of {unlisted:,} images", f"{SOLUTION} does not list them")] if unlisted else []
    return Findings(tuple(issues), (Compared("labels", SOLUTION),), tuple(lacking))


def _labels(listing: Listing) -> Int:
    """Return the label that is listed of each validation image by its number from 1, NO_LABEL where there is none."""
    labels = np.full(len(facts.val_labels()) + 1, NO_LABEL, np.int64)
    for number, wnid in zip(listing.numbers.tolist(), listing.labels.tolist(), strict=True):
        synset = facts.classes().get(wnid)
        if synset and 0 < number < len(labels):
            labels[number] = synset.index
    return labels


def _contradiction(reader: Reader, row: int, listed: int) -> Issue:
    here, there = facts.classes()[reader.labels.item(row)], facts.classes()[listed]
    detail = f"{SOLUTION} says {there.wnid} {there.name}, the official labels say {here.wnid} {here.name}"
    return Issue(printable(reader.where(row).key), Code.WRONG_LABEL, detail)
