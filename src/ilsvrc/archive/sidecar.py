"""Keep results about an archive in files beside it, and believe each file only while it is valid.

There are three files: the index, the digests of the images, and the record of the archive's verification. Each names
the state of the archive that it was made from, and is valid for that state alone. A file counts if it is a regular
file, if the user or root owns it, and if ilsvrc could have written all of it. Any other file is ignored and left
where it lies.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import mmap
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ilsvrc.archive.build import build_index
from ilsvrc.archive.find import find_archives
from ilsvrc.archive.index import FORMAT, SCHEMA, Index, could_be_built, load, save
from ilsvrc.archive.remote import StoreSource, source_of, state_from, state_of
from ilsvrc.archive.source import ArchiveSource, State
from ilsvrc.errors import IlsvrcError, MachineError
from ilsvrc.events import Listener, silent
from ilsvrc.facts import Digest
from ilsvrc.files import (
    OWN_FOLDER,
    locked,
    make_own_folder,
    open_own,
    remove_leftovers_of,
    write_text,
    written_whole,
)
from ilsvrc.paths import given_location
from ilsvrc.stores.path import Location

_INDEX, _LOCK, _DIGESTS, _RECORD = ".arrow", ".lock", ".digests.arrow", ".verified.json"

T = TypeVar("T")

_LARGEST = 1 << 29
"""A file of more bytes was not written by ilsvrc: the index of the whole train archive has 52 MB."""


def folders(archive: Location) -> tuple[Path, ...]:
    """Return the folders that may hold the files about an archive: beside it, and in the user's cache.

    Of an archive in a store it is the cache alone: who wrote an object is not known, so nothing there is believed but
    an index, which is compared with what the archive could be (see `kept`).
    """
    parent = archive.parent.resolve()
    cached = _cache() / hashlib.sha256(os.fsencode(str(parent))).hexdigest()[:16]
    return (parent / OWN_FOLDER, cached) if isinstance(parent, Path) else (cached,)


def _cache() -> Path:
    """Return the user's cache folder; below the folder for temporary files if the user has no home."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    if Path(given).is_absolute():
        return Path(given, "ilsvrc")
    try:
        return Path.home() / ".cache" / "ilsvrc"
    except RuntimeError:
        return Path(tempfile.gettempdir(), f"ilsvrc-{os.geteuid()}")


def writable_folder(archive: Location, *suffixes: str) -> Path | None:
    """Return the folder to write to: the one beside the archive, else the one in the user's cache, else None.

    Parameters
    ----------
    archive
        The archive.
    suffixes
        Endings of the files to be written. A folder in which one of these names is a link, or a file of another
        user's, is passed over.
    """
    for folder in folders(archive):
        try:
            _make(folder)
            own = all(_is_own_or_absent(folder / f"{archive.name}{suffix}") for suffix in suffixes)
        except (OSError, MachineError):
            continue
        if own and os.access(folder, os.W_OK):
            return folder
    return None


def _make(folder: Path) -> None:
    """Create a folder of ours.

    Raises
    ------
    OSError, MachineError
        If it can't be created, or the cache, which may lie in the folder for temporary files, is another user's.
    """
    if folder.name == OWN_FOLDER:
        make_own_folder(folder)
        return
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() not in (0, folder.parent.stat().st_uid):
        raise MachineError(f"{folder.parent} belongs to another user")


def _is_own_or_absent(path: Path) -> bool:
    """Whether writing this file replaces nothing but a regular file of the user's own."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return True
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()


def _stored(archive: Location, suffix: str) -> Iterator[pa.Buffer]:
    """Yield the contents of the files with this ending that can be trusted: beside the archive, then in the cache.

    A file is read into memory whole. A mapped file could be changed after it was proved, and would end the process
    with a bus error if it were cut short.
    """
    for folder in folders(archive):
        try:
            data = _trusted(folder / f"{archive.name}{suffix}")
        except (OSError, MachineError):
            continue
        if data is not None:
            yield data


def _trusted(path: Path) -> pa.Buffer | None:
    """Return the contents of a file that the user or root owns; None if another user does, or the size is wrong."""
    fd = open_own(path, os.O_RDONLY)
    with open(fd, "rb", buffering=0) as file:
        status = os.fstat(fd)
        if status.st_uid not in (os.geteuid(), 0) or not 0 < status.st_size <= _LARGEST:
            return None
        memory = mmap.mmap(-1, status.st_size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            with contextlib.suppress(OSError):  # a kernel may be built without huge pages
                memory.madvise(mmap.MADV_HUGEPAGE)  # a fifth of the time that small pages take at full scale
        return pa.py_buffer(memory).slice(0, file.readinto(memory))


def kept(
    file: Location,
    *,
    read: Callable[[pa.Buffer], T | None],
    build: Callable[[], T],
    write: Callable[[T, Path], None],
    suffix: str = _INDEX,
) -> T:
    """Return a value that is kept in a file beside an archive; build and keep it first if no kept file is valid.

    Of several processes that ask at once, one builds and the others wait for it.

    Parameters
    ----------
    file
        The archive; for a form of many files, a path in their folder that names the split.
    read
        Returns the value in a file's bytes, or None if they are damaged, stale, or not what `write` would write.
    build
        Makes the value.
    write
        Writes it to a path.
    suffix
        Ending of the kept file's name, after the archive's name.
    """
    stored = _first(file, suffix, read)
    if stored is not None:
        return stored
    folder = writable_folder(file, suffix, _LOCK)
    if folder is None:
        value = build()
        _publish(file, suffix, value, write)
        return value
    with locked(folder / f"{file.name}{_LOCK}"):
        stored = _first(file, suffix, read)
        if stored is not None:
            return stored
        remove_leftovers_of(folder / f"{file.name}{suffix}")
        value = build()
        if not _publish(file, suffix, value, write):
            with written_whole(folder / f"{file.name}{suffix}") as beside:
                write(value, beside)
        return value


def _first(file: Location, suffix: str, read: Callable[[pa.Buffer], T | None]) -> T | None:
    """Return the first valid value: beside the archive, then in the user's cache, then beside it in its store."""
    found = itertools.chain(_stored(file, suffix), _published(file, suffix))
    return next((value for data in found if (value := read(data)) is not None), None)


def _published(file: Location, suffix: str) -> Iterator[pa.Buffer]:
    """Yield the contents of the object beside an archive in a store, if there is one."""
    if isinstance(file, Path):
        return
    try:
        source = StoreSource(file.parent / OWN_FOLDER / f"{file.name}{suffix}")
        if 0 < source.size <= _LARGEST:
            yield pa.py_buffer(source.read(0, source.size))
    except IlsvrcError:  # it is not there, may not be read, or is being replaced: the index is built again
        return


def _publish(file: Location, suffix: str, value: T, write: Callable[[T, Path], None]) -> bool:
    """Keep a value beside an archive in a store; return whether it may be written there."""
    if isinstance(file, Path) or not file.bucket.lists:
        return False
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "value")
        write(value, path)
        try:
            file.bucket.put((file.parent / OWN_FOLDER / f"{file.name}{suffix}").key, path)
        except MachineError:
            return False
    return True


def open_index(source: ArchiveSource, listener: Listener = silent) -> Index:
    """Return the index of an archive; build and keep it first if no kept index is valid."""

    def write(index: Index, path: Path) -> None:
        save(index.table, path, _metadata(source, index))

    return kept(
        source.path,
        read=lambda data: _index(data, source),
        build=lambda: build_index(source, listener),
        write=write,
    )


def stored_index(source: ArchiveSource) -> Index | None:
    """Return the stored index of an archive if there is one that is whole and of the archive's present state."""
    return _first(source.path, _INDEX, lambda data: _index(data, source))


def _index(data: pa.Buffer, source: ArchiveSource) -> Index | None:
    """Return the index in a file's bytes, or None if it is damaged, stale, of another archive, or impossible."""
    try:
        table, metadata = load(data, SCHEMA)
        index = Index(source.path.name, metadata.get(b"split", b"").decode("ascii"), table)
        fits = metadata == _metadata(source, index) and could_be_built(index, source.state.size)
    except (OSError, ValueError, pa.ArrowException):
        return None
    return index if fits else None


def _metadata(source: ArchiveSource, index: Index) -> dict[bytes, bytes]:
    """Return the metadata of an index file."""
    return _encoded(format=FORMAT, archive=index.archive, split=index.split, **_bound(source, index))


def _bound(source: ArchiveSource, index: Index) -> dict[str, object]:
    """Return the metadata that bind a file to one state of the archive and to the identity of its index."""
    return {**asdict(source.state), "columns": index.identity}


def _encoded(**values: object) -> dict[bytes, bytes]:
    """Return metadata as bytes, as Arrow keeps them; file names may hold bytes that are no valid text."""
    return {key.encode(): str(value).encode("utf-8", "surrogateescape") for key, value in values.items()}


DIGESTS_FORMAT = "2"
"""Version of the file format; a file of another version is ignored."""

WIDTH = 16
"""Bytes of an xxh3_128."""

DIGESTS_SCHEMA = pa.schema([("xxh3_128", pa.binary(WIDTH))])

Digests = npt.NDArray[np.uint8]
"""xxh3_128 of every image in canonical (big-endian) order, shape (N, 16), uint8; row i is row i of the index."""


def stored_digests(source: ArchiveSource, index: Index) -> Digests | None:
    """Return the digests of an archive's images if they are stored, whole, and of the archive's present state."""
    wanted = _digests_metadata(source, index)
    for data in _stored(source.path, _DIGESTS):
        try:
            table, metadata = load(data, DIGESTS_SCHEMA)
        except (OSError, ValueError, pa.ArrowException):
            continue
        if metadata == wanted and table.num_rows == len(index):
            return _rows(table.combine_chunks().column(0))
    return None


def store_digests(source: ArchiveSource, index: Index, digests: Digests) -> Path:
    """Store the digests of an archive's images beside its index; return the path of the file.

    Of several processes that record them at once, only the one that holds the lock in `digest_folder` calls this.
    """
    values = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(WIDTH), len(index), [None, pa.py_buffer(digests.tobytes())]
    )
    table = pa.Table.from_arrays([values], schema=DIGESTS_SCHEMA)
    path = digest_folder(source.path) / f"{source.path.name}{_DIGESTS}"
    remove_leftovers_of(path)
    with written_whole(path) as beside:
        save(table, beside, _digests_metadata(source, index))
    return path


def digest_folder(archive: Location) -> Path:
    """Return the folder in which to store the digests of an archive's images.

    Raises
    ------
    MachineError
        If nothing can be written beside the archive, nor in the user's cache.
    """
    folder = writable_folder(archive, _DIGESTS, ".digests.lock")
    if folder is None:
        hint = "make the archive's folder writable, or set XDG_CACHE_HOME to a folder that is"
        raise MachineError(f"{archive}: there is no writable folder for its digests", hint=hint)
    return folder


def _rows(column: pa.ChunkedArray) -> Digests:
    if not column.num_chunks:
        return np.empty((0, WIDTH), np.uint8)
    array = column.chunk(0)
    flat = np.frombuffer(array.buffers()[1], np.uint8, len(array) * WIDTH, array.offset * WIDTH)
    return flat.reshape(-1, WIDTH)


def _digests_metadata(source: ArchiveSource, index: Index) -> dict[bytes, bytes]:
    """Return the metadata of a file of digests."""
    return _encoded(format=DIGESTS_FORMAT, **_bound(source, index))


@dataclass(frozen=True, slots=True)
class Verified:
    """An archive whose digest was found to be right.

    archive : file name
    state : the state in which it was hashed; in any other state it is hashed again
    digest : such as md5:1d675b47d978889d74fa0da5fadfb00e
    against : where the expected digest came from: `official` or `MD5SUMS`
    identity : of the archive's index, or empty if it had none yet when the archive was hashed
    """

    archive: str
    state: State
    digest: str
    against: str
    identity: str = ""


def recorded(archive: Location, identity: str = "") -> Verified | None:
    """Return the record of an archive's verification if the archive is still in the state that was verified.

    Parameters
    ----------
    archive
        The archive.
    identity
        The identity of its index: a record of another identity does not count. Empty if there is no index yet.
    """
    state = state_of(archive)
    for data in _stored(archive, _RECORD):
        found = _verified(data)
        if (
            found
            and (found.archive, found.state) == (archive.name, state)
            and (not identity or found.identity in ("", identity))
        ):
            return found
    return None


def record(archive: Location, digest: Digest, against: str, state: State, identity: str = "") -> Verified:
    """Record that an archive in this state has the expected digest; store nothing if no folder can be written."""
    verified = Verified(archive.name, state, str(digest), against, identity)
    folder = writable_folder(archive, _RECORD, _LOCK)
    if folder:
        path = folder / f"{archive.name}{_RECORD}"
        with locked(folder / f"{archive.name}{_LOCK}"):
            remove_leftovers_of(path)
            write_text(path, json.dumps(asdict(verified), indent=2) + "\n")
    return verified


def _verified(data: pa.Buffer) -> Verified | None:
    """Return the record in a file's bytes; None if `record` can't have written them."""
    try:
        found = json.loads(data.to_pybytes())
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("state"), dict):
        return None
    state: dict[str, Any] = found.pop("state")
    whole = all(type(value) is (str if name == "etag" else int) for name, value in state.items()) and all(
        type(text) is str for text in found.values()
    )
    try:
        return Verified(**found, state=state_from(state)) if whole else None
    except TypeError:  # a field is missing, or one too many
        return None


def index(source: Location | str, listener: Listener = silent) -> list[Index]:
    """Return the index of every image archive in a folder, or of the archive `source`.

    Where no valid index is stored, it is built and stored beside the archive.

    Raises
    ------
    IlsvrcError
        UsageError if there is no archive; ArchiveError naming archive, member and byte offset of a fault.
    """
    archives = find_archives(given_location(source), ("train", "val", "test"))
    return [open_index(source_of(archive), listener) for archive in archives]
