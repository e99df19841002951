"""Requests to a store: objects are listed, read in ranges, written whole."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ilsvrc.errors import MachineError, NetworkError, UsageError
from ilsvrc.stores.credentials import s3_options
from ilsvrc.stores.library import library
from ilsvrc.stores.url import WEB, Url

AT_ONCE = 16
"""Requests of one call that run at the same time."""

RETRIES = 8
PATIENCE = timedelta(minutes=2)
"""A request that fails for want of a server is tried again so often, with growing pauses, and for so long."""

PIECE = 8 << 20
"""Bytes of a part of an object that is written in parts, as every store allows (S3's smallest is 5 MiB)."""

LARGEST = 4 * PIECE
"""Bytes of the largest file that is held in memory, to be put in one request, with a condition."""


@dataclass(frozen=True, slots=True)
class ObjectState:
    """One state of one object, distinguished from every other.

    size : bytes
    etag : what the server calls this state; empty if it does not name states
    changed : time of the last change, nanoseconds, for servers that name no states
    """

    size: int
    etag: str
    changed: int


@dataclass(frozen=True, slots=True)
class Entry:
    """What a store lists.

    key : the object's key, or that of a folder, which is only the beginning of some keys
    state : of the object; None for a folder
    """

    key: str
    state: ObjectState | None


@dataclass(frozen=True, slots=True)
class Version:
    """What an object is called by a request that replaces this object and no other.

    etag : by S3 and Azure
    number : by Google's store
    """

    etag: str
    number: str


@dataclass(frozen=True, slots=True)
class Head:
    """What a store says of an object besides its bytes.

    state : of the object
    version : of the object
    since : time of the last change by the clock of the server, seconds
    notes : what was noted when it was put, by name
    """

    state: ObjectState
    version: Version
    since: float
    notes: Mapping[str, str]


class ChangedError(Exception):
    """The object is not in the state that was asked for."""


class NoRangesError(Exception):
    """The server gives whole files only."""


class Bucket:
    """The objects of one bucket, or the files of one server.

    Safe to use from many threads, and in processes that are forked. Pickles: credentials are looked up anew.

    Parameters
    ----------
    url
        Any address in it.
    """

    def __init__(self, url: Url) -> None:
        self.root = url.at("")
        self._pid = -1
        self._store: Any = None
        self._conditions = True

    def __reduce__(self) -> tuple[object, ...]:
        return bucket_of, (self.root,)

    @property
    def lists(self) -> bool:
        """Whether it can say which objects there are: web servers can't."""
        return self.root.scheme not in WEB

    def state(self, key: str) -> ObjectState | None:
        """Return the state of an object; None if there is none of this key."""
        obstore = library()
        try:
            return _state(obstore.head(self._opened(), key))
        except FileNotFoundError:
            return None
        except obstore.exceptions.BaseError as error:
            if isinstance(error, obstore.exceptions.NotFoundError):
                return None
            raise self._told(error, key) from None

    def read(self, key: str, start: int, length: int, state: ObjectState | None = None) -> bytes:
        """Return these bytes of an object, fewer where it ends.

        Parameters
        ----------
        key
            The object.
        start, length
            First byte, and how many; 1 or more.
        state
            The state that it must be in; None for any.

        Raises
        ------
        FileNotFoundError
            If there is no such object.
        ChangedError
            If it is in another state.
        NoRangesError
            If the server gives whole files only.
        MachineError
            If the server does not answer, or may not.
        """
        obstore = library()
        options: dict[str, Any] = {"range": (start, start + length)}
        if state is not None and state.etag and not state.etag.startswith("W/"):  # a weak one matches nothing
            options["if_match"] = state.etag
        try:
            result = obstore.get(self._opened(), key, options=options)
            if state is not None and _state(result.meta) != state:
                raise ChangedError(key)
            return bytes(result.bytes())
        except FileNotFoundError:
            raise self._absent(key) from None
        except obstore.exceptions.PreconditionError:
            raise ChangedError(key) from None
        except obstore.exceptions.NotSupportedError:
            raise NoRangesError(key) from None
        except obstore.exceptions.BaseError as error:
            raise self._told(error, key) from None

    def read_many(self, key: str, ranges: Sequence[tuple[int, int]], state: ObjectState | None = None) -> list[bytes]:
        """Return the bytes of each (start, length), fetched at once; raises as `read` does."""
        read = partial(self._read_range, key, state)
        if len(ranges) < 2:
            return [read(one) for one in ranges]
        with ThreadPoolExecutor(min(AT_ONCE, len(ranges))) as pool:
            return list(pool.map(read, ranges))

    def _read_range(self, key: str, state: ObjectState | None, one: tuple[int, int]) -> bytes:
        return self.read(key, *one, state)

    def whole(self, key: str) -> bytes:
        """Return all bytes of an object; raises as `read` does."""
        obstore = library()
        try:
            return bytes(obstore.get(self._opened(), key).bytes())
        except FileNotFoundError:
            raise self._absent(key) from None
        except obstore.exceptions.BaseError as error:
            raise self._told(error, key) from None

    def level(self, folder: str) -> list[Entry]:
        """Return what lies in a folder, by key; nothing below its folders.

        Raises
        ------
        UsageError
            If the server lists nothing.
        MachineError
            If it does not answer, or may not.
        """
        self._refuse_web()
        obstore = library()
        try:
            found = obstore.list_with_delimiter(self._opened(), prefix=f"{folder}/" if folder else None)
        except (FileNotFoundError, obstore.exceptions.BaseError) as error:
            raise self._not_listed(error, folder) from None
        entries = [Entry(meta["path"], _state(meta)) for meta in found["objects"] if _is_below(meta["path"], folder)]
        entries += [Entry(prefix.strip("/"), None) for prefix in found["common_prefixes"]]
        return sorted(entries, key=lambda entry: entry.key)

    def below(self, folder: str) -> Iterator[Entry]:
        """Yield every object in a folder and below it, in the server's order; raises as `level` does."""
        self._refuse_web()
        obstore = library()
        try:
            for chunk in obstore.list(self._opened(), prefix=f"{folder}/" if folder else None, chunk_size=1000):
                for meta in chunk:
                    if _is_below(meta["path"], folder):
                        yield Entry(meta["path"], _state(meta))
        except (FileNotFoundError, obstore.exceptions.BaseError) as error:
            raise self._not_listed(error, folder) from None

    def head(self, key: str) -> Head | None:
        """Return what the store says of an object; None if there is none of this key."""
        obstore = library()
        try:
            found = obstore.get(self._opened(), key, options={"head": True})
        except FileNotFoundError:
            return None
        except obstore.exceptions.BaseError as error:
            if isinstance(error, obstore.exceptions.NotFoundError):
                return None
            raise self._told(error, key) from None
        since = found.meta["last_modified"].timestamp()
        return Head(_state(found.meta), _version(found.meta), since, dict(found.attributes))

    def put(
        self,
        key: str,
        data: bytes | Path,
        *,
        new: bool = False,
        instead: Version | None = None,
        notes: Mapping[str, str] = MappingProxyType({}),
    ) -> Version:
        """Write an object, which appears whole or not at all; return its version.

        Parameters
        ----------
        key
            Its key.
        data
            Its bytes, or a file with them. A file of more than one piece goes in parts, which appear together.
        new
            Refuse to replace an object that is there. The server does that in the same request; one that can't, and
            of a file that goes in parts any, is asked just before.
        instead
            The version of the object that it replaces, of no other; None to replace any.
        notes
            What `head` is to tell of it, by names of small letters.

        Raises
        ------
        FileExistsError
            If `new` is asked for and it is there.
        ChangedError
            If there is another version than it is to replace, or none.
        MachineError
            If the server does not take it.
        """
        obstore = library()
        options: dict[str, Any] = {"attributes": dict(notes)} if notes else {}
        in_parts = isinstance(data, Path) and data.stat().st_size > LARGEST
        if new and (in_parts or not self._conditions):
            if self.state(key) is not None:
                raise self._taken(key)
        elif new or (instead and self._conditions):
            options["mode"] = "create" if instead is None else _condition(instead)
        try:
            done = obstore.put(self._opened(), key, data, chunk_size=PIECE, max_concurrency=AT_ONCE, **options)
        except obstore.exceptions.AlreadyExistsError:
            raise self._taken(key) from None
        except FileNotFoundError:
            raise (ChangedError(key) if instead else self._no_bucket()) from None
        except obstore.exceptions.PreconditionError:
            if instead and instead.etag.startswith('"'):  # Ceph 16 knows ETags of PUT without quotes only
                return self.put(key, data, instead=replace(instead, etag=instead.etag.strip('"')), notes=notes)
            raise ChangedError(key) from None
        except obstore.exceptions.BaseError as error:
            if "mode" in options and _can_not(error):
                self._conditions = False
                return self.put(key, data, new=new, instead=instead, notes=notes)
            raise self._told(error, key) from None
        return _version(done)

    def copy(self, source: str, key: str) -> None:
        """Give an object's bytes and notes to another key; the server copies them. What is there is replaced."""
        obstore = library()
        try:
            obstore.copy(self._opened(), source, key, overwrite=True)
        except FileNotFoundError:
            raise self._absent(source) from None
        except obstore.exceptions.BaseError as error:
            raise self._told(error, key) from None

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; those that are not there are no fault."""
        obstore = library()
        try:
            obstore.delete(self._opened(), list(keys))
        except FileNotFoundError:
            return
        except obstore.exceptions.BaseError as error:
            raise self._told(error, keys[0]) from None

    def _opened(self) -> Any:
        """Return the library's store, opened in this process."""
        if self._pid != os.getpid():
            self._store = _open(self.root)
            self._pid = os.getpid()
        return self._store

    def _refuse_web(self) -> None:
        if not self.lists:
            hint = "give the address of one file"
            raise UsageError(f"{self.root} is a web server, which can't say which files it has", hint=hint)

    def _not_listed(self, error: Exception, folder: str) -> MachineError:
        """Return the error of a list: 404 is said of the bucket, since a folder without objects is an empty list."""
        if isinstance(error, library().exceptions.InvalidPathError):
            detail = "an object below has a key that can't be listed: with '//', '/./', '/../' or control characters"
            return MachineError(
                f"{self.root.at(folder)}: {detail}", hint="give another folder, or move that object away"
            )
        absent = isinstance(error, FileNotFoundError) or "404 Not Found" in str(error)
        return self._no_bucket() if absent else self._told(error, folder)

    def _no_bucket(self) -> MachineError:
        hint = "look whether its name and the endpoint are right, or make it first; ilsvrc makes no buckets"
        return MachineError(f"there is no bucket {self.root}", hint=hint)

    def _taken(self, key: str) -> FileExistsError:
        return FileExistsError(errno.EEXIST, "there is an object already", str(self.root.at(key)))

    def _absent(self, key: str) -> FileNotFoundError:
        return FileNotFoundError(errno.ENOENT, "there is no such object", str(self.root.at(key)))

    def _told(self, error: Exception, key: str) -> MachineError:
        """Return the error of a request in our words; those of the library may hold the request itself."""
        exceptions = library().exceptions
        where = self.root.at(key)
        refused = isinstance(error, (exceptions.UnauthenticatedError, exceptions.PermissionDeniedError))
        if refused or re.search(r"\b40[13] [FU]", _reason(error)):
            hint = (
                "credentials come from the environment, a profile or the machine's role: docs/how-to/object-stores.md"
            )
            return MachineError(f"{where}: the server refuses these credentials, or this access", hint=hint)
        hint = "look whether the address and the endpoint are right, then run the same command again: it resumes"
        return NetworkError(f"{where}: {_reason(error)}", hint=hint)


_BUCKETS: dict[Url, Bucket] = {}


def bucket_of(url: Url) -> Bucket:
    """Return the bucket of an address; one for all its objects."""
    return _BUCKETS.setdefault(url.at(""), Bucket(url))


def _open(root: Url) -> Any:
    """Open a bucket with what the environment says of it."""
    obstore = library()
    retry = {"max_retries": RETRIES, "retry_timeout": PATIENCE}
    client: dict[str, Any] = {"connect_timeout": timedelta(seconds=10), "timeout": timedelta(minutes=10)}
    options = s3_options() if root.scheme == "s3" else {}
    if root.scheme == "http" or str(options.get("endpoint")).startswith("http://") or _allows_http(root):
        client["allow_http"] = True
    try:
        return obstore.store.from_url(str(root), client_options=client, retry_config=retry, **options)
    except (obstore.exceptions.BaseError, ValueError) as error:
        hint = "variables for account, keys and endpoint are missing or wrong: docs/how-to/object-stores.md"
        raise MachineError(f"{root} can't be opened: {_reason(error)}", hint=hint) from None


def _allows_http(root: Url) -> bool:
    """Whether the environment allows plain http: the library looks there only if it is given no client options."""
    prefix = {"s3": "AWS", "gs": "GOOGLE", "az": "AZURE"}.get(root.scheme, "")
    return os.environ.get(f"{prefix}_ALLOW_HTTP", "").lower() in ("1", "true")


def _state(meta: Any) -> ObjectState:
    changed = int(meta["last_modified"].timestamp() * 10**9)
    return ObjectState(int(meta["size"]), str(meta["e_tag"] or ""), 0 if meta["e_tag"] else changed)


def _is_below(key: str, folder: str) -> bool:
    """Whether a listed object lies in a folder, and is not the mark `folder/` that consoles put for an empty one."""
    return not folder or key.startswith(f"{folder}/")


def _version(meta: Any) -> Version:
    return Version(meta["e_tag"] or "", meta["version"] or "")


def _condition(version: Version) -> dict[str, str]:
    """Return what the library calls the version of an object that is to be replaced."""
    told = {"e_tag": version.etag, "version": version.number}
    return {name: text for name, text in told.items() if text}


def _can_not(error: Exception) -> bool:
    """Whether a server refuses a request for its condition, which it does not know."""
    unknown = isinstance(error, library().exceptions.NotSupportedError)
    return unknown or "501 Not Implemented" in str(error)


_STATUS = re.compile(r"\b([45]\d\d [A-Z][A-Za-z ]+)")
_RETRIED = re.compile(r"after (\d+) retries")
_CAUSES = (
    (re.compile(r"dns error|failed to lookup", re.IGNORECASE), "the server's name is not known"),
    (re.compile(r"connection ?refused", re.IGNORECASE), "nobody answers there (connection refused)"),
    (re.compile(r"certificate", re.IGNORECASE), "the server's certificate is not trusted"),
    (
        re.compile(r"InvalidContentType|CorruptMessage"),
        "the server does not speak TLS there: http:// in place of https://?",
    ),
    (re.compile(r"timed ?out", re.IGNORECASE), "the server did not answer in time"),
)


def _reason(error: Exception) -> str:
    """Return why a request failed: the status or the cause alone, never the request, which may hold credentials."""
    text = str(error)
    status = _STATUS.search(text.partition("Debug source")[0])
    causes = [words for pattern, words in _CAUSES if pattern.search(text)]
    failed = f"the request failed ({type(error).__name__})"
    reason = f"the server answers {status[1].strip()}" if status else next(iter(causes), failed)
    if status and status[1].startswith("404"):  # of an object it would have been FileNotFoundError
        reason = "there is no such bucket on this server"
    tried = _RETRIED.search(text)
    return f"{reason}, after {tried[1]} retries" if tried and tried[1] != "0" else reason
