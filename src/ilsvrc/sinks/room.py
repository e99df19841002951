"""Room: the space that a split takes in a target, and the space there is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ilsvrc.errors import MachineError
from ilsvrc.readers.units import Unit
from ilsvrc.sinks.base import Planned
from ilsvrc.sinks.links import Link

OVERHEAD = 300
"""Bytes per image in manifests and lists, with room to spare."""

PACKING = 2200
"""Bytes per image that shards need besides it, at most: three tar headers, two files of facts, their padding."""

PADDING = 128 << 10
"""Bytes that a shard takes besides its images, at most: first and last block of ArrayRecord, 64 KiB each."""

PAGES = 16 << 20
"""Bytes that a split of one file takes besides its images, at most: FFCV's pages of 8 MiB, the first and the last."""

_CLONE = 1024
"""Bytes per reflink: an inode and the records of its blocks, with room to spare."""


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


def need_of(plan: Planned, units: Sequence[Unit], block: int, link: Link = Link.COPY) -> Need:
    """Return the space that these units of a plan take on a file system with blocks of this many bytes.

    A hard link takes its place in a folder and no more; a reflink takes an inode, and no block for the image.
    """
    if not units:
        return Need()
    sizes = plan.reader.sizes[np.concatenate([plan.rows[unit.start : unit.stop] for unit in units])]
    sizes = np.ceil(sizes * plan.share).astype(np.int64)
    folders = len({path.rpartition("/")[0] for path, _ in plan.images()})
    images = int((-(-sizes // block)).sum()) * block if link is Link.COPY else 0
    images += _CLONE * len(sizes) if link in (Link.AUTO, Link.REFLINK) else 0
    blocks = folders + len(units)  # a folder and a part of the manifest take one
    inodes = (0 if link is Link.HARD else len(sizes)) + folders + len(plan.units)
    return Need(images + blocks * block + OVERHEAD * len(sizes), inodes)


def need_of_shards(plan: Planned, units: Sequence[Unit], *, whole: bool, twice: bool) -> Need:
    """Return the space that these shards take.

    A split that is one file (`whole`) has pages for tables. Where pieces are copied to it, both are there at once:
    `twice`.
    """
    if not units:
        return Need()
    images = sum(unit.images for unit in units)
    written = int(sum(unit.bytes for unit in units) * plan.share)
    held = (2 if twice else 1) * written + (PAGES if whole else 0)
    return Need(held + PADDING * len(units) + (OVERHEAD + PACKING) * images, 2 * len(plan.units) + 8)


def refuse_full(
    need: Need, target: Path, room: Room, *, linkable: bool = False, way: str = "choose another folder"
) -> None:
    """Refuse to begin where the target's file system has too little room; `linkable` images could be hard links.

    Raises
    ------
    MachineError
        With the space that is needed and the space that is free.
    """
    if need.bytes > room.bytes:
        detail = f"{target} needs {need.bytes:,} bytes and its file system has {room.bytes:,} free"
        link = ", or add --link hard, which shares the source's files" if linkable else ""
        raise MachineError(detail, hint=f"free some space, or {way}{link}; nothing was written")
    if room.inodes is not None and need.inodes > room.inodes:
        detail = (
            f"{target} needs {need.inodes:,} inodes (files and folders) and its file system has {room.inodes:,} free"
        )
        raise MachineError(detail, hint="choose a file system with more inodes; nothing was written")
