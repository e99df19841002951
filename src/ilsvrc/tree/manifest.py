"""The manifest of a prepared split: every image's path, label, size and digest."""

from __future__ import annotations

import itertools
import json
import mmap
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ilsvrc import facts
from ilsvrc.archive.names import NO_LABEL
from ilsvrc.errors import LayoutError
from ilsvrc.facts.names import val_number
from ilsvrc.files import open_own, printable
from ilsvrc.stores.path import Location, StorePath
from ilsvrc.tree.layout import Layout

SCHEMA = pa.schema([("path", pa.string()), ("label", pa.int16()), ("size", pa.int64()), ("xxh3_128", pa.binary(16))])

SHARDED = pa.schema([*SCHEMA, ("shard", pa.int32()), ("offset", pa.int64()), ("source", pa.binary(16))])
"""The columns of the manifest of shards, whose rows are in the order in which the images were written."""

UNKNOWN_SIZE = -1
"""Bytes of an image that is to be made anew: known once it is written."""

_LEADS_OUT = r"(^|/)\.{0,2}(/|$)|\x00"
"""Matches a path with an empty part, `.` or `..` in it, one that begins with a slash, and an empty one."""


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


class ShardedRow(NamedTuple):
    """A line of the manifest of shards.

    path : split, slash, and the image's official file name
    label : index of the sorted wnids, -1 in the test split
    size : bytes that the shard has of the image
    xxh3_128 : digest of these, 16 bytes
    shard : number of the shard
    offset : first byte of the image in it; in ArrayRecord headers of blocks may lie among its bytes: `readers.blocks`
    source : digest of the image's file in the source, 16 bytes: another one where it was resized or encoded anew
    """

    path: str
    label: int
    size: int
    xxh3_128: bytes
    shard: int
    offset: int
    source: bytes


def table_of(rows: Sequence[Row] | Sequence[ShardedRow], schema: pa.Schema = SCHEMA) -> pa.Table:
    """Return a manifest table of these rows."""
    columns = zip(*rows, strict=True) if rows else ([] for _ in schema)
    return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def write_manifest(table: pa.Table, path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a manifest as one Arrow IPC file."""
    table = table.replace_schema_metadata(metadata or {})
    with path.open("wb") as file, pa.PythonFile(file) as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def read_manifest(path: Location, schema: pa.Schema = SCHEMA) -> pa.Table:
    """Return the memory-mapped table of a manifest file, or that of an object, after a check of every value.

    Readers of the table open files by its paths, so a path that leads out of the tree is refused. So is one of a
    shard, and a place outside its shard.

    Raises
    ------
    ValueError
        If it is no manifest, or a damaged one; the message says why.
    OSError
        If it can't be read; FileNotFoundError if it is not there.
    MachineError
        If a link, a pipe or a folder has its name.
    """
    try:
        table = pa.ipc.open_file(_mapped(path)).read_all()
        table.validate(full=True)
    except pa.ArrowException as error:
        raise ValueError(f"{path} is no manifest: {error}") from None
    if not table.schema.equals(schema, check_metadata=False):
        raise ValueError(f"{path} is no manifest: its columns are {', '.join(map(str, table.schema))}")
    fault = _fault(table) or (_fault_of_shards(table) if schema is SHARDED else "")
    if fault:
        raise ValueError(f"{path} is no manifest: {fault}")
    return table


def _mapped(path: Location) -> pa.BufferReader:
    """Return the bytes of a file of ours, mapped into memory; those of an object in a store are fetched."""
    if isinstance(path, StorePath):
        return pa.BufferReader(path.read_bytes())
    fd = open_own(path, os.O_RDONLY)
    try:
        return pa.BufferReader(pa.py_buffer(mmap.mmap(fd, 0, prot=mmap.PROT_READ)))
    finally:
        os.close(fd)


def _fault(table: pa.Table) -> str:
    """Return the first fault in the values of a manifest, empty if there is none."""
    for column, name in zip(table.columns, table.column_names, strict=True):
        if column.null_count:
            return f"{column.null_count:,} rows without {name}"
    labels, sizes = pc.min_max(table.column("label")).as_py(), pc.min_max(table.column("size")).as_py()
    if table.num_rows and not (labels["min"] >= NO_LABEL and labels["max"] < len(facts.classes())):
        return f"labels from {labels['min']} to {labels['max']}"
    if table.num_rows and sizes["min"] < 0:
        return f"a size of {sizes['min']:,} bytes"
    leads_out = pc.match_substring_regex(table.column("path"), _LEADS_OUT)
    if pc.any(leads_out).as_py():
        worst = table.column("path").filter(leads_out)[0].as_py()
        return f"the path {worst!r} is not one below the tree"
    return ""


def _fault_of_shards(table: pa.Table) -> str:
    """Return the first fault in what a manifest says of shards, and of the images' places in them; empty if none."""
    try:
        shards = json.loads(metadata_of(table)["shards"])
    except (KeyError, ValueError, RecursionError):
        return "it names no shards"
    if "format" not in metadata_of(table) or not isinstance(shards, list):
        return "it names no shards"
    settings = settings_of(table)
    if settings.get("format", metadata_of(table)["format"]) != metadata_of(table)["format"]:
        return f"its format is {metadata_of(table)['format']}, and its settings say {settings['format']}"
    if fault := _fault_of_labels(table, given=given_labels(table) is not None):
        return fault
    for number, shard in enumerate(shards):
        if not _is_shard(shard):
            return f"shard {number:,} has no path below the folder, no size, no digest or no count of images"
    if len({shard["path"] for shard in shards}) < len(shards):
        return "two shards have one path"
    numbers, offsets, sizes = (table.column(name).to_numpy() for name in ("shard", "offset", "size"))
    if table.num_rows and not (numbers.min() >= 0 and numbers.max() < len(shards)):
        return f"shards from {numbers.min():,} to {numbers.max():,}, and it names {len(shards):,}"
    if [shard["images"] for shard in shards] != np.bincount(numbers, minlength=len(shards)).tolist():
        return "shards hold other numbers of images than it names"
    ends = np.array([shard["size"] for shard in shards], np.int64)
    outside = np.flatnonzero((offsets < 0) | (sizes > ends[numbers] - offsets))
    return f"{table.column('path')[int(outside[0])].as_py()!r} lies outside its shard" if len(outside) else ""


def _fault_of_labels(table: pa.Table, *, given: bool) -> str:
    """Return the first image whose label is not the one that its name states; empty if there is none.

    Parameters
    ----------
    table
        The manifest.
    given
        Whether the labels of validation images are the user's.
    """
    names = pc.replace_substring_regex(table.column("path"), "^.*/", "").combine_chunks()
    wnids = pa.array([synset.wnid for synset in facts.classes()], names.type)
    stated = pc.fill_null(pc.index_in(pc.utf8_slice_codeunits(names, 0, 9), value_set=wnids), _UNSTATED)
    labels, stated = table.column("label").to_numpy(), stated.to_numpy(zero_copy_only=False).copy()
    for row in [] if given else np.flatnonzero(pc.starts_with(names, "ILSVRC2012_val_")).tolist():
        number = val_number(names[row].as_py())
        stated[row] = _UNSTATED if number is None else facts.val_labels()[number - 1]
    wrong = np.flatnonzero((stated != _UNSTATED) & (stated != labels))
    if not len(wrong):
        return ""
    row = int(wrong[0])
    return f"label {labels[row]} of {names[row].as_py()!r}, which is of class {stated[row]}"


_UNSTATED = -2
"""The label of an image whose name states none."""


def settings_of(table: pa.Table) -> dict[str, object]:
    """Return the settings that a manifest was written with; none if it tells none that can be read."""
    try:
        settings = json.loads(metadata_of(table)["settings"])
    except (KeyError, ValueError, RecursionError):
        return {}
    return settings if isinstance(settings, dict) else {}


def given_labels(table: pa.Table) -> str | None:
    """Return the digest of the validation labels that the user gave for a manifest's images; None if none were."""
    digest = settings_of(table).get("val_labels")
    return digest if isinstance(digest, str) else None


def chosen_classes(table: pa.Table) -> list[int] | None:
    """Return the classes that a manifest was written for, by index; None for all of them."""
    chosen = settings_of(table).get("classes")
    every = range(len(facts.classes()))
    return [index for index in every if index in chosen] if isinstance(chosen, list) else None


_OF_SHARD = {"path": str, "size": int, "digest": str, "images": int}


def _is_shard(told: object) -> bool:
    """Whether JSON speaks of a shard: a file below the folder, its bytes, their digest, and how many images."""
    if not isinstance(told, dict) or {key: type(value) for key, value in told.items()} != _OF_SHARD:
        return False
    below = told["path"].isprintable() and not re.search(_LEADS_OUT, told["path"])
    return below and min(told["size"], told["images"]) >= 0 and told["size"] < 1 << 63


def metadata_of(table: pa.Table) -> dict[str, str]:
    """Return the metadata of a manifest: the archive and settings that it was made from."""
    found = (table.schema.metadata or {}).items()
    return {key.decode(errors="replace"): value.decode(errors="replace") for key, value in found}


def differences(table: pa.Table, images: Iterable[tuple[str, int]]) -> list[str]:
    """Return the differences between a manifest and the paths and sizes that it should have; empty if equal.

    Columns are compared, not a million objects. Where the size that there should be is UNKNOWN_SIZE, any will do.
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
    sizes = wanted.column("size").combine_chunks()
    unequal = [
        pc.not_equal(found.column("path").combine_chunks(), wanted.column("path").combine_chunks()),
        pc.and_(pc.not_equal(found.column("size").combine_chunks(), sizes), pc.not_equal(sizes, UNKNOWN_SIZE)),
    ]
    return [str(path) for path in found.column("path").filter(pc.or_(*unequal)).slice(0, 20).to_pylist()]


def merged(parts: Iterable[pa.Table]) -> pa.Table:
    """Return one manifest of many parts, in catalog order: by label, then by path."""
    tables = list(parts)
    return pa.concat_tables(tables or [table_of([])]).sort_by([("label", "ascending"), ("path", "ascending")])


def layout_in(table: pa.Table) -> str | None:
    """Return the layout, by name or template, that a manifest was written with, or None if it holds none."""
    try:
        settings = json.loads(metadata_of(table)["settings"])
        return Layout.parse(printable(settings["layout"])).name
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError, LayoutError):  # whatever JSON it is
        return None
