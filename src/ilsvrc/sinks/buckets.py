"""Bucket files: images of a sweep of the source, each written to its place among those of its shard."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np

from ilsvrc.archive.sidecar import Verified
from ilsvrc.errors import MachineError
from ilsvrc.files import OwnFolder, make_own_folder, sync_path, written_whole
from ilsvrc.readers.buckets import bucket_name
from ilsvrc.readers.reader import Int
from ilsvrc.readers.units import Sample, Unit
from ilsvrc.sinks.base import Output, Receipt
from ilsvrc.sinks.formats.base import digest_of
from ilsvrc.sinks.staging import Staging, created

_OFFSETS = "offsets.npy"


@dataclass(frozen=True, slots=True)
class BucketSink:
    """Writes each unit, a sweep, as one bucket file in staging.

    A worker finds the places of images in a file beside them, so that the sink stays small where it is sent.

    staged : the staging of the split
    durable : `write` returns only when a bucket file survives a power cut
    """

    staged: Staging
    durable: bool = False

    def prepare(self, offsets: Int) -> None:
        """Write where each image goes in its bucket file.

        Parameters
        ----------
        offsets
            The first byte of each image, in the order of the sweep, shape (N,), int64.
        """
        make_own_folder(self.staged.buckets)
        with written_whole(self.staged.buckets / _OFFSETS) as beside, beside.open("wb") as file:
            np.save(file, offsets)

    def begun(self) -> AbstractContextManager[None]:
        """Hold the file system that gets the bucket files."""
        return self.staged.begun()

    def write(self, unit: Unit, samples: Iterable[Sample]) -> Receipt:
        """Write the images of a sweep to their places."""
        name, images, written = bucket_name(_number(unit.id)), 0, 0
        offsets = np.load(self.staged.buckets / _OFFSETS, mmap_mode="r")[unit.start : unit.stop].tolist()
        with self._opened(name, new=True) as fd:
            for sample, offset in zip(samples, offsets, strict=True):
                _write_at(fd, sample.data, offset)
                images, written = images + 1, written + len(sample.data)
            size, digest = digest_of(fd)
            if self.durable:
                os.fsync(fd)
        if self.durable:
            sync_path(self.staged.buckets)
        return Receipt(unit.id, (Output(name, size, digest),), images, written, synced=self.durable)

    def sync(self) -> None:
        """Make all bucket files written so far survive a power cut."""
        self.staged.sync()

    def holds(self, receipt: Receipt) -> bool:
        """Whether a bucket file has the bytes it was written with."""
        try:
            (output,) = receipt.outputs
            with self._opened(bucket_name(_number(receipt.unit))) as fd:
                return digest_of(fd) == (output.size, output.digest)
        except (OSError, ValueError, MachineError):
            return False

    def finish(
        self, receipts: Sequence[Receipt], proved: Sequence[Verified], images: Iterable[tuple[str, int]]
    ) -> None:
        """Refuse bucket files that lack images; nothing is published: shards are made of them.

        Raises
        ------
        MachineError
            If images or bytes are fewer than there must be, or more.
        """
        del proved
        written = sum(receipt.samples for receipt in receipts), sum(receipt.bytes for receipt in receipts)
        sizes = [size for _, size in images]
        if written != (len(sizes), sum(sizes)):
            detail = f"{self.staged.buckets}: what was swept is not what was planned"
            raise MachineError(detail, hint="run the same command again with --restart; nothing was published")

    @contextlib.contextmanager
    def _opened(self, name: str, *, new: bool = False) -> Iterator[int]:
        """Open a bucket file for reading, or an empty one for both."""
        with OwnFolder(self.staged.folder) as folder:
            key = f"{self.staged.buckets.name}/{name}"
            fd = created(folder, key, os.O_RDWR) if new else folder.open(key, os.O_RDONLY)
        try:
            yield fd
        finally:
            os.close(fd)


def _number(unit: str) -> int:
    """Return the number of the bucket file of a unit."""
    return int(unit.rpartition("-")[2])


def _write_at(fd: int, data: bytes, offset: int) -> None:
    while data:
        written = os.pwrite(fd, data, offset)
        data, offset = data[written:], offset + written
