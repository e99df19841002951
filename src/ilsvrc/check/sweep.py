"""Read every image of a split once, in worker processes: decode it, and note its digest where that is wanted."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ilsvrc.events import Listener, silent
from ilsvrc.issues import Issue
from ilsvrc.readers.reader import Reader
from ilsvrc.run.engine import Engine
from ilsvrc.run.loop import Machinery, work
from ilsvrc.run.plan import Plan
from ilsvrc.run.proof import NoProof, Proof
from ilsvrc.sinks.hashing import HashingSink
from ilsvrc.sinks.null import NullSink


@dataclass(frozen=True, slots=True)
class Sweeper:
    """Who reads all images.

    engine : does the work
    listener : gets progress
    """

    engine: Engine
    listener: Listener = silent


@dataclass(frozen=True, slots=True)
class Swept:
    """What came of it.

    issues : what was found in images, those that can't be read included
    digests : xxh3_128 of each row, shape (N, 16), uint8; None if it was not wanted
    read : whether each row could be read, shape (N,); None likewise
    """

    issues: list[Issue]
    digests: npt.NDArray[np.uint8] | None = None
    read: npt.NDArray[np.bool_] | None = None


def sweep(reader: Reader, sweeper: Sweeper, *, proof: Proof | None = None, stage: str = "", hashed: bool) -> Swept:
    """Decode every image and compare it with its recorded digest; go on after one that can't be read.

    Parameters
    ----------
    reader
        The images.
    sweeper
        Reads them.
    proof
        Proves the files that hold them, in the same pass.
    stage
        What progress calls the work.
    hashed
        Whether the digests of images are wanted.
    """
    plan = Plan(reader)
    machinery = Machinery(sweeper.engine, None, proof or NoProof(), sweeper.listener, deep=True, stage=stage)
    if not hashed:
        receipts = work(plan, plan.units, NullSink(), machinery)
        return Swept([issue for receipt in receipts for issue in receipt.issues])
    return _hashed(plan, machinery)


def digests_of(reader: Reader, sweeper: Sweeper, stage: str) -> npt.NDArray[np.uint8]:
    """Return xxh3_128 of each row, shape (N, 16), uint8; nothing is decoded.

    Raises
    ------
    DataError
        If an image can't be read.
    """
    machinery = Machinery(sweeper.engine, None, NoProof(), sweeper.listener, stage=stage)
    found = _hashed(Plan(reader), machinery).digests
    assert found is not None
    return found


def _hashed(plan: Plan, machinery: Machinery) -> Swept:
    """Do the work of a plan and return the digests of its images, by row; they pass through a temporary file."""
    with tempfile.TemporaryDirectory(prefix="ilsvrc-") as folder:
        sink = HashingSink(Path(folder) / "digests")
        receipts = work(plan, plan.units, sink, machinery)
        names = plan.reader.names.take(plan.rows).to_pylist()
        in_order, read_in_order = sink.digests(plan.units, receipts, names)
    digests, read = np.empty_like(in_order), np.empty_like(read_in_order)
    digests[plan.rows], read[plan.rows] = in_order, read_in_order
    return Swept([issue for receipt in receipts for issue in receipt.issues], digests, read)
