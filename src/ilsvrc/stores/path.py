"""Paths in a store, with as much of pathlib's `Path` as reading a data set takes."""

from __future__ import annotations

import errno
import io
import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from fnmatch import fnmatchcase
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, TypeVar

from ilsvrc.errors import MachineError
from ilsvrc.stores.client import Bucket, Entry, ObjectState, bucket_of
from ilsvrc.stores.url import Url, parse_url

T = TypeVar("T")


class StorePath:
    """The path of an object, or of a folder: of all keys that begin with it and a slash.

    Its methods do as those of `pathlib.Path`. Each is one request at most.
    """

    __slots__ = ("url",)

    def __init__(self, url: Url | str) -> None:
        self.url = parse_url(url) if isinstance(url, str) else url

    def __str__(self) -> str:
        return str(self.url)

    def __repr__(self) -> str:
        return f"StorePath({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StorePath) and self.url == other.url

    def __hash__(self) -> int:
        return hash(self.url)

    def __lt__(self, other: StorePath) -> bool:
        return self.url < other.url

    def __reduce__(self) -> tuple[object, ...]:
        return StorePath, (self.url,)

    def __truediv__(self, part: str) -> StorePath:
        return StorePath(self.url.at(f"{self.url.key}/{part}"))

    @property
    def bucket(self) -> Bucket:
        """The bucket that holds it."""
        return bucket_of(self.url)

    @property
    def key(self) -> str:
        """Its key."""
        return self.url.key

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.url.name

    @property
    def stem(self) -> str:
        """The name without its last ending."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """The last ending of the name, with its dot."""
        return PurePosixPath(self.name).suffix

    @property
    def suffixes(self) -> list[str]:
        """All endings of the name."""
        return PurePosixPath(self.name).suffixes

    @property
    def parent(self) -> StorePath:
        """The folder that it lies in; the bucket is its own parent."""
        return StorePath(self.url.at(self.key.rpartition("/")[0]))

    @property
    def parents(self) -> list[StorePath]:
        """All folders above, the nearest first."""
        parts = self.key.split("/") if self.key else []
        return [StorePath(self.url.at("/".join(parts[:count]))) for count in range(len(parts) - 1, -1, -1)]

    def with_name(self, name: str) -> StorePath:
        """Return another path in the same folder."""
        return self.parent / name

    def relative_to(self, other: StorePath) -> PurePosixPath:
        """Return the path below a folder.

        Raises
        ------
        ValueError
            If it does not lie below.
        """
        if self.url.at("") != other.url.at(""):
            raise ValueError(f"{self} is not below {other}")
        return PurePosixPath(self.key).relative_to(other.key)

    def absolute(self) -> StorePath:
        """Return itself."""
        return self

    def resolve(self) -> StorePath:
        """Return itself: a store has no links."""
        return self

    def expanduser(self) -> StorePath:
        """Return itself."""
        return self

    def state(self) -> ObjectState | None:
        """Return the state of the object; None if there is none."""
        if not self.key or self._is_listed(folder=False) is False:
            return None
        return _once("state", self, lambda: self.bucket.state(self.key))

    def is_file(self) -> bool:
        """Whether there is an object of this key.

        Of a folder a web server refuses to speak, or it sends a page that was made just now: neither is a file.
        """
        if self.bucket.lists:
            return self.state() is not None
        try:
            state = self.state()
        except MachineError:
            if self.suffix:
                raise
            return False
        return state is not None and bool(state.etag or state.changed)

    def is_dir(self) -> bool:
        """Whether there are objects below; a web server can't say."""
        if not self.bucket.lists:
            return False
        listed = self._is_listed(folder=True)
        if listed is not None:
            return listed
        return _once("below", self, lambda: next(iter(self.bucket.below(self.key)), None) is not None)

    def exists(self) -> bool:
        """Whether there is an object of this key, or some below."""
        return self.is_file() or self.is_dir()

    def is_symlink(self) -> bool:
        """Return False: a store has no links."""
        return False

    def entries(self) -> list[Entry]:
        """Return what lies in the folder, by key; none where a web server can't say."""
        if not self.bucket.lists or self._is_listed(folder=True) is False:
            return []
        return _once("entries", self, lambda: self.bucket.level(self.key))

    def _is_listed(self, *, folder: bool) -> bool | None:
        """Whether it is among what was listed of the folders above; None if that does not say, or was not lately."""
        seen = _SEEN.get()
        if not seen or not self.key:
            return None
        listed: list[Entry] | None = seen.get(("entries", self.parent))
        if listed is None:
            return False if self.parent._is_listed(folder=True) is False else None
        return any(entry.key == self.key and (entry.state is None) is folder for entry in listed)

    def iterdir(self) -> Iterator[StorePath]:
        """Yield what lies in the folder."""
        return (StorePath(self.url.at(entry.key)) for entry in self.entries())

    def glob(self, pattern: str) -> Iterator[StorePath]:
        """Yield what lies in the folder under names of a pattern without slashes."""
        return (path for path in self.iterdir() if fnmatchcase(path.name, pattern))

    def read_bytes(self) -> bytes:
        """Return all bytes of the object."""
        return self.bucket.whole(self.key)

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Delete the object; stores don't say whether it was there.

        Raises
        ------
        FileNotFoundError
            If it is not there, unless `missing_ok`.
        """
        if not missing_ok and not self.is_file():
            raise FileNotFoundError(errno.ENOENT, "there is no such object", str(self))
        self.bucket.delete([self.key])

    def read_text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the object's text."""
        return self.read_bytes().decode(encoding, errors)

    def open(self, mode: str = "rb") -> io.BytesIO:
        """Return the object's bytes, open for reading; for small ones, since all are read at once."""
        assert mode == "rb"
        return io.BytesIO(self.read_bytes())


_SEEN: ContextVar[dict[tuple[str, StorePath], Any] | None] = ContextVar("_SEEN", default=None)


@contextmanager
def asked_once() -> Iterator[None]:
    """Let paths remember what they were told in this block, by this thread: no question is asked of a store twice."""
    if _SEEN.get() is not None:
        yield
        return
    token = _SEEN.set({})
    try:
        yield
    finally:
        _SEEN.reset(token)


def _once(question: str, path: StorePath, ask: Callable[[], T]) -> T:
    seen = _SEEN.get()
    if seen is None:
        return ask()
    if (question, path) not in seen:
        seen[question, path] = ask()
    answer: T = seen[question, path]
    return answer


Location = Path | StorePath
"""Where a data set, an archive or an image lies: on a disk, or in a store."""

AnyPath = TypeVar("AnyPath", Path, StorePath, Path | StorePath)
"""A path of either kind, which stays of its kind."""


def names_in(folder: Location) -> list[tuple[str, bool]]:
    """Return name and whether it is a folder, of everything in a folder, by name; none where a web server can't say.

    Raises
    ------
    OSError
        If it is no folder, or may not be read.
    """
    if isinstance(folder, StorePath):
        return [(entry.key.rpartition("/")[2], entry.state is None) for entry in folder.entries()]
    with os.scandir(folder) as found:
        return sorted((entry.name, _is_folder(entry)) for entry in found)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def size_of(location: Location) -> int:
    """Return the bytes of a file or an object.

    Raises
    ------
    OSError
        If it is not there.
    """
    if isinstance(location, Path):
        return location.stat().st_size
    state = location.state()
    if state is None:
        raise FileNotFoundError(errno.ENOENT, "there is no such object", str(location))
    return state.size


def fetch_folder(folder: Location) -> str:
    """Return what `ilsvrc fetch --to` is told, for the shell, to fetch what a folder lacks.

    Nothing is fetched into a store: there it is `FOLDER`, for one of this machine.
    """
    return "FOLDER" if isinstance(folder, StorePath) else shlex.quote(str(folder))


def path_below(location: Location, folder: Location) -> PurePath:
    """Return the path below a folder.

    Raises
    ------
    ValueError
        If it does not lie below.
    """
    if isinstance(location, StorePath) and isinstance(folder, StorePath):
        return location.relative_to(folder)
    if isinstance(location, Path) and isinstance(folder, Path):
        return location.relative_to(folder)
    raise ValueError(f"{location} is not below {folder}")
