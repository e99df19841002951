"""Read the bytes of an archive in an object store, or on a web server, in place."""

from __future__ import annotations

import errno
import io
import os
import shlex
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from ilsvrc import facts
from ilsvrc.archive.source import ArchiveSource, ByteSource, FileSource, FileState, State
from ilsvrc.errors import ArchiveError, UsageError
from ilsvrc.issues import Code
from ilsvrc.stores.client import ChangedError, NoRangesError, ObjectState
from ilsvrc.stores.path import Location, StorePath
from ilsvrc.stores.prefetch import Ranges, prefetch

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

S = TypeVar("S")
T = TypeVar("T")

AT_ONCE = 128
"""Small reads that are made at the same time: S3 answers in 20 ms or so, and 5,500 a second of one prefix."""

_LEAVE_ALONE = "let no program write to it, then run the same command again"


class StoreSource:
    """An archive that is an object: each read is one request, or comes from what was announced.

    Every request asks for the state in which the object was opened: a replaced object is an error, never other bytes.

    Parameters
    ----------
    path
        The object.
    state
        The state it must have; None for the state that it has now.

    Raises
    ------
    UsageError
        If there is no such object, or its server does not say in which state it is.
    """

    at_once = AT_ONCE

    def __init__(self, path: StorePath, state: ObjectState | None = None) -> None:
        self.path = path
        self.state = state or self._now()
        self._ranges = Ranges(self._fetch)
        _SOURCES.add(self)

    def _now(self) -> ObjectState:
        state = self.path.state()
        if state is None:
            detail = "is a folder, not an object" if self.path.is_dir() else "does not exist"
            raise UsageError(f"{self.path} {detail}")
        if not state.etag and not state.changed:
            detail = "its server gives neither an ETag nor a time of change, so another could take its place unseen"
            raise UsageError(f"{self.path} can't be read in place: {detail}", hint=self._way_here())
        return state

    def _way_here(self) -> str:
        """Name the command that brings a file of a web server to this machine."""
        name, address = self.path.name, shlex.quote(str(self.path))
        if facts.official(name) is None:
            return f"bring it to this machine: curl -C - -O {address}"
        return f"bring it to this machine: ilsvrc fetch {name} --url {address} --to FOLDER"

    @property
    def size(self) -> int:
        """Bytes of the archive when it was opened."""
        return self.state.size

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes at `offset`."""
        stop = offset + length
        if stop > self.size:
            detail = f"the object ends at byte {self.size:,}, {stop - self.size:,} bytes short"
            hint = "put the whole archive there again"
            raise ArchiveError(Code.TRUNCATED_ARCHIVE, detail, str(self.path), offset=self.size, hint=hint)
        return prefetch().read(self._ranges, offset, stop)

    def _fetch(self, offset: int, length: int) -> bytes:
        """Ask the server for a range of the state that was opened."""
        try:
            data = self.path.bucket.read(self.path.key, offset, length, self.state)
        except ChangedError:
            raise self._changed() from None
        except FileNotFoundError:
            raise self._gone() from None
        except NoRangesError:
            detail = "its server gives whole files only, no parts of them"
            raise UsageError(f"{self.path} can't be read in place: {detail}", hint=self._way_here()) from None
        if len(data) != length:
            raise self._changed()
        return data

    def will_need(self, offset: int, length: int) -> None:
        """Begin to fetch a range, which `read` then takes from memory; a hint and no more."""
        stop = min(offset + length, self.size)
        if offset < stop:
            prefetch().announce(self._ranges, offset, stop)

    def let_go(self, offset: int, length: int) -> None:
        """Say that bytes will hardly be read again, so that their memory serves others; a hint and no more."""
        if length > 0:
            prefetch().drop(self._ranges, offset, offset + length)

    def refuse_changed(self) -> None:
        """Do nothing: every request asks for the state in which the object was opened."""

    def refuse_replaced(self) -> None:
        """Refuse an object that is no longer as it was opened; one request.

        Raises
        ------
        ArchiveError
            The message says what happened to the object.
        """
        state = self.path.state()
        if state is None:
            raise self._gone()
        if state != self.state:
            raise self._changed()

    def close(self) -> None:
        """Give back all memory; reading asks the server again."""
        self.let_go(0, self.size)

    def _changed(self) -> ArchiveError:
        detail = "the archive changed while it was in use: another object has taken its place"
        return ArchiveError(Code.WRONG_FILE, detail, str(self.path), hint=_LEAVE_ALONE)

    def _gone(self) -> ArchiveError:
        detail = "the archive was removed while it was in use"
        hint = "put it back, then run the same command again"
        return ArchiveError(Code.MISSING_FILE, detail, str(self.path), hint=hint)

    def __reduce__(self) -> tuple[object, ...]:
        return StoreSource, (self.path, self.state)


class SourceFile(io.RawIOBase):
    """The bytes of an archive as a file that is open for reading, for libraries that want one.

    Parameters
    ----------
    source
        The archive.
    ahead
        Bytes that are announced from where a read begins.
    """

    def __init__(self, source: ByteSource, ahead: int = 0) -> None:
        super().__init__()
        self._source = source
        self._ahead = ahead
        self._at = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a place, counted from the begin, from here or from the end; return it."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._source.state.size}[whence]
        return self._at

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read as many bytes as a buffer holds, fewer at the end; return how many."""
        view = memoryview(buffer).cast("B")
        length = max(0, min(len(view), self._source.state.size - self._at))
        self._source.will_need(self._at, self._ahead)
        view[:length] = self._source.read(self._at, length)
        self._at += length
        return length


def source_of(location: Location, state: State | None = None) -> ArchiveSource:
    """Return the bytes of a file, or of an object in a store.

    Parameters
    ----------
    location
        Where it lies.
    state
        The state it must have; None for the state that it has now.

    Raises
    ------
    UsageError
        If nothing is there.
    """
    if isinstance(location, Path):
        assert not isinstance(state, ObjectState)
        return FileSource(location, state)
    assert not isinstance(state, FileState)
    return StoreSource(location, state)


def of_each(function: Callable[[T], S], values: Sequence[T]) -> list[S]:
    """Return a function's result for each value, called for many at the same time: in a store each is a request."""
    if len(values) < 2:
        return [function(value) for value in values]
    with ThreadPoolExecutor(min(len(values), AT_ONCE), "ilsvrc-open") as pool:
        return list(pool.map(function, values))


def state_of(location: Location) -> State:
    """Return the state of a file, or of an object.

    Raises
    ------
    FileNotFoundError
        If nothing is there.
    """
    if isinstance(location, Path):
        return FileState.of(location)
    state = location.state()
    if state is None:
        raise FileNotFoundError(errno.ENOENT, "there is no such object", str(location))
    return state


def state_from(fields: dict[str, Any]) -> State:
    """Return a state from its fields, as `dataclasses.asdict` gives them.

    Raises
    ------
    TypeError
        If they are not those of a state.
    """
    return ObjectState(**fields) if "etag" in fields else FileState(**fields)


_SOURCES: WeakSet[StoreSource] = WeakSet()
"""Every live source of this process, so that a fork can forget the parent's requests."""


def _forget_all() -> None:
    for source in list(_SOURCES):
        source._ranges = Ranges(source._fetch)


os.register_at_fork(after_in_child=_forget_all)
