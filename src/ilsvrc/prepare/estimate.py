"""How long a run will take, by a second of hashing and a second of writing."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from ilsvrc.archive.source import ArchiveSource
from ilsvrc.errors import DamageError, DataError
from ilsvrc.files import printable, sync_filesystem
from ilsvrc.prepare.decision import Decision
from ilsvrc.prepare.options import Options
from ilsvrc.prepare.report import Estimate
from ilsvrc.readers.units import Sample, Transform
from ilsvrc.run.engine import default_jobs
from ilsvrc.run.plan import Plan
from ilsvrc.sinks.links import Link
from ilsvrc.sinks.room import Need, Room, existing
from ilsvrc.stores.path import StorePath

SECOND = 1.0
"""Seconds of hashing, and of writing, that a rate is measured by."""

_CHUNK = 8 << 20
_SAMPLE = 200
"""Images that are written again and again to measure a rate of writing."""

_MOST_FILES = 2_000
"""Files that are written for it: of small images a second makes many thousands, which take minutes to remove."""


def need_of_all(decisions: Sequence[Decision]) -> Need:
    """Return the space that all of them take."""
    return sum((decision.need for decision in decisions), Need())


def estimate(decisions: Sequence[Decision], target: Path, options: Options) -> Estimate:
    """Return the room and the time that decisions need; the time by a second of hashing and one of writing."""
    need, room = need_of_all(decisions), Room.of(target)
    seconds: float | None = 0.0
    for decision in decisions:
        found = _seconds(decision, target, options.jobs or default_jobs())
        seconds = None if seconds is None or found is None else seconds + found
    return Estimate(need.bytes, need.inodes, room.bytes, room.inodes, seconds, printable(str(target)))


def _seconds(decision: Decision, target: Path, jobs: int) -> float | None:
    """Return the seconds that a decision takes: hashing and writing go on side by side."""
    hashing = sum(
        claim.source.size / _hashing_rate(claim.source, claim.expected.digest.algorithm)
        for claim in decision.claims[:1]
    )
    hashing *= len(decision.claims) or 1
    if not decision.units:
        return float(hashing)
    if isinstance(decision.sink.root, StorePath):
        return None  # of a bucket nothing is known before something is put there
    copied = decision.sink.link in (None, Link.COPY)
    if decision.plan.transform:
        rate = _making_rate(decision.plan, decision.plan.transform)
    else:
        rate = _writing_rate(decision.plan, target) if copied else _reading_rate(decision.plan)
    return None if rate is None else max(hashing, decision.bytes / (rate * jobs))


def _hashing_rate(source: ArchiveSource, algorithm: str) -> float:
    """Return how many bytes per second are read from a file and hashed, measured for a second."""
    hashed, position, begun = hashlib.new(algorithm), 0, time.monotonic()
    while position < source.size and time.monotonic() - begun < SECOND:
        data = source.read(position, min(_CHUNK, source.size - position))
        hashed.update(data)
        position += len(data)
    return position / max(time.monotonic() - begun, 1e-9)


def _reading_rate(plan: Plan) -> float | None:
    """Return how many bytes per second of a plan's images one process reads: a link writes next to nothing."""
    begun = time.monotonic()
    try:
        read = sum(len(data) for _, data in plan.reader.take(plan.rows[:_SAMPLE]))
    except (OSError, DataError):
        return None
    return read / max(time.monotonic() - begun, 1e-9)


def _making_rate(plan: Plan, transform: Transform) -> float | None:
    """Return how many bytes per second of a plan's images one process makes anew: writing them is quick beside it."""
    begun, made = time.monotonic(), 0
    try:
        for row, data in plan.reader.take(plan.rows[:_SAMPLE]):
            name = plan.reader.name(row)
            with contextlib.suppress(DamageError):
                transform(Sample(name, name, None, data))
            made += len(data)
            if time.monotonic() - begun > SECOND:
                break
    except (OSError, DataError):
        return None
    return made / max(time.monotonic() - begun, 1e-9)


def _writing_rate(plan: Plan, target: Path) -> float | None:
    """Return how many bytes per second of a plan's images one process writes to a target's file system.

    Images are written and synced for a second in a folder that is removed again. None if that can't be done there.
    """
    rows = plan.rows[:_SAMPLE]
    try:
        images = [data for _, data in plan.reader.take(rows)]
        folder = Path(tempfile.mkdtemp(prefix=".ilsvrc-rate-", dir=existing(target)))
    except (OSError, DataError):
        return None
    try:
        return _written(images, folder)
    except OSError:
        return None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _written(images: Sequence[bytes], folder: Path) -> float:
    written, number, begun = 0, 0, time.monotonic()
    while images and number < _MOST_FILES and time.monotonic() - begun < SECOND:
        for data in images[: _MOST_FILES - number]:
            (folder / str(number)).write_bytes(data)
            written, number = written + len(data), number + 1
    sync_filesystem(folder)
    return written / max(time.monotonic() - begun, 1e-9)
