"""How many images every class should have, and which classes differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ilsvrc import facts
from ilsvrc.archive.index import Index
from ilsvrc.archive.source import ByteSource
from ilsvrc.archive.expected import is_official
from ilsvrc.dataset.devkit import is_genuine, train_counts
from ilsvrc.issues import Code, Issue

Counts = npt.NDArray[np.int64]
VAL_PER_CLASS = 50
"""Validation images of every class in the official archive (devkit readme)."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """Images that every class should have in a split.

    counts : shape (1000,), int64, by index
    origin : who says so, for messages
    """

    counts: Counts
    origin: str


def official_counts(split: str) -> Counts:
    """Return the images of every class in an official archive, shape (1000,), int64."""
    if split == "train":
        return np.array([s.train_images for s in facts.classes()], np.int64)
    return np.full(len(facts.classes()), VAL_PER_CLASS, np.int64)


def counts_of(labels: npt.NDArray[np.int16]) -> Counts:
    """Return the images of every class among these labels, shape (1000,), int64."""
    return np.bincount(labels[labels >= 0], minlength=len(facts.classes())).astype(np.int64)


def expectation(source: ByteSource, index: Index) -> Expectation | None:
    """Return what an archive should hold, or None if nothing says.

    The facts say it of an official archive; of another one the devkit beside it does, unless that is the official
    devkit, which does not speak of it. A devkit lists train images only; validation images are the same number for
    every class, so the largest class says what the others should have.

    Raises
    ------
    MissingExtraError
        If there is a devkit to read and scipy is not installed.
    """
    if index.split not in ("train", "val"):
        return None
    if is_official(source):
        return Expectation(official_counts(index.split), "the official archive")
    devkit = source.path.parent / facts.DEVKIT
    if not devkit.is_file() or is_genuine(devkit):
        return None
    counts = train_counts(devkit)
    if index.split == "val":
        counts = np.where(counts > 0, counts_of(index.labels).max(initial=0), 0)
    return Expectation(counts, f"the devkit beside it, {devkit.name}")


def count_issues(found: Counts, expected: Expectation) -> list[Issue]:
    """Return an issue for every class that has more or fewer images than it should."""
    different = np.flatnonzero(found != expected.counts).tolist()
    return [_issue(label, int(found[label]), expected) for label in different]


def _issue(label: int, found: int, expected: Expectation) -> Issue:
    synset, wanted = facts.classes()[label], int(expected.counts[label])
    detail = f"{found:,} images of {wanted:,}, by {expected.origin}"
    if found > wanted:
        return Issue(synset.wnid, Code.SURPLUS_IMAGE, detail)
    return Issue(synset.wnid, Code.MISSING_IMAGE if found else Code.MISSING_CLASS, detail)
