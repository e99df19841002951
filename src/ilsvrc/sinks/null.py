"""A sink that keeps nothing: verifying is an export to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext

from ilsvrc.archive.sidecar import Verified
from ilsvrc.readers.units import Sample, Unit
from ilsvrc.sinks.base import Receipt


class NullSink:
    """Takes samples and keeps none; what was found in them is in the receipts."""

    def begun(self) -> AbstractContextManager[None]:
        """Hold nothing."""
        return nullcontext()

    def write(self, unit: Unit, samples: Iterable[Sample]) -> Receipt:
        """Count the samples of a unit."""
        sizes = [len(sample.data) for sample in samples]
        return Receipt(unit.id, (), len(sizes), sum(sizes))

    def sync(self) -> None:
        """Do nothing: there is nothing to lose."""

    def holds(self, receipt: Receipt) -> bool:
        """Whether a receipt is still true: nothing was kept that could be lost."""
        return receipt.error is None

    def finish(
        self, receipts: Sequence[Receipt], proved: Sequence[Verified], images: Iterable[tuple[str, int]]
    ) -> None:
        """Publish nothing."""
