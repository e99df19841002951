"""Whether a source is slow to read in random order, measured; and the way through bucket files, where it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ilsvrc.archive.remote import source_of
from ilsvrc.errors import DataError
from ilsvrc.readers.buckets import BucketReader, Buckets
from ilsvrc.readers.reader import Int, Reader
from ilsvrc.run.journal import Journal
from ilsvrc.run.loop import Machinery, run
from ilsvrc.run.order import Order
from ilsvrc.run.plan import Plan
from ilsvrc.run.proof import NoProof, Proof
from ilsvrc.sinks.buckets import BucketSink
from ilsvrc.stores.path import StorePath

WORTH = 4 << 30
"""Bytes of images below which a source is not measured: it is read in minutes in any order."""

SHARE = 0.25
"""Random reads below this share of the sequential rate are slow: through buckets, all is read and written twice."""

BUCKET = 512 << 20
"""Bytes of images in a bucket file, about: 280 of them for train, so a shard of 500 MB is read in 280 pieces."""

_SECONDS = 0.4
_IMAGES = 256
"""Images in a measurement, at most, about 32 MB: as many as readers announce at a time."""


def is_slow_to_seek(reader: Reader, clock: Callable[[], float] = time.monotonic) -> bool:
    """Whether random reads of images reach less than a quarter of the rate of a sweep; takes a second at most.

    Of images in containers only: files of their own are not swept, and of a store many reads are made at once. Both
    rates are measured of the disk: what the system has in memory of the images is dropped before.

    Parameters
    ----------
    reader
        The images.
    clock
        Returns seconds.
    """
    if isinstance(reader.path, StorePath):
        return False
    sweep = reader.storage_order()
    if not reader.containers() or len(sweep) < 4 * _IMAGES or reader.spans(sweep[:1]) is None:
        return False
    rng = np.random.default_rng(0)
    middle = int(rng.integers(0, len(sweep) - _IMAGES))
    try:
        scattered = _rate(reader, rng.choice(sweep, _IMAGES, replace=False), clock)
        swept = _rate(reader, sweep[middle : middle + _IMAGES], clock)
    except (OSError, DataError):
        return False  # the run itself will say what is wrong
    return scattered < SHARE * swept


def _rate(reader: Reader, rows: Int, clock: Callable[[], float]) -> float:
    """Return bytes per second of reading some rows in the order given, dropped from memory before."""
    _drop(reader, rows)
    read, begun = 0, clock()
    for _, data in reader.take(rows):
        read += len(data)
        if clock() - begun > _SECONDS:
            break
    return read / max(clock() - begun, 1e-9)


def _drop(reader: Reader, rows: Int) -> None:
    """Let the system forget the bytes of some rows."""
    spans, before = reader.spans(rows), 0
    assert spans is not None
    for container in reader.containers():
        source = source_of(container.path, container.state)
        for start, stop in (spans - before).tolist():
            if 0 <= start < container.size:
                source.let_go(start, stop - start)
        before += container.size


def through_buckets(plan: Plan, into: BucketSink, machinery: Machinery) -> tuple[Plan, Proof]:
    """Sweep the source into bucket files; return the same plan with its images read from there, and what was proved.

    An interrupted sweep is resumed: bucket files have a journal of their own.

    Raises
    ------
    IlsvrcError
        The first error of a unit, or the fault of the source.
    """
    assert plan.order
    if machinery.journal:  # the plan itself is begun, so that the next run resumes it
        machinery.journal.begin(plan.digest, plan.settings, plan.reader.state)
    buckets, folder = Buckets.of(plan.reader, plan.order.rows, BUCKET), into.staged.buckets
    into.prepare(buckets.offsets[buckets.sweep])
    sweep = Plan(plan.reader, plan.layout, plan.chosen, Order(buckets.sweep, buckets.bounds))
    own = Journal(folder / "journal.jsonl")
    result = run(sweep, into, replace(machinery, journal=own, stage=f"sweep {plan.split}"))
    reader = BucketReader(plan.reader, folder, buckets.numbers, buckets.offsets)
    return replace(plan, reader=reader), NoProof(result.proved)
