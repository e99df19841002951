"""Where every image of some tars lies, as columns: kept beside the tars, and proved when it is read again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from ilsvrc.archive.columns import are_named, lie_apart, text_of
from ilsvrc.archive.index import load, numbers, one_chunk, save
from ilsvrc.archive.remote import source_of
from ilsvrc.archive.sidecar import WIDTH, kept
from ilsvrc.errors import ArchiveError, DataError
from ilsvrc.events import Listener
from ilsvrc.issues import Code
from ilsvrc.readers.tars.gather import COLUMNS, DIGEST, GATHERED, Gathered, Tar, gather
from ilsvrc.readers.tars.names import SPLITS, UnknownImage, images_among
from ilsvrc.readers.tars.packed import Unpacked
from ilsvrc.stores.path import Location

FORMAT = "1"
"""Version of the file format; a file of another version is built anew."""

SUFFIX = ".members.arrow"

_ORDER = [("split", "ascending"), ("label", "ascending"), ("name", "ascending")]
_LARGEST = 1 << 28
"""Bytes of all seek points together beyond which they are not kept."""


@dataclass(frozen=True)
class TarIndex:
    """The images of some tars, by split, label and name.

    tars : the tars, by their number in the column `tar`
    ends : bytes of each tar, unpacked
    points : seek points of each tar; empty where it is not compressed
    folders : folders in the tars, by their number in the column `folder`
    table : Arrow table of COLUMNS and, if a tar is compressed, DIGEST; N rows
    """

    tars: tuple[Tar, ...]
    ends: tuple[int, ...]
    points: tuple[bytes, ...]
    folders: tuple[str, ...]
    table: pa.Table

    @cached_property
    def identity(self) -> str:
        """xxh3_128 over all columns, in hex."""
        digest = xxhash.xxh3_128(f"{FORMAT} {self.table.num_rows} {self.ends}".encode())
        digest.update(json.dumps(self.folders).encode())
        for name in self.table.column_names:
            column = one_chunk(self.table.column(name))
            for part in text_of(column) if name == "name" else [_raw(column)]:
                digest.update(np.ascontiguousarray(part).data)
        for points in self.points:
            digest.update(points)
        return digest.hexdigest()

    def splits(self) -> list[str]:
        """Return the splits that there are images of."""
        there = np.unique(numbers(one_chunk(self.table.column("split")))).tolist()
        return [SPLITS[number] for number in there]

    def of_split(self, split: str) -> pa.Table:
        """Return the rows of a split."""
        column = numbers(one_chunk(self.table.column("split")))
        start, stop = np.searchsorted(column, [SPLITS.index(split), SPLITS.index(split) + 1]).tolist()
        return self.table.slice(start, stop - start)


def open_index(beside: Location, tars: Sequence[Tar], listener: Listener) -> TarIndex:
    """Return the index of some tars; build it and keep it where none that fits is kept.

    Parameters
    ----------
    beside
        The tar, or the folder of the tars: names the file that is kept.
    tars
        The tars.
    listener
        Gets the progress of indexing.
    """
    return kept(
        beside,
        read=lambda data: _stored(data, tars),
        build=lambda: build(tars, listener),
        write=_write,
        suffix=SUFFIX,
    )


class _NotKeptError(Exception):
    """No index is kept."""


def stored_index(beside: Location, tars: Sequence[Tar]) -> TarIndex | None:
    """Return the index that is kept of some tars, or None; nothing is built."""

    def _stop() -> TarIndex:
        raise _NotKeptError

    try:
        return kept(beside, read=lambda data: _stored(data, tars), build=_stop, write=_write, suffix=SUFFIX)
    except _NotKeptError:
        return None


def build(tars: Sequence[Tar], listener: Listener) -> TarIndex:
    """Return the index of some tars, having read all headers, and all of the tars that are compressed.

    Raises
    ------
    DataError
        If a tar can't be trusted, or says two things of one image.
    """
    return arranged(gather(tars, listener))


def arranged(gathered: Gathered) -> TarIndex:
    """Return what was gathered, by split, label and name.

    Raises
    ------
    ArchiveError
        If an image is there twice.
    """
    table = gathered.table.take(pc.sort_indices(gathered.table, _ORDER)).combine_chunks()
    if not any(tar.form for tar in gathered.tars):
        table = table.drop_columns(DIGEST.name)
    index = TarIndex(gathered.tars, gathered.ends, gathered.points, gathered.folders, table)
    _refuse_twins(index)
    return index


def merged(indexes: Sequence[TarIndex]) -> TarIndex:
    """Return one index of the tars of many.

    Raises
    ------
    ArchiveError
        If an image is there twice.
    """
    if len(indexes) == 1:
        return indexes[0]
    tars, folders, tables = 0, 0, []
    for index in indexes:
        shifts = {"tar": tars, "folder": folders}
        table = index.table
        for name, shift in shifts.items():
            column = pa.array(numbers(one_chunk(table.column(name))) + np.int32(shift))
            table = table.set_column(table.column_names.index(name), name, column)
        tables.append(table if DIGEST.name in table.column_names else without_digests(table))
        tars, folders = tars + len(index.tars), folders + len(index.folders)
    return arranged(
        Gathered(
            tuple(tar for index in indexes for tar in index.tars),
            tuple(end for index in indexes for end in index.ends),
            tuple(points for index in indexes for points in index.points),
            tuple(folder for index in indexes for folder in index.folders),
            pa.concat_tables(tables),
        )
    )


def without_digests(table: pa.Table) -> pa.Table:
    """Return a table with a column of zeros for digests: none was taken."""
    zeros = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(WIDTH), len(table), [None, pa.py_buffer(bytes(WIDTH * len(table)))]
    )
    return table.append_column(DIGEST, zeros)


def _refuse_twins(index: TarIndex) -> None:
    """Refuse two members that stand for one image of a split."""
    table = index.table
    names = one_chunk(table.column("name"))
    if len(names) < 2:
        return
    same = numbers(pc.cast(pc.equal(names.slice(0, len(names) - 1), names.slice(1)), pa.uint8())) > 0
    splits = numbers(one_chunk(table.column("split")))
    twins = np.flatnonzero(same & (splits[1:] == splits[:-1]))
    if not len(twins):
        return
    row = int(twins[0])
    first, second = (_place(index, at) for at in sorted((row, row + 1), key=lambda at: _key(index, at)))
    tar, member, offset = second
    detail = f"it is there twice, first as {first[0].name}: {first[1]} at byte {first[2]:,}"
    detail += f"; {len(twins):,} images are" if len(twins) > 1 else ""
    hint = "remove one of the archives, or write the archive again with each image once"
    raise ArchiveError(Code.DUPLICATE_MEMBER, detail, tar, member=member, offset=offset, hint=hint)


def _key(index: TarIndex, row: int) -> tuple[int, int]:
    return index.table.column("tar")[row].as_py(), index.table.column("offset")[row].as_py()


def _place(index: TarIndex, row: int) -> tuple[Location, str, int]:
    values = {name: index.table.column(name)[row].as_py() for name in ("tar", "folder", "name", "offset")}
    folder = index.folders[values["folder"]]
    member = f"{folder}/{values['name']}" if folder else values["name"]
    return index.tars[values["tar"]].source.path, member, values["offset"]


def _write(index: TarIndex, path: Path) -> None:
    """Write an index file."""
    points = {f"points{number}".encode(): data for number, data in enumerate(index.points) if data}
    if sum(map(len, points.values())) > _LARGEST:
        hint = "unpack it first, or write it again with `pigz`"
        raise ArchiveError(
            Code.DAMAGED_COMPRESSION, "it takes too many seek points", index.tars[0].source.path, hint=hint
        )
    save(index.table, path, {b"about": _about(index), **points})


def _about(index: TarIndex) -> bytes:
    """Return what an index file says of its tars and of itself."""
    said = {
        "format": FORMAT,
        "tars": [_named(tar) for tar in index.tars],
        "ends": index.ends,
        "folders": index.folders,
        "columns": index.identity,
    }
    return json.dumps(said).encode()


def _named(tar: Tar) -> list[object]:
    return [tar.source.path.name, tar.form, tar.folder, asdict(tar.source.state)]


def _stored(data: pa.Buffer, tars: Sequence[Tar]) -> TarIndex | None:
    """Return the index in a file's bytes; None if it is damaged, stale, of other tars, or such as none could be."""
    packed = any(tar.form for tar in tars)
    try:
        table, metadata = load(data, GATHERED if packed else COLUMNS)
        said = json.loads(metadata.get(b"about", b""))
        points = tuple(bytes(metadata.get(f"points{number}".encode(), b"")) for number in range(len(tars)))
        index = TarIndex(tuple(tars), tuple(said["ends"]), points, tuple(said["folders"]), table)
        fits = metadata[b"about"] == _about(index) and _could_be_built(index)
    except (OSError, ValueError, TypeError, KeyError, RecursionError, DataError, pa.ArrowException):
        return None
    return index if fits else None


def _could_be_built(index: TarIndex) -> bool:
    """Whether a pass over tars could have left this: proved of every value in it."""
    split, tar, folder, offset, size = (
        numbers(one_chunk(index.table.column(name))) for name in ("split", "tar", "folder", "offset", "size")
    )
    ends = np.array(index.ends, np.int64)
    if not (
        len(ends) == len(index.tars)
        and all(type(end) is int and 0 <= end < 1 << 60 for end in index.ends)
        and all(type(name) is str for name in index.folders)
        and all(item.form or end == item.source.size for item, end in zip(index.tars, index.ends, strict=True))
    ):
        return False
    if len(split) and not (
        0 <= split.min() <= split.max() < len(SPLITS)
        and (split[1:] >= split[:-1]).all()
        and 0 <= tar.min() <= tar.max() < len(ends)
        and 0 <= folder.min() <= folder.max() < len(index.folders)
        and 0 <= offset.min() <= offset.max() < 1 << 60
        and 0 <= size.min() <= size.max() < 1 << 60
        and (offset + size <= ends[tar]).all()
    ):
        return False
    starts = np.cumsum(ends) - ends
    return (
        lie_apart(starts[tar] + offset, size, int(ends.sum()))
        and all(_are_right(index.of_split(name), name) for name in SPLITS)
        and all(
            Unpacked(source_of(item.source.path, item.source.state), item.form, points).fits()
            for item, points in zip(index.tars, index.points, strict=True)
            if item.form
        )
    )


def _are_right(table: pa.Table, split: str) -> bool:
    """Whether names are official ones, labels those of the names, and rows in catalog order, each there once."""
    names = one_chunk(table.column("name"))
    labels: npt.NDArray[np.int16] = numbers(one_chunk(table.column("label")))
    if are_named(split, names, labels):
        return True
    try:
        images = images_among(names)  # imagenette has names of train images in val, and the other way round
    except UnknownImage:
        return False
    return (
        len(images.names) == len(names)
        and images.names.equals(names)
        and bool((images.labels == labels).all())
        and _rise(names, labels)
    )


def _rise(names: pa.StringArray, labels: npt.NDArray[np.int16]) -> bool:
    later = numbers(pc.cast(pc.less(names.slice(0, len(names) - 1), names.slice(1)), pa.uint8())) > 0
    return bool(((labels[1:] > labels[:-1]) | ((labels[1:] == labels[:-1]) & later)).all())


def _raw(column: pa.Array) -> npt.NDArray[np.uint8]:
    """Return the bytes of a column of fixed width."""
    width = column.type.bit_width // 8
    buffer = column.buffers()[1]
    data = np.frombuffer(buffer or b"", np.uint8)
    return data[column.offset * width : (column.offset + len(column)) * width]
