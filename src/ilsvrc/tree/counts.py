"""The number of images that every class should have, and the classes that differ."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ilsvrc import facts
from ilsvrc.archive.expected import is_official
from ilsvrc.errors import ArchiveError, MissingExtraError
from ilsvrc.issues import Code, Issue
from ilsvrc.stores.path import Location, size_of

_META = "meta.mat"
NEEDS_SCIPY = f"reading its {_META} needs scipy (pip install scipy)"
"""Why image counts were not compared with a devkit, where `expectation` raised MissingExtraError."""


def train_counts(devkit: Location) -> npt.NDArray[np.int64]:
    """Return `num_train_images` of every class from a devkit's meta.mat, shape (1000,), int64, by index.

    Raises
    ------
    MissingExtraError
        If scipy is not installed.
    ArchiveError
        If the file is no devkit.
    """
    try:
        import scipy.io
    except ImportError:
        raise MissingExtraError("scipy", "devkit") from None
    counts = np.zeros(len(facts.classes()), np.int64)
    try:
        synsets = scipy.io.loadmat(io.BytesIO(_member(devkit, _META)), squeeze_me=True)["synsets"]
        for row in synsets:
            synset = facts.classes().get(str(row["WNID"]))
            if synset:
                counts[synset.index] = int(row["num_train_images"])
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise _no_devkit(devkit, str(error)) from None
    return counts


def is_genuine(devkit: Location) -> bool:
    """Whether a devkit is the official one, by its size."""
    spec = facts.official(facts.DEVKIT)
    return spec is not None and size_of(devkit) == spec.size


def _member(devkit: Location, name: str) -> bytes:
    """Return a file of the devkit by its name in whatever folder."""
    try:
        with devkit.open("rb") as file, tarfile.open(fileobj=file) as archive:
            for member in archive:
                if member.isfile() and member.name.rpartition("/")[2] == name:
                    found = archive.extractfile(member)
                    assert found is not None
                    return found.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise _no_devkit(devkit, str(error)) from None
    raise _no_devkit(devkit, f"it holds no {name}")


def _no_devkit(devkit: Location, why: str) -> ArchiveError:
    hint = f"fetch {facts.DEVKIT} again, or move it away to do without the comparison"
    return ArchiveError(Code.WRONG_FILE, f"not a devkit: {why}", devkit, hint=hint)


Counts = npt.NDArray[np.int64]
VAL_PER_CLASS = 50
"""Validation images of every class in the official archive (devkit readme)."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """Images that every class should have in a split.

    counts : shape (1000,), int64, by index
    origin : the source of the counts, for messages
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


def expectation(archive: Location, size: int, split: str, labels: npt.NDArray[np.int16]) -> Expectation | None:
    """Return the images that every class of an archive should have, or None if no source states it.

    The source is the packaged facts for an official archive, and the devkit beside it for any other, unless that is
    the official devkit, which describes another archive. A devkit counts train images only. Every class has the same
    number of validation images, so the largest class gives the number for the others.

    Parameters
    ----------
    archive
        The archive.
    size
        Its bytes.
    split
        Train, val or test.
    labels
        Labels of its images, shape (N,), int16.

    Raises
    ------
    MissingExtraError
        If there is a devkit to read and scipy is not installed.
    """
    if split not in ("train", "val"):
        return None
    if is_official(archive, size):
        return Expectation(official_counts(split), "the official archive")
    devkit = archive.parent / facts.DEVKIT
    if not devkit.is_file() or is_genuine(devkit):
        return None
    counts = train_counts(devkit)
    if split == "val":
        counts = np.where(counts > 0, counts_of(labels).max(initial=0), 0)
    return Expectation(counts, f"the devkit beside it, {devkit.name}")


def count_issues(found: Counts, expected: Expectation) -> list[Issue]:
    """Return an issue for every class that has more or fewer images than it should."""
    different = np.flatnonzero(found != expected.counts).tolist()
    return [_issue(label, int(found[label]), expected) for label in different]


def _issue(label: int, found: int, expected: Expectation) -> Issue:
    synset, wanted = facts.classes()[label], int(expected.counts[label])
    detail = f"{found:,} {'image' if found == 1 else 'images'} of {wanted:,}, by {expected.origin}"
    if found > wanted:
        return Issue(synset.wnid, Code.SURPLUS_IMAGE, detail)
    return Issue(synset.wnid, Code.MISSING_IMAGE if found else Code.MISSING_CLASS, detail)
