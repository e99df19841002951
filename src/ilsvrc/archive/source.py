"""Read the bytes of an archive at any offset, and detect that it was changed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from weakref import WeakSet

from ilsvrc import files
from ilsvrc.errors import ArchiveError, UsageError
from ilsvrc.issues import Code
from ilsvrc.stores.client import ObjectState
from ilsvrc.stores.path import Location

_LEAVE_ALONE = "let no program write to it, then run the same command again"


@dataclass(frozen=True, slots=True)
class FileState:
    """One state of one file, distinguished from every other state without reading the file.

    Size and mtime are not enough: a download that keeps the server's time, or a program that restores the mtime,
    puts other bytes under the same two values. The system itself sets the ctime at every write, and the inode
    distinguishes a file from the one that replaces it. A copy has another state; the index's identity says whether
    its content is the same.

    size : bytes
    mtime_ns : time of the last change of the contents, nanoseconds
    ctime_ns : time of the last change of the contents or the attributes, nanoseconds
    inode : number of the file in its file system
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, file: Path | int) -> FileState:
        """Return the state of a file, by its path or by the descriptor of an open one."""
        return cls.read(os.stat(file))  # noqa: PTH116  -- takes descriptors too

    @classmethod
    def read(cls, status: os.stat_result) -> FileState:
        """Return the state in the result of a `stat` call."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


State = FileState | ObjectState
"""The state of an archive: of a file, or of an object in a store."""


class ByteSource(Protocol):
    """Random access to the bytes of one archive, as walks over it need it. Safe to use from many threads at once."""

    @property
    def path(self) -> Location:
        """The archive: a file, or an object in a store."""

    @property
    def state(self) -> State:
        """The state that the archive had when it was opened first."""

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes at `offset`.

        Raises
        ------
        ArchiveError
            If the archive ends before.
        """

    def will_need(self, offset: int, length: int) -> None:
        """Announce a read, so that the disk works meanwhile; a hint and no more."""

    def let_go(self, offset: int, length: int) -> None:
        """Say that bytes will hardly be read again, so that their memory serves others; a hint and no more."""


class ArchiveSource(ByteSource, Protocol):
    """Random access to the bytes of one archive, which must stay as it was opened.

    Safe to use from many threads at once. Pickles by reopening, which fails if the archive was changed meanwhile.
    """

    @property
    def size(self) -> int:
        """Bytes of the archive when it was opened."""

    @property
    def at_once(self) -> int:
        """Reads that are worth making at the same time: 1 of a file, many of a store, whose every answer is slow."""

    def close(self) -> None:
        """Let go of open files and memory; reading opens it again."""

    def refuse_changed(self) -> None:
        """Refuse an archive of which bytes that were read may be of another state; quick enough for every image.

        Raises
        ------
        ArchiveError
            The message says what happened to the archive.
        """

    def refuse_replaced(self) -> None:
        """Refuse an archive that is no longer, at its path, as it was opened.

        Raises
        ------
        ArchiveError
            The message says what happened to the archive.
        """


class FileSource:
    """An archive in a file, read by `pread`: no seek, no lock, and no crash if the file is cut short meanwhile.

    Parameters
    ----------
    path
        The archive file.
    state
        The state it must have when it is opened; None for the state that it has now.

    Raises
    ------
    UsageError
        If there is no such file.
    """

    at_once = 1

    def __init__(self, path: Path | str, state: FileState | None = None) -> None:
        self.path = Path(path)
        self._fd = -1
        self._opening = threading.Lock()
        self.state = state or self._now()
        _SOURCES.add(self)

    def _now(self) -> FileState:
        if not self.path.exists():
            raise UsageError(f"{self.path} does not exist")
        if not self.path.is_file():
            raise UsageError(f"{self.path} is not a file")
        return FileState.of(self.path)

    @property
    def size(self) -> int:
        """Bytes of the archive when it was opened."""
        return self.state.size

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes at `offset`."""
        data = os.pread(self._fd if self._fd >= 0 else self.fileno(), length, offset)
        return data if len(data) == length else self._read_on(offset, length, data)

    def _read_on(self, offset: int, length: int, data: bytes) -> bytes:
        """Read the rest after a short read: the system may return fewer bytes than asked for before the file ends."""
        parts, got = [data], len(data)
        while got < length and parts[-1]:
            parts.append(os.pread(self._fd, length - got, offset + got))
            got += len(parts[-1])
        if got < length:
            detail = (
                f"the file ends here, {length - got:,} bytes short; it had {self.size:,} bytes when it was opened"
            )
            raise ArchiveError(
                Code.TRUNCATED_ARCHIVE, detail, self.path, offset=offset + got, hint="fetch the archive again"
            )
        return b"".join(parts)

    def will_need(self, offset: int, length: int) -> None:
        """Announce a read, so that the disk works meanwhile; a hint and no more."""
        files.will_need(self._fd if self._fd >= 0 else self.fileno(), offset, length)

    def let_go(self, offset: int, length: int) -> None:
        """Say that bytes will hardly be read again, so that their memory serves others; a hint and no more."""
        files.let_go(self._fd if self._fd >= 0 else self.fileno(), offset, length)

    def refuse_replaced(self) -> None:
        """Refuse a file that is no longer as it was opened: where it is open, and what is at its path by now.

        Raises
        ------
        ArchiveError
            The message says what happened to the file.
        """
        if self._fd >= 0:
            self.refuse_changed()
        try:
            state = FileState.of(self.path)
        except FileNotFoundError:
            raise self._gone() from None
        if state != self.state:
            raise self._changed(state)

    def refuse_changed(self) -> None:
        """Refuse an archive that was written to, cut short, replaced or removed since it was opened; one system call.

        A write whose mtime was restored afterwards is found too, by the ctime. New permissions, a new name or a new
        hard link change the ctime as well; only reading all bytes would distinguish them from a write.

        Raises
        ------
        ArchiveError
            The message says what happened to the archive.
        """
        status = os.fstat(self._fd if self._fd >= 0 else self.fileno())
        if status.st_nlink == 0:
            raise self._gone()
        state = self.state
        if (status.st_ctime_ns, status.st_mtime_ns, status.st_size, status.st_ino) != (
            state.ctime_ns,
            state.mtime_ns,
            state.size,
            state.inode,
        ):
            raise self._changed(FileState.read(status))

    def fileno(self) -> int:
        """Return the descriptor of the open file, opening it first if need be."""
        with self._opening:
            if self._fd < 0:
                self._fd = self._open()
            return self._fd

    def _open(self) -> int:
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise self._gone() from None
        state = FileState.of(fd)
        if state != self.state:
            os.close(fd)
            raise self._changed(state)
        return fd

    def _changed(self, state: FileState) -> ArchiveError:
        if state.size != self.size:
            how = f"it had {self.size:,} bytes, now {state.size:,}"
        elif state.inode != self.state.inode:
            how = "another file has taken its place"
        elif state.mtime_ns != self.state.mtime_ns:
            how = "it was written to"
        else:
            how = "it was written to, renamed, linked, or given other permissions"
        detail = f"the archive changed while it was in use: {how}"
        return ArchiveError(Code.WRONG_FILE, detail, self.path, hint=_LEAVE_ALONE)

    def _gone(self) -> ArchiveError:
        if self.path.exists():
            detail = "the archive changed while it was in use: another file has replaced it"
            return ArchiveError(Code.WRONG_FILE, detail, self.path, hint=_LEAVE_ALONE)
        detail = "the archive was moved or removed while it was in use"
        return ArchiveError(Code.MISSING_FILE, detail, self.path, hint="put it back, then run the same command again")

    def _reopen_after_fork(self) -> None:
        """Drop the parent's descriptor, and its lock, which another thread of the parent may hold."""
        self._opening = threading.Lock()
        self.close()

    def close(self) -> None:
        """Close the file; reading opens it again."""
        with self._opening:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        """Close the file; `close` is bound here, since at the interpreter's end this module's names may be gone."""
        if getattr(self, "_fd", -1) >= 0:
            close(self._fd)

    def __reduce__(self) -> tuple[object, ...]:
        return FileSource, (self.path, self.state)


_SOURCES: WeakSet[FileSource] = WeakSet()
"""Every live source of this process, so that a fork can reopen them."""


def _reopen_all() -> None:
    for source in list(_SOURCES):
        source._reopen_after_fork()


os.register_at_fork(after_in_child=_reopen_all)
