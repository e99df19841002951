"""Keep an archive's index beside it, and never believe one that does not fit."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ilsvrc.archive.build import build_index
from ilsvrc.archive.find import find_archives
from ilsvrc.archive.index import FORMAT, Index, load, save
from ilsvrc.archive.source import ByteSource, FileSource, Fingerprint
from ilsvrc.errors import MachineError
from ilsvrc.events import Listener, silent
from ilsvrc.facts import Digest
from ilsvrc.files import OWN_FOLDER, locked, write_text, written_whole
from ilsvrc.paths import given_path


def folders(archive: Path) -> tuple[Path, Path]:
    """Return where things about an archive are kept: beside it, or else in the user's cache folder."""
    parent = archive.parent.resolve()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return parent / OWN_FOLDER, cache / "ilsvrc" / hashlib.sha256(bytes(parent)).hexdigest()[:16]


def writable_folder(archive: Path) -> Path | None:
    """Return the folder to write to: the user's cache where the archive's own can't be written, or None."""
    for folder in folders(archive):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    return None


def open_index(source: ByteSource, listener: Listener = silent) -> Index:
    """Return the memory-mapped index of an archive, building and storing it first where there is none that fits.

    Of several processes that open an archive at once, one builds the index and the others wait for it.
    """
    stored = stored_index(source)
    if stored is not None:
        return stored
    folder = writable_folder(source.path)
    if folder is None:
        return build_index(source, listener)
    with locked(folder / f"{source.path.name}.lock"):
        stored = stored_index(source)
        if stored is not None:
            return stored
        index = build_index(source, listener)
        path = folder / f"{source.path.name}.arrow"
        with written_whole(path) as beside:
            save(index, beside, _metadata(source, index))
        return _read(path, source) or index


def stored_index(source: ByteSource) -> Index | None:
    """Return the stored index of an archive if it is there, whole, and of the archive's present state."""
    for folder in folders(source.path):
        index = _read(folder / f"{source.path.name}.arrow", source)
        if index is not None:
            return index
    return None


def _read(path: Path, source: ByteSource) -> Index | None:
    """Return the index in a file, or None where it is missing, damaged, stale or of another archive.

    The digest of its columns is the whole proof, since every opening pays for it: an index that has the digest it was
    stored with is the one that was built, and the walk that built it proved that it fits the archive.
    """
    try:
        table, metadata = load(path)
        index = Index(source.path.name, metadata.get("split", ""), table)
        return index if metadata == _metadata(source, index) else None
    except (OSError, ValueError, pa.ArrowException):
        return None


def _metadata(source: ByteSource, index: Index) -> dict[str, str]:
    """Return what an index file says of its archive and of itself."""
    return {
        "format": FORMAT,
        "archive": index.archive,
        "split": index.split,
        "size": str(source.fingerprint.size),
        "mtime_ns": str(source.fingerprint.mtime_ns),
        "columns": index.fingerprint,
    }


DIGESTS_FORMAT = "1"
"""Version of the file format; a file of another version is as none."""

WIDTH = 16
"""Bytes of an xxh3_128."""

DIGESTS_SCHEMA = pa.schema([("xxh3_128", pa.binary(WIDTH))])

Digests = npt.NDArray[np.uint8]
"""xxh3_128 of every image in canonical (big-endian) order, shape (N, 16), uint8; row i is row i of the index."""


def stored_digests(source: ByteSource, index: Index) -> Digests | None:
    """Return the memory-mapped digests of an archive if they are there, whole, and of its present state."""
    wanted = _digests_metadata(source, index)
    for folder in folders(source.path):
        try:
            table = pa.ipc.open_file(pa.memory_map(str(folder / _digests_name(source.path)))).read_all()
        except (OSError, ValueError, pa.ArrowException):
            continue
        fits = table.schema.equals(DIGESTS_SCHEMA, check_metadata=False) and table.schema.metadata == wanted
        if fits and table.num_rows == len(index):
            return _rows(table.combine_chunks().column(0))
    return None


def store_digests(source: ByteSource, index: Index, digests: Digests) -> Path:
    """Keep the digests of an archive beside its index; return the file."""
    values = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(WIDTH), len(index), [None, pa.py_buffer(digests.tobytes())]
    )
    table = pa.Table.from_arrays([values], schema=DIGESTS_SCHEMA.with_metadata(_digests_metadata(source, index)))
    path = digest_folder(source.path) / _digests_name(source.path)
    with written_whole(path) as beside, pa.ipc.new_file(str(beside), table.schema) as writer:
        writer.write_table(table)
    return path


def digest_folder(archive: Path) -> Path:
    """Return the folder that the digests of an archive are kept in.

    Raises
    ------
    MachineError
        If nothing can be written beside the archive, nor in the user's cache.
    """
    folder = writable_folder(archive)
    if folder is None:
        hint = "let its folder be written, or set XDG_CACHE_HOME to one that can be"
        raise MachineError(f"{archive}: there is no folder to keep its digests in", hint=hint)
    return folder


def _rows(column: pa.ChunkedArray) -> Digests:
    if not column.num_chunks:
        return np.empty((0, WIDTH), np.uint8)
    array = column.chunk(0)
    flat = np.frombuffer(array.buffers()[1], np.uint8, len(array) * WIDTH, array.offset * WIDTH)
    return flat.reshape(-1, WIDTH)


def _digests_metadata(source: ByteSource, index: Index) -> dict[bytes, bytes]:
    """Return what a file of digests says of its archive: another state, or another index, makes it void."""
    return {
        b"format": DIGESTS_FORMAT.encode(),
        b"size": str(source.fingerprint.size).encode(),
        b"mtime_ns": str(source.fingerprint.mtime_ns).encode(),
        b"columns": index.fingerprint.encode(),
    }


def _digests_name(archive: Path) -> str:
    return f"{archive.name}.digests.arrow"


@dataclass(frozen=True, slots=True)
class Verified:
    """An archive whose digest was found to be right.

    archive : file name
    size, mtime_ns : the state it had; another state makes this void
    digest : such as md5:1d675b47d978889d74fa0da5fadfb00e
    against : where the expected digest came from: `official` or `MD5SUMS`
    """

    archive: str
    size: int
    mtime_ns: int
    digest: str
    against: str


def recorded(archive: Path) -> Verified | None:
    """Return what was recorded of an archive, if it is still in the state that was verified."""
    state = Fingerprint.of(archive)
    for folder in folders(archive):
        try:
            found = Verified(**json.loads((folder / _record_name(archive)).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            continue
        if (found.archive, found.size, found.mtime_ns) == (archive.name, state.size, state.mtime_ns):
            return found
    return None


def record(archive: Path, digest: Digest, against: str, state: Fingerprint) -> Verified:
    """Record that an archive in this state has the digest that it should have, if anything can be written."""
    verified = Verified(archive.name, state.size, state.mtime_ns, str(digest), against)
    folder = writable_folder(archive)
    if folder:
        write_text(folder / _record_name(archive), json.dumps(asdict(verified), indent=2) + "\n")
    return verified


def _record_name(archive: Path) -> str:
    return f"{archive.name}.verified.json"


def index(source: Path | str, listener: Listener = silent) -> list[Index]:
    """Return the index of every image archive in a folder, or of the one archive that `source` is.

    An index that is not there yet, or does not fit its archive, is built and stored beside the archive.

    Raises
    ------
    IlsvrcError
        UsageError if there is no archive; ArchiveError naming archive, member and byte offset of a fault.
    """
    archives = find_archives(given_path(source), ("train", "val", "test"))
    return [open_index(FileSource(archive), listener) for archive in archives]
