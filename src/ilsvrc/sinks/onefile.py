"""The one file that a split becomes in some formats: where units write their images, and how it is completed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ilsvrc.files import OwnFolder
from ilsvrc.readers.reader import Int
from ilsvrc.sinks.formats.base import ShardFile
from ilsvrc.sinks.formats.whole import Layout, Whole, framed, images_in
from ilsvrc.sinks.staging import Staging, created, shared
from ilsvrc.tree.manifest import SHARDED

WHOLE = "whole"
"""Name in staging of the file."""

_COPY = "copy"
"""Its name while images are copied to it."""

_NOTE = pa.field("note", pa.binary())
NOTED = pa.schema([*SHARDED, _NOTE])
"""Columns of a part of the manifest of shards: what the format noted of each image too."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the images of each unit go in the file.

    layout : the places of all images
    begins : the first byte of each unit, and the end of the last
    """

    layout: Layout
    begins: tuple[int, ...]

    @classmethod
    def of(cls, format: Whole, sizes: Int, bounds: Sequence[int]) -> Places:  # noqa: A002  -- as in ShardSink
        """Return the places of images of these sizes, in order, in units that begin and end at these numbers."""
        layout = format.layout(sizes)
        return cls(layout, tuple(layout.begins(sizes)[np.array(bounds)].tolist()))


def noted(rows: pa.Table, notes: Sequence[bytes]) -> pa.Table:
    """Return lines of a manifest with what the format noted of each image."""
    return rows.append_column(_NOTE, pa.array(notes, _NOTE.type))


def completed(
    staged: Staging,
    format: Whole,  # noqa: A002  -- as in ShardSink
    places: Places | None,
    table: pa.Table,
    pieces: Sequence[Path],
) -> tuple[pa.Table, int, str]:
    """Complete the file in staging; return the manifest, the bytes of the file and their xxh3_128 in hex.

    Parameters
    ----------
    staged
        The staging folder.
    format
        Lays the file out.
    places
        Where images were written in the file; None if they were written to pieces.
    table
        The manifest with notes: where images were written.
    pieces
        The files with the images of each unit: of `places`, the one file.
    """
    layout, table, notes = laid_out(format, table)
    if places is None or places.layout != layout:
        table = _copied(staged, layout, table, pieces)
    table = _replaced(table, "shard", np.zeros(table.num_rows, np.int32))
    with OwnFolder(staged.folder) as folder:
        key = f"{staged.work}/{WHOLE}"
        end = int(layout.begins(table.column("size").to_numpy())[-1])
        file = ShardFile(shared(folder, key), staged.folder / key, end)
        try:
            layout.complete(file, table, notes, staged.split)
            size, digest = file.end()
            file.sync()
        finally:
            file.close()
    return table, size, digest


def laid_out(format: Whole, table: pa.Table) -> tuple[Layout, pa.Table, bytes]:  # noqa: A002  -- as in ShardSink
    """Return the places of all images, the manifest without the notes in it, and the notes, one after the other."""
    notes = b"".join(b"".join(chunk.to_pylist()) for chunk in table.column(_NOTE.name).chunks)
    table = table.select(SHARDED.names)
    return format.layout(table.column("size").to_numpy(), notes), table, notes


def first_byte(layout: Layout, table: pa.Table) -> int:
    """Return where the first image's frame begins."""
    return int(layout.begins(table.column("size").to_numpy())[0])


def copied(file: ShardFile, layout: Layout, table: pa.Table, pieces: Sequence[Path]) -> pa.Table:
    """Copy all images to a file, which is at the first one's place; return the manifest with their places in it."""
    offsets = np.empty(table.num_rows, np.int64)
    for number, (label, data) in enumerate(images_in(pieces, table)):
        offsets[number] = framed(file, layout, number, label, data)
    return _replaced(_replaced(table, "offset", offsets), "shard", np.zeros(table.num_rows, np.int32))


def _copied(staged: Staging, layout: Layout, table: pa.Table, pieces: Sequence[Path]) -> pa.Table:
    """Copy all images to their places in the file; return the manifest with these places."""
    key = f"{staged.work}/{_COPY}"
    with OwnFolder(staged.folder) as folder:
        file = ShardFile(created(folder, key, os.O_RDWR), staged.folder / key, first_byte(layout, table))
        try:
            table = copied(file, layout, table, pieces)
        finally:
            file.close()
    (staged.images / _COPY).replace(staged.images / WHOLE)
    return table


def _replaced(table: pa.Table, name: str, values: npt.NDArray[Any]) -> pa.Table:
    """Return a manifest with other values in a column."""
    column = SHARDED.field(name)
    return table.set_column(table.schema.get_field_index(name), column, pa.array(values, column.type))
