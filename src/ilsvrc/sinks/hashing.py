"""A sink that keeps nothing of images but their digests: what two data sets are compared by."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xxhash

from ilsvrc.archive.sidecar import Verified
from ilsvrc.files import open_own
from ilsvrc.readers.reader import Int
from ilsvrc.readers.units import Sample, Unit
from ilsvrc.sinks.base import Receipt

RECORD = np.dtype([("name", "<u8"), ("digest", "u1", 16)])
"""What the file has of an image: xxh3_64 of its name, and xxh3_128 of its bytes in canonical order."""


@dataclass(frozen=True, slots=True)
class HashingSink:
    """Keeps the xxh3_128 of every image in one file; each unit writes its own stretch of it.

    part : the file
    """

    part: Path

    def begun(self) -> AbstractContextManager[None]:
        """Hold nothing."""
        return nullcontext()

    def write(self, unit: Unit, samples: Iterable[Sample]) -> Receipt:
        """Hash the images of a unit."""
        records, size = [], 0
        for sample in samples:
            digest = np.frombuffer(xxhash.xxh3_128_digest(sample.data), np.uint8)
            records.append((xxhash.xxh3_64_intdigest(sample.name.encode()), digest))
            size += len(sample.data)
        fd = open_own(self.part, os.O_WRONLY | os.O_CREAT)
        try:
            os.pwrite(fd, np.array(records, RECORD).tobytes(), unit.start * RECORD.itemsize)
        finally:
            os.close(fd)
        return Receipt(unit.id, (), len(records), size)

    def sync(self) -> None:
        """Do nothing: the file is read back by the process that made it, and then removed."""

    def holds(self, receipt: Receipt) -> bool:
        """Whether a receipt is still true: nobody takes the file away before it is read."""
        return receipt.error is None and self.part.exists()

    def finish(
        self, receipts: Sequence[Receipt], proved: Sequence[Verified], images: Iterable[tuple[str, int]]
    ) -> None:
        """Publish nothing."""

    def digests(
        self, units: Sequence[Unit], receipts: Sequence[Receipt], names: Sequence[str]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
        """Return the digest of each image in storage order, shape (N, 16), uint8, and whether it could be read.

        Parameters
        ----------
        units, receipts
            What was written, unit by unit; a receipt of fewer images than its unit has left some out.
        names
            The name of each image in storage order, N strings.
        """
        kept = np.zeros(len(names), RECORD)
        if self.part.exists():
            found = np.fromfile(self.part, RECORD)
            kept[: len(found)] = found
        digests, read = kept["digest"].copy(), np.ones(len(names), np.bool_)
        for unit, receipt in zip(units, receipts, strict=True):
            if receipt.samples == unit.images:
                continue
            written = kept[unit.start : unit.start + receipt.samples]
            wanted = np.array(
                [xxhash.xxh3_64_intdigest(name.encode()) for name in names[unit.start : unit.stop]], np.uint64
            )
            rows: Int = unit.start + np.flatnonzero(np.isin(wanted, written["name"]))
            read[unit.start : unit.stop] = False
            read[rows] = True
            digests[rows] = written["digest"]
        return digests, read
