"""A sink that writes nothing: it compares each sample with the file that a tree holds of it, byte for byte."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from ilsvrc.archive.sidecar import Verified
from ilsvrc.issues import Code, Issue
from ilsvrc.readers.units import Sample, Unit
from ilsvrc.sinks.base import Receipt


@dataclass(frozen=True, slots=True)
class ComparingSink:
    """Compares samples with the files of a tree; what differs is an issue in the receipt.

    root : the tree's folder
    """

    root: Path

    def begun(self) -> AbstractContextManager[None]:
        """Hold nothing."""
        return nullcontext()

    def write(self, unit: Unit, samples: Iterable[Sample]) -> Receipt:
        """Compare the samples of a unit with the files of the tree."""
        issues, sizes = [], []
        for sample in samples:
            sizes.append(len(sample.data))
            issue = self._difference(sample)
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

    def _difference(self, sample: Sample) -> Issue | None:
        key = sample.key
        try:
            data = (self.root / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return Issue(key, Code.MISSING_IMAGE, f"it should have {len(sample.data):,} bytes")
        if data == sample.data:
            return None
        return Issue(key, Code.CHANGED_IMAGE, "it differs from the image in the archive")
