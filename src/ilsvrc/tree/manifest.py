"""The manifest of a prepared split: every image's path, label, size and digest."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ilsvrc.files import written_whole
from ilsvrc.tree.layout import Layout

SCHEMA = pa.schema([("path", pa.string()), ("label", pa.int16()), ("size", pa.int64()), ("xxh3_128", pa.binary(16))])


class Row(NamedTuple):
    """A line of a manifest: a tuple, because Arrow takes columns of them by the million.

    path : below the tree's folder
    label : index of the sorted wnids, -1 in the test split
    size : bytes
    xxh3_128 : digest, 16 bytes in canonical (big-endian) order
    """

    path: str
    label: int
    size: int
    xxh3_128: bytes


def table_of(rows: Sequence[Row]) -> pa.Table:
    """Return a manifest table of these rows."""
    columns = zip(*rows, strict=True) if rows else ([] for _ in SCHEMA)
    return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)


def write_manifest(table: pa.Table, path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a manifest as one Arrow IPC file."""
    table = table.replace_schema_metadata(metadata or {})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def read_manifest(path: Path) -> pa.Table:
    """Return the memory-mapped table of a manifest file.

    Raises
    ------
    ValueError, OSError
        If it is no manifest.
    """
    table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    if not table.schema.equals(SCHEMA, check_metadata=False):
        raise ValueError(f"{path} is no manifest")
    return table


def metadata_of(table: pa.Table) -> dict[str, str]:
    """Return what a manifest says of its own making."""
    return {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}


def differences(table: pa.Table, images: Iterable[tuple[str, int]]) -> list[str]:
    """Return in what a manifest differs from the images that it should have: path and size of each; empty if equal.

    Columns are compared, not a million objects.
    """
    chunks, rows = [], iter(images)
    while chunk := list(itertools.islice(rows, 1 << 16)):
        paths, sizes = zip(*chunk, strict=True)
        chunks.append(pa.table({"path": pa.array(paths, pa.string()), "size": pa.array(sizes, pa.int64())}))
    empty = pa.table({"path": pa.array([], pa.string()), "size": pa.array([], pa.int64())})
    wanted = pa.concat_tables(chunks or [empty]).sort_by("path")
    found = table.select(["path", "size"]).replace_schema_metadata(None).sort_by("path")
    if found.equals(wanted):
        return []
    if found.num_rows != wanted.num_rows:
        return [f"{found.num_rows:,} images of {wanted.num_rows:,}"]
    unequal = [
        pc.not_equal(found.column(name).combine_chunks(), wanted.column(name).combine_chunks())
        for name in ("path", "size")
    ]
    return [str(path) for path in found.column("path").filter(pc.or_(*unequal)).slice(0, 20).to_pylist()]


def merged(parts: Iterable[pa.Table]) -> pa.Table:
    """Return one manifest of many parts, in catalog order: by label, then by path."""
    tables = list(parts)
    return pa.concat_tables(tables or [table_of([])]).sort_by([("label", "ascending"), ("path", "ascending")])


def layout_in(table: pa.Table) -> str | None:
    """Return the layout, by name or template, that a manifest was written under, or None if it does not say."""
    try:
        settings = json.loads(metadata_of(table)["settings"])
        return Layout(str(settings["layout"])).name
    except (KeyError, ValueError, TypeError):
        return None


def write_labels(table: pa.Table, path: Path) -> None:
    """Write `{split}.txt`: a line `path index` for every image of a manifest, the path below the split's folder."""
    with written_whole(path) as beside, beside.open("w", encoding="utf-8") as file:
        for batch in table.select(["path", "label"]).to_batches(max_chunksize=1 << 16):
            columns = (batch.column(0).to_pylist(), batch.column(1).to_pylist())
            file.writelines(f"{key.partition('/')[2]} {label}\n" for key, label in zip(*columns, strict=True))
