"""Files that are whole or absent, locks between processes, and hints to the system."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from ilsvrc.errors import MachineError

OWN_FOLDER = ".ilsvrc"
"""What ilsvrc keeps for itself, beside archives and in prepared trees."""


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; it takes the name, durably, once the block ends without error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield beside
        sync_path(beside)
        beside.replace(path)
        sync_path(path.parent)
    except OSError as error:
        raise named(error, path) from None
    finally:
        beside.unlink(missing_ok=True)


def will_need(fd: int, offset: int, length: int) -> None:
    """Announce a read of an open file, so that the disk works meanwhile; a hint and no more."""
    if _TAKES_HINTS and length > 0:
        os.posix_fadvise(fd, offset, length, os.POSIX_FADV_WILLNEED)


def let_go(fd: int, offset: int, length: int) -> None:
    """Say that bytes of an open file will hardly be read again, so that their memory serves others; a hint only.

    Linux begins to write at once what is not on the disk yet (mm/fadvise.c).
    """
    if _TAKES_HINTS and length > 0:
        os.posix_fadvise(fd, offset, length, os.POSIX_FADV_DONTNEED)


def remove_leftovers(*folders: Path) -> None:
    """Remove what a killed `written_whole` left in these folders; call it under the lock that guards them."""
    for folder in folders:
        for leftover in folder.glob(".*.part"):
            if _LEFTOVER.fullmatch(leftover.name):
                leftover.unlink()


def printable(name: str) -> str:
    """Return a file name as text: what is no valid text in it becomes an escape."""
    return name.encode("utf-8", "backslashreplace").decode()


def named(error: OSError, path: Path) -> OSError:
    """Return an error of the system with the path that it is about, if it has none."""
    return error if error.filename else OSError(error.errno, error.strerror, str(path))


_TAKES_HINTS = hasattr(os, "posix_fadvise")  # macOS takes none
_LEFTOVER = re.compile(r"\.(?:train|val|test|classes|report|journal)\.\w+\.\d+\.part")


def write_text(path: Path, text: str) -> None:
    """Write a small text file whole."""
    with written_whole(path) as beside:
        beside.write_text(text, encoding="utf-8")


def sync_path(path: Path) -> None:
    """Make a file's contents, or a folder's entries, survive a power cut."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_filesystem(folder: Path) -> None:
    """Make all that was written to the file system of a folder survive a power cut.

    One call for thousands of small files: `fsync` of each would cost a journal commit a file. Where the C library
    has no `syncfs` (macOS), every file system is synced.
    """
    syncfs = getattr(_LIBC, "syncfs", None)
    if syncfs is None:
        os.sync()
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        if syncfs(fd) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(fd)


@contextlib.contextmanager
def locked(path: Path, *, what: str = "", wait: bool = True) -> Iterator[None]:
    """Hold an exclusive lock on the file `path`, which the system drops when the process dies in any way.

    Raises
    ------
    MachineError
        If another process holds it and `wait` is false; `what` says what is being locked.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            hint = "wait for it to end, or stop it; nothing was changed"
            raise MachineError(f"{what or path} is in use by another run, process {owner}", hint=hint) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform != "win32" else None
