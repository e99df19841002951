"""Compare a label file with the packaged true labels: how many agree, in which scheme, and why others don't."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from ilsvrc.errors import DataError
from ilsvrc.facts import classes
from ilsvrc.labels.causes import Cause, Finding, diagnose, unlabelled
from ilsvrc.labels.forms import Subject
from ilsvrc.labels.readings import Reading, best_reading
from ilsvrc.labels.sources import GROUND_TRUTH, Listing, is_archive, read_listing, read_members

SHOWN = 5
"""Differences that a verdict names."""


@dataclass(frozen=True, slots=True)
class Difference:
    """An entry that disagrees with the truth.

    line : line of the file, or 0 where there are none
    subject : the validation image or class number that the entry is for
    said : wnid that the file gives, or its label as it stands where that is no label of the scheme
    truth : wnid that belongs there, empty where nothing does
    """

    line: int
    subject: str
    said: str
    truth: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of comparing a label file with the true labels.

    path : the file or folder
    form : what sort of file it is
    scheme : the scheme its labels are in, or None where they fit none
    agree : entries that agree with the truth in that scheme
    total : entries that a whole file has: 1,281,167 or 50,000 images or 1000 classes, or label files in an archive
    ok : every one of them is there once and agrees
    cause : the likely cause of what is wrong, or of why a reader that trusts the form would go wrong; or None
    detail : one sentence for people
    differences : the first entries that disagree
    selection : the class list whose classes alone the file is about, or empty; `total` counts these
    members : the verdicts on the members of an archive, or empty
    """

    path: str
    form: str
    scheme: str | None
    agree: int
    total: int
    ok: bool
    cause: Cause | None
    detail: str
    differences: tuple[Difference, ...] = ()
    selection: str = ""
    members: tuple[Verdict, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as a JSON document."""
        told = {name: getattr(self, name) for name in self.__slots__}
        differences = [{name: getattr(d, name) for name in d.__slots__} for d in self.differences]
        return told | {"differences": differences, "members": [member.to_json() for member in self.members]}


def verify(path: str | os.PathLike[str]) -> Verdict:
    """Read a label file of any known form, or an archive of such files, and compare it with the packaged truth.

    Raises
    ------
    DataError
        It can't be read as labels at all.
    """
    where = Path(path)
    members = read_members(where) if is_archive(where) else {}
    devkit = any(PurePosixPath(name).name == GROUND_TRUTH for name in members)
    return _judge_members(where, members) if members and not devkit else judge(read_listing(path))


def _judge_members(path: Path, members: Mapping[str, Listing | DataError]) -> Verdict:
    """Compare every label file of an archive; members that hold no labels are told and do not count."""
    verdicts = tuple(
        judge(said) if isinstance(said, Listing) else _no_label_file(f"{path}/{name}")
        for name, said in members.items()
    )
    labelled = [verdict for verdict in verdicts if verdict.cause is not Cause.NO_LABELS]
    right, schemes = sum(verdict.ok for verdict in labelled), {verdict.scheme for verdict in labelled}
    others = len(verdicts) - len(labelled)
    if not labelled:
        raise DataError(f"{path}: none of its {len(verdicts):,} members holds labels", hint="give a label file")
    return Verdict(
        path=str(path),
        form="archive of label files",
        scheme=schemes.pop() if len(schemes) == 1 else None,
        agree=right,
        total=len(labelled),
        ok=right == len(labelled),
        cause=next((verdict.cause for verdict in labelled if not verdict.ok), None),
        detail=f"{right} of {len(labelled)} label files agree; {others} members hold no labels",
        members=verdicts,
    )


def _no_label_file(path: str) -> Verdict:
    """Return the verdict on a member of no known form, such as a pickle, which is never loaded: it can run code."""
    return _without_labels(
        path, "no label file", Finding(Cause.NO_LABELS, "of no form of label file that ilsvrc knows")
    )


def _without_labels(path: str, form: str, finding: Finding) -> Verdict:
    return Verdict(path, form, None, 0, 0, ok=False, cause=finding.cause, detail=finding.detail)


def judge(listing: Listing) -> Verdict:
    """Compare what a label file says with the packaged truth."""
    without = unlabelled(listing)
    if without:
        return _without_labels(listing.path, _form(listing), without)
    reading = best_reading(listing)
    finding = diagnose(reading)
    return Verdict(
        path=listing.path,
        form=listing.form.name,
        scheme=None if finding.cause is Cause.FOREIGN else reading.scheme.name,
        agree=reading.agreeing_slots,
        total=reading.total,
        ok=finding.ok,
        cause=finding.cause,
        detail=finding.detail,
        differences=() if finding.ok else _differences(reading),
        selection=reading.selection,
    )


def _form(listing: Listing) -> str:
    """Return what people call a file without labels; numbered lists look as those of Caffe do."""
    return f"list of {listing.form.subject} images, as in ImageSets/CLS-LOC" if listing.running else listing.form.name


def read_val_labels(path: str | os.PathLike[str], *, trust: bool = False) -> npt.NDArray[np.int16]:
    """Return the validation labels of a file as indices, once they agree with the packaged truth.

    Parameters
    ----------
    path
        A label file, devkit archive or tree, in any form and scheme that `read_listing` knows.
    trust
        Use the labels of the file even where they disagree.

    Returns
    -------
    numpy.ndarray
        The index of image n at position n - 1, -1 where the file has none: int16, as long as its largest number.

    Raises
    ------
    DataError
        It disagrees and is not trusted, is a list of classes, or holds labels outside its scheme.
    """
    listing = read_listing(path)
    _refuse_others(listing)
    reading = best_reading(listing)
    finding = diagnose(reading)
    if not finding.ok and not trust:
        raise _disagreement(judge(listing))
    return _as_labels(reading)


def _refuse_others(listing: Listing) -> None:
    """Refuse listings that hold no labels of validation images, whether they are trusted or not."""
    without = unlabelled(listing)
    if without:
        hint = "LOC_val_solution.csv of the same download has the labels" if listing.running else ""
        raise DataError(f"{listing.path}: {without.detail}", hint=hint)
    if listing.form.subject is not Subject.VAL:
        kind = "classes" if listing.form.of_classes else "train images"
        raise DataError(f"{listing.path}: lists {kind} ({listing.form.name}), not the labels of validation images")


def _as_labels(reading: Reading) -> npt.NDArray[np.int16]:
    listing = reading.listing
    if (reading.actual < 0).any():
        first = int(np.flatnonzero(reading.actual < 0)[0])
        where = f"line {listing.lines[first]}" if listing.lines[first] else listing.subject(first)
        raise DataError(f"{listing.path}: {where}: {listing.labels[first]} is no label of ILSVRC 2012")
    labels = np.full(int(reading.slots.max()) + 1, -1, np.int16)
    labels[reading.slots] = reading.actual
    return labels


def _disagreement(verdict: Verdict) -> DataError:
    agreement = f"agrees with the true labels of {verdict.agree:,} of {verdict.total:,} images"
    return DataError(
        f"{verdict.path}: {agreement}: {verdict.detail}",
        hint="leave the file out to use the packaged labels, or add --trust-val-labels to use it all the same",
    )


def _differences(reading: Reading) -> tuple[Difference, ...]:
    wrong = np.flatnonzero(~reading.agrees())[:SHOWN]
    return tuple(_difference(reading, int(place)) for place in wrong)


def _difference(reading: Reading, place: int) -> Difference:
    wnids, listing = classes().wnids, reading.listing
    slot, actual = int(reading.slots[place]), int(reading.actual[place])
    known = 0 <= slot < len(reading.expected) and reading.expected[slot] >= 0
    return Difference(
        line=int(listing.lines[place]),
        subject=listing.subject(place),
        said=wnids[actual] if actual >= 0 else str(listing.labels[place]),
        truth=wnids[reading.expected[slot]] if known else "",
    )
