"""Where every image of an archive lies, as columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from ilsvrc.archive.columns import are_named, lie_apart, text_of


def one_chunk(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array; without a copy if it has one chunk."""
    return (
        column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])
    )


def numbers(array: pa.Array) -> npt.NDArray[Any]:
    """Return an array of integers without nulls, shape (N,), without a copy.

    Arrow's own `to_numpy` imports pandas wherever that is installed: a second and 30 MB for every worker.
    """
    dtype = np.dtype(str(array.type))
    if not len(array):
        return np.empty(0, dtype)
    return np.frombuffer(array.buffers()[1], dtype, len(array), array.offset * dtype.itemsize)


FORMAT = "2"
"""Version of the file format; an index file of another version is rebuilt."""

_IDENTITY = "1"
"""Version of the identity. Manifests of prepared trees hold identities, so a new file format does not change it."""

SCHEMA = pa.schema([("name", pa.string()), ("label", pa.int16()), ("offset", pa.int64()), ("size", pa.int64())])


@dataclass(frozen=True, slots=True)
class Member:
    """One image in an archive.

    archive : file name of the archive
    name : file name of the image
    offset : first byte of its data in the archive file
    size : bytes
    """

    archive: str
    name: str
    offset: int
    size: int


@dataclass(frozen=True)
class Index(Sequence[Member]):
    """The images of one archive in catalog order: by label, then by name, as ImageFolder sorts them.

    archive : file name of the archive
    split : train, val or test
    table : Arrow table of SCHEMA, N rows
    """

    archive: str
    split: str
    table: pa.Table

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @overload
    def __getitem__(self, index: int) -> Member: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Member]: ...
    def __getitem__(self, index: int | slice) -> Member | Sequence[Member]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} of {len(self)} images")
        row = index % len(self)
        return Member(self.archive, self.name(row), int(self.offsets[row]), int(self.sizes[row]))

    def __iter__(self) -> Iterator[Member]:
        return (self[i] for i in range(len(self)))

    def part(self, rows: npt.NDArray[np.integer[Any]]) -> Index:
        """Return these rows alone, in this order."""
        return Index(self.archive, self.split, self.table.take(pa.array(rows)))

    def name(self, row: int) -> str:
        """Return the file name of the image in a row."""
        return str(self.names[row].as_py())

    @cached_property
    def names(self) -> pa.StringArray:
        """File names, N strings."""
        return one_chunk(self.table.column("name"))

    @cached_property
    def labels(self) -> npt.NDArray[np.int16]:
        """Labels, shape (N,), int16: indices of sorted wnids, -1 in the test split."""
        labels: npt.NDArray[np.int16] = self._numbers("label")
        return labels

    @cached_property
    def offsets(self) -> npt.NDArray[np.int64]:
        """First byte of each image in the archive file, shape (N,), int64."""
        return self._numbers("offset")

    @cached_property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Bytes of each image, shape (N,), int64."""
        return self._numbers("size")

    @cached_property
    def archive_order(self) -> npt.NDArray[np.int64]:
        """Rows in the order in which they lie in the archive, shape (N,), int64."""
        return np.argsort(self.offsets, kind="stable").astype(np.int64)

    @cached_property
    def identity(self) -> str:
        """xxh3_128 over all columns, in hex: equal for equal contents, in every copy and state of the archive.

        The archive's file name is part of it, and may hold bytes that are no valid text.
        """
        title = f"{_IDENTITY} {self.archive} {self.split} {len(self)}"
        digest = xxhash.xxh3_128(title.encode("utf-8", "surrogateescape"))
        for column in (*text_of(self.names), self.labels, self.offsets, self.sizes):
            digest.update(np.ascontiguousarray(column).data)
        return digest.hexdigest()

    def _numbers(self, name: str) -> npt.NDArray[Any]:
        return numbers(one_chunk(self.table.column(name)))


def save(table: pa.Table, path: Path, metadata: Mapping[bytes, bytes]) -> None:
    """Write a table as one Arrow IPC file with this metadata in its schema."""
    table = table.replace_schema_metadata(dict(metadata)).combine_chunks()
    with path.open("wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:  # Arrow itself opens no \udce4
        writer.write_table(table)


def load(data: pa.Buffer, schema: pa.Schema, *, proved: bool = False) -> tuple[pa.Table, dict[bytes, bytes]]:
    """Return the table in the bytes of an Arrow IPC file, and its metadata; if they are `proved`, without validation.

    Raises
    ------
    ValueError, OSError, pyarrow.ArrowException
        If the bytes are no Arrow IPC file, have another schema, are damaged, or hold a null.
    """
    with pa.ipc.open_file(data) as file:
        if not file.schema.equals(schema, check_metadata=False):
            raise ValueError("the columns differ from the schema")
        table = file.read_all()
    table.validate(full=not proved)
    if any(column.null_count for column in table.columns):
        raise ValueError("a value is missing")
    return table.replace_schema_metadata(None), table.schema.metadata or {}


def could_be_built(index: Index, size: int) -> bool:
    """Whether the walk of an archive of `size` bytes could have built this index; see `ilsvrc.archive.columns`."""
    with ThreadPoolExecutor(1) as pool:  # sorting the offsets, a third of the time, releases the interpreter's lock
        apart = pool.submit(lie_apart, index.offsets, index.sizes, size)
        return are_named(index.split, index.names, index.labels) and apart.result()
