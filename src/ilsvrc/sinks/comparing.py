"""Sinks that write no image: they compare each sample with the file that a tree holds of it, byte for byte."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from ilsvrc.archive.sidecar import Verified
from ilsvrc.errors import DamageError
from ilsvrc.files import OwnFolder, make_own_folder
from ilsvrc.issues import Code, Issue
from ilsvrc.readers.units import Sample, Unit
from ilsvrc.sinks.base import Receipt
from ilsvrc.sinks.folder import FolderSink, row_of
from ilsvrc.stores.path import Location

DIFFERENT = (Code.MISSING_IMAGE, Code.CHANGED_IMAGE)
"""Issues of an image that is not the one in the source."""

_MOST_LISTED = 20


@dataclass(frozen=True, slots=True)
class ComparingSink:
    """Compares samples with the files of a tree; what differs is an issue in the receipt.

    root : the tree's folder
    """

    root: Location

    def begun(self) -> AbstractContextManager[None]:
        """Hold nothing."""
        return nullcontext()

    def write(self, unit: Unit, samples: Iterable[Sample]) -> Receipt:
        """Compare the samples of a unit with the files of the tree."""
        issues, sizes = [], []
        for sample in samples:
            sizes.append(len(sample.data))
            issue = _difference(self.root, sample)
            if issue:
                issues.append(issue)
        return Receipt(unit.id, (), len(sizes), sum(sizes), tuple(issues))

    def sync(self) -> None:
        """Do nothing: nothing was written."""

    def holds(self, receipt: Receipt) -> bool:  # noqa: ARG002
        """Whether a receipt is still true: the tree may have changed since, so never."""
        return False

    def finish(
        self, receipts: Sequence[Receipt], proved: Sequence[Verified], images: Iterable[tuple[str, int]]
    ) -> None:
        """Publish nothing."""


@dataclass(frozen=True, slots=True)
class AdoptingSink:
    """Compares samples with the files of a published split, and writes the manifest that it lacks.

    folder : the sink that the split would be written by
    """

    folder: FolderSink

    def begun(self) -> AbstractContextManager[None]:
        """Make staging, which gets the parts of the manifest."""
        return self.folder.begun()

    def write(self, unit: Unit, samples: Iterable[Sample]) -> Receipt:
        """Compare the samples of a unit with the files of the tree; record those that are equal."""
        issues, rows, sizes = [], [], []
        for sample in samples:
            sizes.append(len(sample.data))
            issue = _difference(self.folder.root, sample)
            issues += [issue] if issue else []
            rows += [] if issue else [row_of(sample)]
        make_own_folder(self.folder.staging)
        with OwnFolder(self.folder.staging) as staging:
            receipt = self.folder.record(unit, rows, staging)
        return replace(receipt, samples=len(sizes), bytes=sum(sizes), issues=tuple(issues))

    def sync(self) -> None:
        """Make the parts of the manifest survive a power cut."""
        self.folder.sync()

    def holds(self, receipt: Receipt) -> bool:  # noqa: ARG002
        """Whether a receipt is still true: the tree may have changed since, so never."""
        return False

    def finish(
        self, receipts: Sequence[Receipt], proved: Sequence[Verified], images: Iterable[tuple[str, int]]
    ) -> None:
        """Write the manifest, if every image is the one in the source.

        Raises
        ------
        DamageError
            If an image is missing or another one, or the folder holds other files too.
        """
        wrong = [issue for receipt in receipts for issue in receipt.issues if issue.code in DIFFERENT]
        if wrong:
            split = self.folder.root / self.folder.split
            detail = f"{split} has no manifest, and {len(wrong):,} images of the source are missing or others there"
            hint = "move it away, or prepare into another folder; nothing was changed"
            raise DamageError(detail, wrong[:_MOST_LISTED], hint=hint)
        self.folder.adopt(receipts, proved, images)


def _difference(root: Location, sample: Sample) -> Issue | None:
    key = sample.key
    try:
        data = (root / key).read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return Issue(key, Code.MISSING_IMAGE, f"it should have {len(sample.data):,} bytes")
    if data == sample.data:
        return None
    return Issue(key, Code.CHANGED_IMAGE, "it differs from the image in the source")
