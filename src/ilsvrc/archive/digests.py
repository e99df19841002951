"""The digest of every image, kept beside an archive's index and in its order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ilsvrc.archive.beside import folders, writable_folder
from ilsvrc.archive.index import Index
from ilsvrc.archive.source import ByteSource
from ilsvrc.errors import MachineError
from ilsvrc.files import written_whole

FORMAT = "1"
"""Version of the file format; a file of another version is as none."""

WIDTH = 16
"""Bytes of an xxh3_128."""

SCHEMA = pa.schema([("xxh3_128", pa.binary(WIDTH))])

Digests = npt.NDArray[np.uint8]
"""xxh3_128 of every image in canonical (big-endian) order, shape (N, 16), uint8; row i is row i of the index."""


def stored_digests(source: ByteSource, index: Index) -> Digests | None:
    """Return the memory-mapped digests of an archive if they are there, whole, and of its present state."""
    wanted = _metadata(source, index)
    for folder in folders(source.path):
        try:
            table = pa.ipc.open_file(pa.memory_map(str(folder / _name(source.path)))).read_all()
        except (OSError, ValueError, pa.ArrowException):
            continue
        fits = table.schema.equals(SCHEMA, check_metadata=False) and table.schema.metadata == wanted
        if fits and table.num_rows == len(index):
            return _rows(table.combine_chunks().column(0))
    return None


def store_digests(source: ByteSource, index: Index, digests: Digests) -> Path:
    """Keep the digests of an archive beside its index; return the file."""
    values = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(WIDTH), len(index), [None, pa.py_buffer(digests.tobytes())]
    )
    table = pa.Table.from_arrays([values], schema=SCHEMA.with_metadata(_metadata(source, index)))
    path = digest_folder(source.path) / _name(source.path)
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


def _metadata(source: ByteSource, index: Index) -> dict[bytes, bytes]:
    """Return what a file of digests says of its archive: another state, or another index, makes it void."""
    return {
        b"format": FORMAT.encode(),
        b"size": str(source.fingerprint.size).encode(),
        b"mtime_ns": str(source.fingerprint.mtime_ns).encode(),
        b"columns": index.fingerprint.encode(),
    }


def _name(archive: Path) -> str:
    return f"{archive.name}.digests.arrow"
