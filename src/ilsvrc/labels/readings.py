"""Read a listing under each scheme that could be meant, and keep the one that fits the truth best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ilsvrc.facts import LabelScheme, permutation, scheme, schemes, val_labels
from ilsvrc.labels.sources import Listing

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A listing read under one scheme.

    listing : what was read
    scheme : the scheme
    expected : index of the class that belongs in each slot, a slot an image or a class number: shape (total,)
    slots : the slot of each entry, outside 0..total-1 where there is no such image or class: shape (n,)
    actual : index of the class that each entry puts there, -1 where it is none: shape (n,)
    """

    listing: Listing
    scheme: LabelScheme
    expected: Ints
    slots: Ints
    actual: Ints

    def agrees(self, shift: int = 0) -> npt.NDArray[np.bool_]:
        """Return whether each entry is right, or would be so many slots further on: shape (n,)."""
        slots = self.slots + shift
        inside = (slots >= 0) & (slots < len(self.expected))
        agreed: npt.NDArray[np.bool_] = inside & (self.expected[np.where(inside, slots, 0)] == self.actual)
        return agreed

    @property
    def agreeing_slots(self) -> int:
        """Return how many images or classes have an entry that is right."""
        return len(np.unique(self.slots[self.agrees()]))

    @property
    def missing(self) -> Ints:
        """Return the slots that no entry is for, ascending."""
        return np.setdiff1d(np.arange(len(self.expected)), self.slots)


def best_reading(listing: Listing) -> Reading:
    """Return the reading that agrees with the truth most, if need be one slot further on."""
    readings = _class_readings(listing) if listing.form.of_classes else _image_readings(listing)
    return max(readings, key=_fit)


def _fit(reading: Reading) -> tuple[int, int]:
    """Return the entries that agree where they stand or one slot further on, then those that agree as they stand."""
    counts = [int(reading.agrees(shift).sum()) for shift in (0, 1, -1)]
    return max(counts), counts[0]


def _image_readings(listing: Listing) -> list[Reading]:
    """Read labels of images: the truth is fixed, what a label means is not."""
    numeric = listing.labels.dtype.kind == "i"
    known = [s for s in schemes() if s.numeric] if numeric else [scheme("wnid")]
    truth = val_labels().astype(np.int64)
    return [Reading(listing, s, truth, listing.numbers - 1, s.lookup(listing.labels)) for s in known]


def _class_readings(listing: Listing) -> list[Reading]:
    """Read a list of classes: wnids are fixed, what a class number means is not."""
    actual = scheme("wnid").lookup(listing.labels.astype(str))
    known = [s for s in schemes() if s.numeric]
    return [Reading(listing, s, permutation("index", s.name), _class_slots(listing, s), actual) for s in known]


def _class_slots(listing: Listing, known: LabelScheme) -> Ints:
    """Return the place of each entry in the order of a scheme; a list without numbers starts with its smallest."""
    return listing.numbers - (0 if listing.form.by_position else int(known.labels.min()))
