"""A sink that hands samples to another one, and keeps format, width and height of every image on the way."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ilsvrc.archive.sidecar import Verified
from ilsvrc.files import open_own
from ilsvrc.images.measure import KINDS, Measure, measure
from ilsvrc.readers.units import Sample, Unit
from ilsvrc.sinks.base import Receipt, Sink

RECORD = np.dtype([("kind", "u1"), ("width", "<u4"), ("height", "<u4")])
"""What is kept of an image: its place in KINDS counted from 1, and its pixels. All zeros: it is no image."""


@dataclass(frozen=True, slots=True)
class MeasuringSink:
    """Keeps a RECORD of every image in one file; each unit writes its own stretch of it.

    sink : takes the samples
    part : the file
    """

    sink: Sink
    part: Path

    def begun(self) -> AbstractContextManager[None]:
        """Hold what the other sink holds."""
        return self.sink.begun()

    def write(self, unit: Unit, samples: Iterable[Sample]) -> Receipt:
        """Let the other sink keep the samples of a unit; measure each as it passes."""
        records: list[tuple[int, int, int]] = []
        receipt = self.sink.write(unit, _passing(samples, records))
        fd = open_own(self.part, os.O_WRONLY | os.O_CREAT)
        try:
            os.pwrite(fd, np.array(records, RECORD).tobytes(), unit.start * RECORD.itemsize)
        finally:
            os.close(fd)
        return receipt

    def sync(self) -> None:
        """Sync the other sink; the file is read back by the process that made it, and then removed."""
        self.sink.sync()

    def holds(self, receipt: Receipt) -> bool:
        """Whether the other sink holds it, and the file is still there."""
        return self.part.exists() and self.sink.holds(receipt)

    def finish(
        self, receipts: Sequence[Receipt], proved: Sequence[Verified], images: Iterable[tuple[str, int]]
    ) -> None:
        """Let the other sink publish."""
        self.sink.finish(receipts, proved, images)

    def records(self) -> npt.NDArray[Any]:
        """Return a RECORD of each image that could be read and is one, in storage order."""
        found = np.fromfile(self.part, RECORD) if self.part.exists() else np.empty(0, RECORD)
        return found[found["kind"] > 0]


def record_of(found: Measure | None) -> tuple[int, int, int]:
    """Return the values of a RECORD."""
    return (KINDS.index(found.kind) + 1, found.width, found.height) if found else (0, 0, 0)


def _passing(samples: Iterable[Sample], records: list[tuple[int, int, int]]) -> Iterator[Sample]:
    for sample in samples:
        records.append(record_of(measure(sample.data)))
        yield sample
