"""The likely cause of a label file's disagreement with the true labels: one small test per cause, tried in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ilsvrc.facts import class_list, classes, detection_wnids, schemes
from ilsvrc.facts.names import val_name
from ilsvrc.labels.forms import TREE, Subject, list_of
from ilsvrc.labels.readings import Reading, distinct, train_images
from ilsvrc.labels.sources import Listing

_MOST = 0.9
"""Share of entries that a cause must account for to be named."""

_FEW = 0.05
"""Largest share of wrong entries that still count as single changed labels."""


class Cause(StrEnum):
    """The likely fault of a label file.

    truncated : it ends early
    missing : entries are missing
    extra : there are too many entries
    repeated : entries occur more than once
    unreadable : lines hold no label
    shifted : labels stand one place too early or late
    swapped : two entries, or two classes throughout, have each other's label
    changed : a few labels are wrong
    one-based : labels count from one where the form counts from zero
    devkit-ids : devkit ids stand where the form has indices
    other-scheme : labels of some other scheme stand where the form has its own
    foreign : the labels are of another release, or of no known scheme
    no-labels : it lists images or classes without labels that any truth is published of
    """

    TRUNCATED = "truncated"
    MISSING = "missing"
    EXTRA = "extra"
    REPEATED = "repeated"
    UNREADABLE = "unreadable"
    SHIFTED = "shifted"
    SWAPPED = "swapped"
    CHANGED = "changed"
    ONE_BASED = "one-based"
    DEVKIT_IDS = "devkit-ids"
    OTHER_SCHEME = "other-scheme"
    FOREIGN = "foreign"
    NO_LABELS = "no-labels"


@dataclass(frozen=True, slots=True)
class Finding:
    """A cause, with a sentence; `ok` if the file holds every true label nevertheless."""

    cause: Cause | None
    detail: str
    ok: bool = False


def unlabelled(listing: Listing) -> Finding | None:
    """Return a finding for a listing that holds no labels which could be compared with the truth, or None."""
    images = f"{len(listing):,} {listing.form.subject} images"
    if listing.running:
        return Finding(
            Cause.NO_LABELS, f"lists {images} and numbers them, as ImageSets/CLS-LOC does; the numbers are no labels"
        )
    if listing.form.subject is Subject.TEST:
        zeros = "a 0 in place of each label" if not listing.labels.any() else "labels"
        return Finding(Cause.NO_LABELS, f"lists {images} with {zeros}; the true labels of test were never published")
    return _other_classes(listing) if listing.form.of_classes else None


def _other_classes(listing: Listing) -> Finding | None:
    """Tell lists of classes that are none of the 1000 in some order."""
    wnids = listing.labels.astype(str).tolist()
    if set(wnids) == detection_wnids():
        told = "lists the 200 classes of the detection task (DET), of which 150 are classes of ILSVRC 2012"
        return Finding(Cause.NO_LABELS, told)
    name = list_of(wnids)
    if not name:
        return None
    title = class_list(name).title
    return Finding(
        Cause.NO_LABELS, f"selects {len(wnids)} classes, those of `--classes {name}` ({title}), and numbers none"
    )


def diagnose(reading: Reading) -> Finding:
    """Return the cause of a listing's disagreement with the true labels, or that it agrees."""
    found = (test(reading) for test in _TESTS)
    return next((f for f in found if f), Finding(Cause.FOREIGN, "its labels agree with no scheme that ilsvrc knows"))


def _whole(reading: Reading) -> Finding | None:
    """Find every true label, though perhaps in a scheme that readers of the form do not expect."""
    if (
        reading.listing.strays
        or len(reading.listing) != reading.total
        or not reading.agrees().all()
        or len(reading.missing)
    ):
        return None
    name, form = reading.scheme.name, reading.listing.form
    if name in (form.usual, "wnid") or form is TREE:
        part = f" for the classes of {reading.selection}" if reading.selection else ""
        return Finding(None, f"agrees with the truth{part} in the scheme {name}", ok=True)
    detail = f"true, but in the scheme {name}: programs that read {form.name} as {form.usual} get wrong labels"
    return Finding(_scheme_cause(name), detail, ok=True)


def _unknown_wnids(reading: Reading) -> Finding | None:
    if (reading.actual < 0).mean() <= _FEW:
        return None
    labels = np.unique(reading.listing.labels)
    ours = len(np.unique(reading.actual[reading.actual >= 0]))
    detail = f"only {ours} of its {len(labels)} distinct labels are classes of ILSVRC 2012"
    if labels.dtype.kind == "i":
        return Finding(Cause.FOREIGN, f"{detail}, in any scheme: they go from {labels.min():,} to {labels.max():,}")
    return Finding(Cause.FOREIGN, f"{detail}: it is of another release (the list of ILSVRC 2010 shares 640 wnids)")


def _foreign_images(reading: Reading) -> Finding | None:
    """List train images of classes that are none of the 1000."""
    unknown = reading.expected < 0
    if reading.listing.form.subject is not Subject.TRAIN or unknown.mean() <= _FEW:
        return None
    first = reading.listing.subject(int(np.argmax(unknown)))
    detail = f"{int(unknown.sum()):,} of {len(unknown):,} images are of no class of ILSVRC 2012, the first: {first}"
    return Finding(Cause.FOREIGN, detail)


def _train_gaps(reading: Reading) -> Finding | None:
    """Agree, but hold not every train image once: counted per class, since their numbers have gaps."""
    listing, wrong = reading.listing, np.flatnonzero(~reading.agrees())
    if listing.form.subject is not Subject.TRAIN or not set(wrong) <= {len(listing) - 1}:
        return None
    again = len(listing) - distinct(listing.numbers)
    ends = listing.strays in ((), (int(listing.lines[-1]) + 1,))  # the last line may be cut in the middle
    if again and not len(wrong) and not listing.strays:
        order = np.argsort(listing.numbers, kind="stable")
        twice = order[1:][np.diff(listing.numbers[order]) == 0]
        return Finding(Cause.REPEATED, f"{again:,} entries stand twice, the first at {_at(listing, np.sort(twice))}")
    if len(listing) < reading.total and ends and _breaks_off(reading):
        return Finding(Cause.TRUNCATED, f"ends after {len(listing):,} of {reading.total:,} entries")
    if len(wrong) or listing.strays:
        return None
    return _boxed(reading, listing.form.images) if listing.form.images else _count(reading)


def _breaks_off(reading: Reading) -> bool:
    """Whether a list goes through the classes in order and has all images of those before its last one."""
    if reading.listing.form.images:
        return False
    before = reading.wanted & (np.arange(len(classes())) < reading.expected[-1])
    whole = _per_class(reading)[before] == train_images()[before]
    return bool((np.diff(reading.expected) >= 0).all() and whole.all())


def _per_class(reading: Reading) -> np.ndarray:
    """Return the train images of each class that a listing has: shape (1000,)."""
    return np.bincount(reading.expected[reading.expected >= 0], minlength=len(classes()))


def _boxed(reading: Reading, images: int) -> Finding | None:
    """Count the entries of a list that has some images of each class, no table says how many."""
    number = len(reading.listing)
    if number > images:
        return Finding(Cause.EXTRA, f"{number - images:,} entries more than the {images:,} there are")
    detail = f"every entry is right, but {images - number:,} of {images:,} images are missing"
    return Finding(Cause.MISSING, detail) if number < images else None


def _count(reading: Reading) -> Finding | None:
    """Compare the entries of each class with the devkit's number of its train images."""
    here, there = _per_class(reading), np.where(reading.wanted, train_images(), 0)
    wrong = np.flatnonzero(here != there)
    if not len(wrong):
        return None
    missing, extra = int((there - here).clip(0).sum()), int((here - there).clip(0).sum())
    which = f"{classes()[int(wrong[0])].wnid} has {here[wrong[0]]:,} of {there[wrong[0]]:,}"
    if missing:
        detail = f"every entry is right, but {missing:,} of {reading.total:,} images are missing: {which}"
        return Finding(Cause.MISSING, detail)
    return Finding(Cause.EXTRA, f"{extra:,} entries more than the {reading.total:,} there are: {which}")


def _cut_short(reading: Reading) -> Finding | None:
    """Find a file that agrees but ends early; its last line may be cut in the middle."""
    last = len(reading.listing) - 1
    wrong = np.flatnonzero(~reading.agrees())
    whole = not reading.listing.strays or reading.listing.strays == (int(reading.listing.lines[last]) + 1,)
    gap = len(reading.missing) and int(reading.missing[0]) == len(reading.expected) - len(reading.missing)
    if not (gap and whole and set(wrong) <= {last}) or reading.listing.form is TREE:
        return None
    return Finding(Cause.TRUNCATED, f"ends after {len(reading.listing):,} of {len(reading.expected):,} entries")


def _strays(reading: Reading) -> Finding | None:
    if not reading.listing.strays:
        return None
    named = ", ".join(map(str, reading.listing.strays[:3]))
    return Finding(Cause.UNREADABLE, f"{len(reading.listing.strays):,} lines hold no label, the first: {named}")


def _gaps(reading: Reading) -> Finding | None:
    if not len(reading.missing) or not reading.agrees().all():
        return None
    first = int(reading.missing[0])
    subject = f"class {first}" if reading.listing.form.of_classes else val_name(first + 1)
    return Finding(Cause.MISSING, f"{len(reading.missing):,} entries are missing, the first: {subject}")


def _repeats(reading: Reading) -> Finding | None:
    if not reading.agrees().all():
        return None
    slots, counts = np.unique(reading.slots, return_counts=True)
    if counts.max() == 1:
        return None
    again = np.flatnonzero(np.isin(reading.slots, slots[counts > 1]))
    return Finding(
        Cause.REPEATED, f"{int((counts - 1).sum()):,} entries stand twice, the first at {_at(reading.listing, again)}"
    )


def _slipped(reading: Reading) -> Finding | None:
    """Find entries that agree up to a point, and from there on with the slots next to their own."""
    for shift in (1, -1):
        before = np.concatenate(([0], np.cumsum(reading.agrees())))
        after = np.cumsum(np.concatenate(([0], reading.agrees(shift)[::-1])))[::-1]
        place = int(np.argmax(before + after))
        accounted = int((before + after)[place]) >= _MOST * len(reading.listing)
        if (
            accounted
            and place < len(reading.listing) - 1
            and int(reading.agrees()[place:].sum()) < (len(reading.listing) - place) / 2
        ):
            return _slip(reading.listing, place, shift)
    return None


def _slip(listing: Listing, place: int, shift: int) -> Finding:
    where = f"line {listing.lines[place]}" if listing.lines[place] else f"entry {place + 1}"
    if listing.form.by_position and place:
        cause, told = (Cause.MISSING, "a line is missing") if shift > 0 else (Cause.EXTRA, "a line too many")
        return Finding(cause, f"{told} at {where}: from there on every label stands one place off")
    way = "early" if shift > 0 else "late"
    return Finding(Cause.SHIFTED, f"from {where} on every label stands one place too {way}")


def _swap(reading: Reading) -> Finding | None:
    """Find two entries, or two classes throughout, that have each other's label."""
    wrong = np.flatnonzero(~reading.agrees())
    if not len(wrong) or not _inside(reading)[wrong].all():
        return None
    pairs = np.unique(np.stack([reading.expected[reading.slots[wrong]], reading.actual[wrong]]), axis=1)
    if pairs.shape != (2, 2) or not np.array_equal(pairs[:, 0], pairs[::-1, 1]) or pairs.min() < 0:
        return None
    first, second = (classes()[i].wnid for i in pairs[:, 0])
    if len(wrong) == 2:
        return Finding(
            Cause.SWAPPED,
            f"the labels at {_at(reading.listing, wrong)} and {_at(reading.listing, wrong[1:])} are swapped",
        )
    return Finding(Cause.SWAPPED, f"{first} and {second} are swapped, in {len(wrong)} entries")


def _mistaken(reading: Reading) -> Finding | None:
    """Find wnids that were looked up with numbers of another scheme, taken for indices."""
    inside = _inside(reading)
    expected = reading.expected[reading.slots[inside]]
    for known in schemes():
        if known.numeric and known.name != "index" and _mostly(known.labels[expected] == reading.actual[inside]):
            return Finding(_scheme_cause(known.name), f"labels of the scheme {known.name} were taken for indices")
    if _mostly(expected - 1 == reading.actual[inside]):
        return Finding(Cause.ONE_BASED, "off by one: each entry has the class before its own")
    return None


def _changes(reading: Reading) -> Finding | None:
    wrong = np.flatnonzero(~reading.agrees())
    if len(wrong) > max(_FEW * len(reading.listing), 1):
        return None
    plural = "label is" if len(wrong) == 1 else "labels are"
    return Finding(Cause.CHANGED, f"{len(wrong):,} {plural} wrong, the first at {_at(reading.listing, wrong)}")


def _at(listing: Listing, places: np.ndarray) -> str:
    """Name the first of some entries."""
    place = int(places[0])
    subject = listing.subject(place)
    return f"line {listing.lines[place]} ({subject})" if listing.lines[place] else subject


def _inside(reading: Reading) -> np.ndarray:
    inside: np.ndarray = (reading.slots >= 0) & (reading.slots < len(reading.expected))
    return inside


def _mostly(agreed: np.ndarray) -> bool:
    return len(agreed) > 0 and float(agreed.mean()) >= _MOST


def _scheme_cause(name: str) -> Cause:
    known = {"index1": Cause.ONE_BASED, "background": Cause.ONE_BASED}
    return known.get(name, Cause.DEVKIT_IDS if name.startswith("devkit") else Cause.OTHER_SCHEME)


_TESTS: tuple[Callable[[Reading], Finding | None], ...] = (
    _foreign_images,
    _train_gaps,
    _whole,
    _unknown_wnids,
    _cut_short,
    _strays,
    _slipped,
    _gaps,
    _repeats,
    _swap,
    _mistaken,
    _changes,
)
