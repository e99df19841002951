"""Read a listing under each possible scheme, and keep the reading that fits the true labels best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ilsvrc.facts import LabelScheme, class_list, class_lists, classes, permutation, scheme, schemes, val_labels
from ilsvrc.labels.forms import Subject
from ilsvrc.labels.sources import Listing
from ilsvrc.labels.train import train_labels

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A listing read under one scheme.

    listing : the listing
    scheme : the scheme
    expected : index of the class that belongs in each slot, a slot an image or a class number: shape (slots,)
    slots : the slot of each entry, outside of `expected` where there is no such image or class: shape (n,)
    actual : index of the class that each entry puts there, -1 where it is none: shape (n,)
    selection : the class list whose classes alone have images in the listing, or empty
    """

    listing: Listing
    scheme: LabelScheme
    expected: Ints
    slots: Ints
    actual: Ints
    selection: str = ""

    @property
    def wanted(self) -> npt.NDArray[np.bool_]:
        """Return whether each class is one that a whole listing has: shape (1000,)."""
        wanted = np.ones(len(classes()), np.bool_)
        if self.selection:
            wanted[:] = np.isin(np.arange(len(wanted)), sorted(class_list(self.selection).labels))
        return wanted

    @property
    def total(self) -> int:
        """Return the entries that a whole listing has."""
        form = self.listing.form
        if form.subject is Subject.TRAIN:
            return form.images or int(train_images()[self.wanted].sum())
        return int(self.wanted[self.expected].sum())

    def agrees(self, shift: int = 0) -> npt.NDArray[np.bool_]:
        """Return whether each entry is right for the slot `shift` places after its own: shape (n,)."""
        slots = self.slots + shift
        inside = (slots >= 0) & (slots < len(self.expected))
        agreed: npt.NDArray[np.bool_] = inside & (self.expected[np.where(inside, slots, 0)] == self.actual)
        return agreed

    @property
    def agreeing_slots(self) -> int:
        """Return the number of images or classes with a right entry."""
        names = self.listing.numbers if self.listing.form.subject is Subject.TRAIN else self.slots
        return distinct(names[self.agrees()])

    @property
    def missing(self) -> Ints:
        """Return the slots of a whole listing that no entry is for, ascending; none for train images."""
        if self.listing.form.subject is Subject.TRAIN:
            return np.empty(0, np.int64)
        return np.setdiff1d(np.flatnonzero(self.wanted[self.expected]), self.slots)


def best_reading(listing: Listing) -> Reading:
    """Return the reading that agrees most with the true labels, in its own slots or one slot further on."""
    readings = _class_readings(listing) if listing.form.of_classes else _image_readings(listing)
    return max(readings, key=_fit)


def _fit(reading: Reading) -> tuple[int, int]:
    """Return the entries that agree where they stand or one slot further on, then those that agree as they stand."""
    counts = [int(reading.agrees(shift).sum()) for shift in (0, 1, -1)]
    return max(counts), counts[0]


def _image_readings(listing: Listing) -> list[Reading]:
    """Read labels of images: the true class of a slot is fixed, the meaning of a label varies with the scheme."""
    numeric = listing.labels.dtype.kind == "i"
    known = [s for s in schemes() if s.numeric] if numeric else [scheme("wnid")]
    if listing.form.subject is Subject.TRAIN:
        truth, slots = train_labels(listing.numbers), np.arange(len(listing))
    else:
        truth, slots = val_labels().astype(np.int64), listing.numbers - 1
    selection = _selection(truth[slots[(slots >= 0) & (slots < len(truth))]])
    return [Reading(listing, s, truth, slots, s.lookup(listing.labels), selection) for s in known]


def distinct(numbers: Ints) -> int:
    """Return how many different numbers there are; np.unique takes 3 s for a million that differ, sorting 0.1 s."""
    return int((np.diff(np.sort(numbers)) != 0).sum()) + bool(len(numbers))


def train_images() -> Ints:
    """Return the number of train images of each class: shape (1000,)."""
    return np.array([synset.train_images for synset in classes()])


def _selection(truth: Ints) -> str:
    """Return the class list that has the classes of these images and no others, or an empty string."""
    present = frozenset(np.flatnonzero(np.bincount(truth[truth >= 0])).tolist())
    return next((listed.name for listed in class_lists() if listed.labels == present), "")


def _class_readings(listing: Listing) -> list[Reading]:
    """Read a list of classes: wnids are fixed, the meaning of a class number varies with the scheme."""
    actual = scheme("wnid").lookup(listing.labels.astype(str))
    known = [s for s in schemes() if s.numeric]
    return [Reading(listing, s, permutation("index", s.name), _class_slots(listing, s), actual) for s in known]


def _class_slots(listing: Listing, known: LabelScheme) -> Ints:
    """Return the place of each entry in the order of a scheme; a list without numbers starts with its smallest."""
    return listing.numbers - (0 if listing.form.by_position else int(known.labels.min()))
