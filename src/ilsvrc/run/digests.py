"""The digest of every image of a plan, taken by a run that keeps nothing else."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ilsvrc.run.loop import Machinery, work
from ilsvrc.run.plan import Plan
from ilsvrc.sinks.base import Receipt, Sink
from ilsvrc.sinks.hashing import HashingSink


@dataclass(frozen=True, slots=True)
class Digests:
    """What came of reading every image once.

    digests : xxh3_128 of each row of the plan's reader, shape (N, 16), uint8
    read : whether each row could be read, shape (N,), bool
    receipts : one per unit, in storage order
    """

    digests: npt.NDArray[np.uint8]
    read: npt.NDArray[np.bool_]
    receipts: list[Receipt]


def image_digests(
    plan: Plan,
    machinery: Machinery,
    folder: Path | None = None,
    around: Callable[[Sink], Sink] = lambda sink: sink,
) -> Digests:
    """Do the work of a plan and return the digests of its images, by row; they pass through a temporary file.

    Parameters
    ----------
    plan
        The images.
    machinery
        What the run uses.
    folder
        Where the temporary file goes: one that every worker sees. None for this machine's own.
    around
        Returns a sink that hands all samples to the one that hashes them.

    Raises
    ------
    DataError
        If an image can't be read and the run is not deep.
    """
    with tempfile.TemporaryDirectory(prefix="ilsvrc-", dir=folder) as temporary:
        sink = HashingSink(Path(temporary) / "digests")
        receipts = work(plan, plan.units, around(sink), machinery)
        names = plan.reader.names.take(plan.rows).to_pylist()
        in_order, read_in_order = sink.digests(plan.units, receipts, names)
    digests, read = np.empty_like(in_order), np.empty_like(read_in_order)
    digests[plan.rows], read[plan.rows] = in_order, read_in_order
    return Digests(digests, read, receipts)
