"""Keep an archive's index beside it, and never believe one that does not fit."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from ilsvrc.archive.beside import folders, writable_folder
from ilsvrc.archive.build import build_index
from ilsvrc.archive.index import FORMAT, Index, load, save
from ilsvrc.archive.source import ByteSource
from ilsvrc.events import Listener, silent
from ilsvrc.files import locked, written_whole


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
