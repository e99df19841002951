"""Samples to the digests that reading in place is verified by."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash

from ilsvrc.archive.sidecar import WIDTH, Verified, open_index, store_digests
from ilsvrc.archive.source import ArchiveSource
from ilsvrc.files import open_own
from ilsvrc.readers.units import Sample, Unit
from ilsvrc.sinks.base import Receipt


@dataclass(frozen=True, slots=True)
class DigestSink:
    """Keeps the xxh3_128 of every image of an archive: in one file in archive order, until `finish` turns it round.

    source : the archive
    part : the unfinished file; each unit writes its own stretch of it
    """

    source: ArchiveSource
    part: Path

    def begun(self) -> AbstractContextManager[None]:
        """Hold nothing."""
        return nullcontext()

    def write(self, unit: Unit, samples: Iterable[Sample]) -> Receipt:
        """Hash the images of a unit."""
        digests, sizes = [], []
        for sample in samples:
            digests.append(xxhash.xxh3_128_digest(sample.data))
            sizes.append(len(sample.data))
        fd = open_own(self.part, os.O_WRONLY | os.O_CREAT)
        try:
            os.pwrite(fd, b"".join(digests), unit.start * WIDTH)
        finally:
            os.close(fd)
        return Receipt(unit.id, (), len(sizes), sum(sizes))

    def holds(self, receipt: Receipt) -> bool:
        """Whether a receipt is still true: nobody takes the file away but `finish`."""
        return receipt.error is None and self.part.exists()

    def sync(self) -> None:
        """Do nothing: the file of a run that was cut off is written anew."""

    def finish(
        self,
        receipts: Sequence[Receipt],
        proved: Sequence[Verified],  # noqa: ARG002
        images: Iterable[tuple[str, int]],  # noqa: ARG002
    ) -> None:
        """Keep the digests beside the index, in its order."""
        index = open_index(self.source)
        count = sum(receipt.samples for receipt in receipts)
        digests = np.empty((len(index), WIDTH), np.uint8)
        digests[index.archive_order] = np.fromfile(self.part, np.uint8, count * WIDTH).reshape(-1, WIDTH)
        store_digests(self.source, index, digests)
        self.part.unlink()
