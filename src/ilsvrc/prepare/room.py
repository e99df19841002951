"""Room and time: the space that a split takes in a target, and how long it takes to write it."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ilsvrc.archive.source import FileSource
from ilsvrc.errors import DataError, MachineError
from ilsvrc.files import sync_filesystem
from ilsvrc.readers.units import Unit
from ilsvrc.run.plan import Plan

OVERHEAD = 300
"""Bytes per image in manifests and lists, with room to spare."""

SECOND = 1.0
"""Seconds of hashing, and of writing, that a rate is measured by."""

_CHUNK = 8 << 20
_SAMPLE = 200
"""Images that are written again and again to measure a rate of writing."""


@dataclass(frozen=True, slots=True)
class Room:
    """Space on a file system.

    bytes : free for this user
    inodes : free for this user, or None where the file system does not count them
    block : bytes of its smallest piece
    """

    bytes: int
    inodes: int | None
    block: int

    @classmethod
    def of(cls, folder: Path) -> Room:
        """Return the room on the file system of a folder, or of its nearest parent that exists."""
        found = os.statvfs(existing(folder))
        return cls(found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None, found.f_frsize)


@dataclass(frozen=True, slots=True)
class Need:
    """Space that units of a plan take, in whole blocks.

    bytes, inodes : of images, folders, manifests and lists
    """

    bytes: int = 0
    inodes: int = 0

    def __add__(self, other: Need) -> Need:
        return Need(self.bytes + other.bytes, self.inodes + other.inodes)


def existing(folder: Path) -> Path:
    """Return a folder, or its nearest parent that exists."""
    while not folder.exists():
        folder = folder.parent
    return folder


def need_of(plan: Plan, units: Sequence[Unit], block: int) -> Need:
    """Return the space that these units of a plan take on a file system with blocks of this many bytes."""
    if not units:
        return Need()
    sizes = plan.reader.sizes[np.concatenate([plan.rows[unit.start : unit.stop] for unit in units])]
    folders = len({path.rpartition("/")[0] for path, _ in plan.images()})
    size = int((-(-sizes // block) * block).sum()) + OVERHEAD * len(sizes)
    return Need(size, len(sizes) + folders + len(plan.units))


def refuse_full(need: Need, target: Path, room: Room) -> None:
    """Refuse to begin where the target's file system has too little room.

    Raises
    ------
    MachineError
        With the space that is needed and the space that is free.
    """
    if need.bytes > room.bytes:
        detail = f"{target} needs {need.bytes:,} bytes and its file system has {room.bytes:,} free"
        raise MachineError(detail, hint="free some space, or choose another folder; nothing was written")
    if room.inodes is not None and need.inodes > room.inodes:
        detail = (
            f"{target} needs {need.inodes:,} inodes (files and folders) and its file system has {room.inodes:,} free"
        )
        raise MachineError(detail, hint="choose a file system with more inodes; nothing was written")


def hashing_rate(source: FileSource, algorithm: str) -> float:
    """Return how many bytes per second are read from a file and hashed, measured for a second."""
    hashed, position, begun = hashlib.new(algorithm), 0, time.monotonic()
    while position < source.size and time.monotonic() - begun < SECOND:
        data = source.read(position, min(_CHUNK, source.size - position))
        hashed.update(data)
        position += len(data)
    return position / max(time.monotonic() - begun, 1e-9)


def writing_rate(plan: Plan, target: Path) -> float | None:
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
    while images and time.monotonic() - begun < SECOND:
        for data in images:
            (folder / str(number)).write_bytes(data)
            written, number = written + len(data), number + 1
    sync_filesystem(folder)
    return written / max(time.monotonic() - begun, 1e-9)
