"""One copy of an index in memory, for all processes that this one starts: proved once, and nobody can change it."""

from __future__ import annotations

import fcntl
import mmap
import os
import weakref
from dataclasses import dataclass
from io import FileIO
from multiprocessing import context, reduction
from typing import Any

import pyarrow as pa

from ilsvrc.archive.index import SCHEMA, Index, load

_SEALS = ("F_SEAL_SHRINK", "F_SEAL_GROW", "F_SEAL_WRITE", "F_SEAL_SEAL")

_made: dict[int, FileIO] = {}
"""The memory of each table that was shared, by the table's id; it is given back with the table."""


@dataclass(frozen=True, slots=True)
class Shared:
    """An index on its way to a process that is being started.

    archive, split : of the index
    memory : descriptor of the memory that holds its table, in the form that multiprocessing sends
    size : bytes
    """

    archive: str
    split: str
    memory: Any
    size: int

    def index(self) -> Index:
        """Return the index in the process that received it; no value is copied or proved again."""
        fd = self.memory.detach()
        try:
            mapped = mmap.mmap(fd, self.size, mmap.MAP_SHARED, mmap.PROT_READ)
        finally:
            os.close(fd)
        table, _ = load(pa.py_buffer(mapped), SCHEMA, proved=True)
        return Index(self.archive, self.split, table)


def shared(index: Index) -> Shared | None:
    """Return an index in memory that a process being started now can map; None if there is no such process.

    The memory is a file of Linux's without a name (memfd_create), sealed: it can be neither written nor cut short,
    so a map of it is as safe as memory of one's own. None also on systems that have no such files.
    """
    known = hasattr(os, "memfd_create") and all(hasattr(fcntl, seal) for seal in _SEALS)
    if not known or context.get_spawning_popen() is None:
        return None
    try:
        memory = _memory_of(index.table)
        size = os.fstat(memory.fileno()).st_size
        return Shared(index.archive, index.split, reduction.DupFd(memory.fileno()), size)
    except OSError:
        return None


def _memory_of(table: pa.Table) -> FileIO:
    """Return the sealed memory that holds a table, made at first."""
    memory = _made.get(id(table))
    if memory is None:
        memory = FileIO(os.memfd_create("ilsvrc-index", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), "rb+")
        with (
            open(os.dup(memory.fileno()), "wb") as copy,
            pa.PythonFile(copy) as sink,
            pa.ipc.new_file(sink, table.schema) as writer,
        ):
            writer.write_table(table)
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, _seals())
        _made[id(table)] = memory
        weakref.finalize(table, _give_back, id(table))
    return memory


def _give_back(table: int) -> None:
    _made.pop(table).close()


def _seals() -> int:
    seals = 0
    for name in _SEALS:
        seals |= getattr(fcntl, name)
    return seals
