"""Keep an archive's index beside it, and never believe one that does not fit."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pyarrow as pa

from ilsvrc.archive.build import build_index
from ilsvrc.archive.index import FORMAT, Index, load, save
from ilsvrc.archive.source import ByteSource
from ilsvrc.errors import MachineError
from ilsvrc.events import Listener, silent
from ilsvrc.files import OWN_FOLDER, locked, written_whole


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


def needed_folder(archive: Path) -> Path:
    """Return the folder to write to.

    Raises
    ------
    MachineError
        If there is none.
    """
    folder = writable_folder(archive)
    if folder is None:
        detail = f"neither {folders(archive)[0]} nor {folders(archive)[1]} can be written"
        raise MachineError(detail, hint="set XDG_CACHE_HOME to a folder that can be written")
    return folder


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
