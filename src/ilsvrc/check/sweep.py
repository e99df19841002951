"""Read every image of a split once, in worker processes: decode it, and note its digest where that is wanted."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ilsvrc.events import Listener, silent
from ilsvrc.issues import Issue
from ilsvrc.readers.reader import Reader
from ilsvrc.run.digests import image_digests
from ilsvrc.run.engine import Engine
from ilsvrc.run.loop import Machinery, work
from ilsvrc.run.plan import Plan
from ilsvrc.run.proof import NoProof, Proof
from ilsvrc.sinks.base import Receipt, Sink
from ilsvrc.sinks.measuring import MeasuringSink
from ilsvrc.sinks.null import NullSink


@dataclass(frozen=True, slots=True)
class Sweeper:
    """Who reads all images.

    engine : does the work
    listener : gets progress
    measured : whether images are measured too
    """

    engine: Engine
    listener: Listener = silent
    measured: bool = False


@dataclass(frozen=True, slots=True)
class Swept:
    """What came of it.

    issues : what was found in images, those that can't be read included
    digests : xxh3_128 of each row, shape (N, 16), uint8; None if it was not wanted
    read : whether each row could be read, shape (N,); None likewise
    records : format, width and height of each image, RECORD of sinks/measuring.py; None if they were not measured
    """

    issues: list[Issue]
    digests: npt.NDArray[np.uint8] | None = None
    read: npt.NDArray[np.bool_] | None = None
    records: npt.NDArray[Any] | None = None


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
    if not sweeper.measured:
        return _read(plan, machinery, None, hashed=hashed)
    with tempfile.TemporaryDirectory(prefix="ilsvrc-") as folder:
        part = Path(folder) / "measures"
        swept = _read(plan, machinery, part, hashed=hashed)
        return replace(swept, records=MeasuringSink(NullSink(), part).records())


def _read(plan: Plan, machinery: Machinery, measures: Path | None, *, hashed: bool) -> Swept:
    """Read all images; keep their measures in a file, if one is named."""

    def around(sink: Sink) -> Sink:
        return MeasuringSink(sink, measures) if measures else sink

    if not hashed:
        return Swept(_issues(work(plan, plan.units, around(NullSink()), machinery)))
    found = image_digests(plan, machinery, around=around)
    return Swept(_issues(found.receipts), found.digests, found.read)


def _issues(receipts: list[Receipt]) -> list[Issue]:
    return [issue for receipt in receipts for issue in receipt.issues]


def digests_of(reader: Reader, sweeper: Sweeper, stage: str) -> npt.NDArray[np.uint8]:
    """Return xxh3_128 of each row, shape (N, 16), uint8; nothing is decoded.

    Raises
    ------
    DataError
        If an image can't be read.
    """
    machinery = Machinery(sweeper.engine, None, NoProof(), sweeper.listener, stage=stage)
    return image_digests(Plan(reader), machinery).digests
