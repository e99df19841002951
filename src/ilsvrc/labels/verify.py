"""Compare a label file with the packaged truth: how much agrees, in which scheme, and if not, why not."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ilsvrc.errors import DataError
from ilsvrc.facts import classes
from ilsvrc.facts.names import val_name
from ilsvrc.labels.causes import Cause, diagnose
from ilsvrc.labels.readings import Reading, best_reading
from ilsvrc.labels.sources import Listing, read_listing

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
    """What came of comparing a label file with the truth.

    path : the file or folder
    form : what sort of file it is
    scheme : the scheme its labels are in, or None where they fit none
    agree : entries that agree with the truth in that scheme
    total : entries that a whole file has: 50,000 images or 1000 classes
    ok : every one of them is there once and agrees
    cause : the likely cause of what is wrong, or of why a reader that trusts the form would go wrong; or None
    detail : one sentence for people
    differences : the first entries that disagree
    """

    path: str
    form: str
    scheme: str | None
    agree: int
    total: int
    ok: bool
    cause: Cause | None
    detail: str
    differences: tuple[Difference, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as a JSON document."""
        told = {name: getattr(self, name) for name in self.__slots__}
        differences = [{name: getattr(d, name) for name in d.__slots__} for d in self.differences]
        return told | {"differences": differences}


def verify(path: str | os.PathLike[str]) -> Verdict:
    """Read a label file of any known form and compare it with the packaged truth.

    Raises
    ------
    DataError
        It can't be read as labels at all.
    """
    return judge(read_listing(path))


def judge(listing: Listing) -> Verdict:
    """Compare what a label file says with the packaged truth."""
    reading = best_reading(listing)
    finding = diagnose(reading)
    return Verdict(
        path=listing.path,
        form=listing.form.name,
        scheme=None if finding.cause is Cause.FOREIGN else reading.scheme.name,
        agree=reading.agreeing_slots,
        total=len(reading.expected),
        ok=finding.ok,
        cause=finding.cause,
        detail=finding.detail,
        differences=() if finding.ok else _differences(reading),
    )


def read_val_labels(path: str | os.PathLike[str], *, trust: bool = False) -> npt.NDArray[np.int16]:
    """Return the validation labels of a file as indices, once they agree with the packaged truth.

    Parameters
    ----------
    path
        A label file, devkit archive or tree, in any form and scheme that `read_listing` knows.
    trust
        Take the file at its word where it disagrees.

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
    if listing.form.of_classes:
        raise DataError(f"{path}: lists classes ({listing.form.name}), not the labels of validation images")
    reading = best_reading(listing)
    finding = diagnose(reading)
    if not finding.ok and not trust:
        raise _disagreement(judge(listing))
    return _as_labels(reading)


def _as_labels(reading: Reading) -> npt.NDArray[np.int16]:
    listing = reading.listing
    if (reading.actual < 0).any():
        first = int(np.flatnonzero(reading.actual < 0)[0])
        where = f"line {listing.lines[first]}" if listing.lines[first] else val_name(int(listing.numbers[first]))
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
    number, slot, actual = int(listing.numbers[place]), int(reading.slots[place]), int(reading.actual[place])
    known = 0 <= slot < len(reading.expected)
    return Difference(
        line=int(listing.lines[place]),
        subject=f"class {number}" if listing.form.of_classes else val_name(number),
        said=wnids[actual] if actual >= 0 else str(listing.labels[place]),
        truth=wnids[reading.expected[slot]] if known else "",
    )
