"""Ask whether a run can end well, before it begins."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ilsvrc.tree.layout import refuse_collisions
from ilsvrc.errors import MachineError
from ilsvrc.run.plan import Plan

OVERHEAD = 300
"""Bytes for an image in manifests and lists, with room."""


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
        while not folder.exists():
            folder = folder.parent
        found = os.statvfs(folder)
        return cls(found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None, found.f_frsize)


def needed(plan: Plan, done: Iterable[str], block: int) -> tuple[int, int]:
    """Return the bytes and inodes that the units of a plan not yet done will take, in whole blocks."""
    skip = set(done)
    ranges = [plan.catalog.rows[unit.start : unit.stop] for unit in plan.units if unit.id not in skip]
    rows = np.concatenate(ranges) if ranges else np.empty(0, np.int64)
    sizes = plan.index.sizes[rows]
    folders = len({ref.key.rpartition("/")[0] for ref in plan.catalog.refs()})
    return int((-(-sizes // block) * block).sum()) + OVERHEAD * len(sizes), len(sizes) + folders + len(plan.units)


def refuse_full(plans: Sequence[tuple[Plan, set[str]]], target: Path, room: Room) -> None:
    """Refuse to begin what the target's file system has no room for.

    Raises
    ------
    MachineError
        Saying what is needed and what there is.
    """
    needs = [needed(plan, done, room.block) for plan, done in plans]
    size, inodes = sum(n[0] for n in needs), sum(n[1] for n in needs)
    if size > room.bytes:
        detail = f"{target} needs {size:,} bytes and its file system has {room.bytes:,} free"
        raise MachineError(detail, hint="free some space, or choose another folder; nothing was written")
    if room.inodes is not None and inodes > room.inodes:
        detail = f"{target} needs {inodes:,} inodes (files and folders) and its file system has {room.inodes:,} free"
        raise MachineError(detail, hint="choose a file system with more inodes; nothing was written")


def refuse_twins(plan: Plan) -> None:
    """Refuse a layout under which two images of a plan would get one path."""
    refuse_collisions(plan.wanted.layout, (ref.key for ref in plan.catalog.refs()))
