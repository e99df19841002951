"""The index of a split in Parquet files: which image lies where, kept beside the files and proved when it is read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from ilsvrc import facts
from ilsvrc.archive.columns import are_named, lie_apart, text_of
from ilsvrc.archive.index import load, numbers, one_chunk, save
from ilsvrc.archive.parquet.extents import EXTENT, PREFIX, Coding, Extents, UnusualError, locate
from ilsvrc.archive.parquet.footer import BYTE_ARRAY
from ilsvrc.archive.parquet.pages import LARGEST, damaged
from ilsvrc.archive.parquet.table import NO_CLAIM, ONE_SPLIT, ImageTable, Names
from ilsvrc.archive.sidecar import kept
from ilsvrc.archive.source import ArchiveSource
from ilsvrc.errors import ArchiveError, DamageError
from ilsvrc.events import Advanced, Finished, Listener, Started, silent
from ilsvrc.issues import Code, Issue
from ilsvrc.stores.path import Location

_FORMAT = "parquet 1"
"""Version of the file format; a file of another version is built anew."""

_THREADS = 8
"""Files that are indexed at once: their many small reads wait for the disk."""

_LISTED = 100
"""Contradictions of which an error has an issue each; it counts all."""

_WIDTHS: dict[str, pa.DataType] = {
    "offset": pa.int64(),
    "length": pa.int32(),
    "plain": pa.int32(),
    "skip": pa.int32(),
    "size": pa.int32(),
    "coding": pa.int16(),
}
SCHEMA = pa.schema([("name", pa.string()), ("label", pa.int16()), ("file", pa.int16()), *_WIDTHS.items()])


@dataclass(frozen=True)
class ParquetIndex:
    """The images of a split in catalog order: by label, then by name.

    split : train, val or test
    table : Arrow table of SCHEMA, N rows; `file` counts the split's files, the other columns are those of EXTENT
    """

    split: str
    table: pa.Table

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @cached_property
    def names(self) -> pa.StringArray:
        """File names, N strings."""
        return one_chunk(self.table.column("name"))

    @cached_property
    def labels(self) -> npt.NDArray[np.int16]:
        """Indices of sorted wnids, shape (N,), int16; -1 in the test split."""
        return self.column("label")

    @cached_property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Bytes of each image, shape (N,), int64."""
        return self.column("size").astype(np.int64)

    @cached_property
    def identity(self) -> str:
        """xxh3_128 over split, names, labels and sizes, in hex: the same however the images are sharded."""
        digest = xxhash.xxh3_128(f"parquet {self.split} {len(self)}".encode())
        for column in (*text_of(self.names), self.labels, self.sizes):
            digest.update(np.ascontiguousarray(column).data)
        return digest.hexdigest()

    @cached_property
    def columns(self) -> str:
        """xxh3_128 over all columns, in hex."""
        digest = xxhash.xxh3_128(self.identity.encode())
        for name in ("file", *_WIDTHS):
            digest.update(self.column(name).data)
        return digest.hexdigest()

    def column(self, name: str) -> npt.NDArray[Any]:
        """Return a column of numbers, shape (N,), without a copy."""
        return numbers(one_chunk(self.table.column(name)))

    def part(self, rows: npt.NDArray[np.integer[Any]]) -> ParquetIndex:
        """Return these rows alone, in this order."""
        return replace(self, table=self.table.take(pa.array(rows)))

    def could_be_built(self, sizes: Sequence[int]) -> bool:
        """Whether an index of files of these sizes in bytes could have these values.

        Names are official ones, of their labels, in catalog order; each image lies in a piece of one of the files,
        and no two images that are there as they are share a byte, unless they are said to.
        """
        if not are_named(self.split, self.names, self.labels):
            return False
        file, offset, length, plain, skip, size = (
            self.column(name).astype(np.int64) for name in ("file", "offset", "length", "plain", "skip", "size")
        )
        coding, ends = self.column("coding"), np.array(sizes, np.int64)
        if not len(self) or not ((file >= 0) & (file < len(ends)) & (size >= 0) & (skip >= 0)).all():
            return False
        whole, group = coding <= Coding.SHARED, coding == Coding.ROW_GROUP
        if coding.min() < 0 or coding.max() > Coding.ROW_GROUP:
            return False
        within = (offset >= PREFIX) & (length >= 0) & (offset + length <= ends[file])
        inside = (plain <= LARGEST) & (skip >= PREFIX) & (skip + size <= plain)
        right = np.where(whole, within & (length == size), np.where(group, offset >= 0, within & inside))
        bases = np.cumsum(ends) - ends
        raw = coding == Coding.RAW
        return bool(right.all()) and lie_apart((offset + bases[file])[raw], size[raw], int(ends.sum()))


@dataclass(frozen=True, slots=True)
class _Part:
    """The rows of one file, in its order."""

    split: str
    names: pa.StringArray
    labels: npt.NDArray[np.int16]
    extents: Extents
    contradictions: int
    issues: tuple[Issue, ...]


def open_index(sources: Sequence[ArchiveSource], key: Location, listener: Listener = silent) -> ParquetIndex:
    """Return the index of a split in files, building and keeping it first where no index that fits is there.

    Parameters
    ----------
    sources
        All files of the split, in their order.
    key
        A path in the folder that the index is kept beside, which names the split.
    listener
        Gets the progress of indexing.
    """

    def write(index: ParquetIndex, path: Path) -> None:
        save(index.table, path, _metadata(sources, index))

    return kept(
        key, read=lambda data: _stored(data, sources), build=lambda: build_index(sources, listener), write=write
    )


def build_index(sources: Sequence[ArchiveSource], listener: Listener = silent) -> ParquetIndex:
    """Return the index of a split in files, having compared what names and label columns say.

    Raises
    ------
    DamageError
        ArchiveError for a file that is damaged or holds something else; DamageError where labels are contradicted.
    """
    listener(Started("index", total_bytes=sum(source.size for source in sources)))
    parts = []
    with ThreadPoolExecutor(max(_THREADS, min(sources[0].at_once, len(sources)))) as pool:
        try:
            for source, part in zip(sources, pool.map(_part, sources), strict=True):
                parts.append(part)
                listener(Advanced("index", bytes=source.size, images=len(part.names)))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    listener(Finished("index"))
    filled = [place for place, part in enumerate(parts) if len(part.names)]
    if not filled:
        raise ArchiveError(Code.WRONG_FILE, "there are no rows", sources[0].path)
    split = parts[filled[0]].split
    for place in filled:
        if parts[place].split != split:
            detail = f"it holds images of {parts[place].split}, and {sources[filled[0]].path.name} of {split}"
            raise ArchiveError(Code.WRONG_FILE, detail, sources[place].path, hint=ONE_SPLIT)
    _refuse_contradictions(parts)
    return ParquetIndex(split, _sorted(parts, sources))


def _part(source: ArchiveSource) -> _Part:
    """Return the rows of one file."""
    try:
        table = ImageTable(source)
        if table.columns is None:
            detail = "it has no column of images and their names"
            raise ArchiveError(
                Code.WRONG_FILE, detail, source.path, hint="docs/reference/parquet.md lists the columns that are read"
            )
        names = list(table.names())
        splits = {some.split for some in names}
        if len(splits) > 1:
            detail = f"it holds images of {' and '.join(sorted(splits))}"
            raise ArchiveError(Code.WRONG_FILE, detail, source.path, hint=ONE_SPLIT)
        extents = np.concatenate([np.empty(0, EXTENT), *_extents(table)])
        rows = sum(len(some.names) for some in names)
        if rows != len(extents):
            raise damaged(source, 0, f"it has {rows:,} names and {len(extents):,} images")
        issues = [issue for some in names for issue in _contradictions(source, some)]
        return _Part(
            next(iter(splits), ""),
            pa.concat_arrays([pa.array([], pa.string()), *(some.names for some in names)]),
            np.concatenate([np.empty(0, np.int16), *(some.labels for some in names)]),
            extents,
            len(issues),
            tuple(issues[:_LISTED]),
        )
    finally:
        source.close()


def _extents(table: ImageTable) -> Iterator[Extents]:
    """Yield where the images of each row group lie."""
    for number, group in enumerate(table.footer.groups):
        column = table.images_in(group)
        try:
            if column.elsewhere or column.kind != BYTE_ARRAY:
                raise UnusualError
            found = locate(table.source, column.chunk)
        except UnusualError:
            found = _by_row_group(table, number)
        if len(found) != group.rows:
            detail = f"row group {number} has {len(found):,} images and {group.rows:,} rows"
            raise damaged(table.source, 0, detail)
        yield found


def _by_row_group(table: ImageTable, group: int) -> Extents:
    """Return extents by which pyarrow reads the row group."""
    images = table.images(group)
    found = np.zeros(len(images), EXTENT)
    found["offset"], found["skip"], found["coding"] = group, np.arange(len(images)), Coding.ROW_GROUP
    found["size"] = pc.binary_length(images).to_numpy(zero_copy_only=False)
    return found


def _contradictions(source: ArchiveSource, names: Names) -> Iterator[Issue]:
    """Yield an issue for each image of which the label column, or the wnid after the name, contradicts the name."""
    for said, by in ((names.claims, "the label column"), (names.repeated, "the end of its name")):
        for row in np.flatnonzero((said != NO_CLAIM) & (said != names.labels)).tolist():
            detail = f"{by} says {_class(said.item(row))}, its name {_class(names.labels.item(row))}"
            yield Issue(f"{source.path}: {names.names[row].as_py()}", Code.WRONG_LABEL, detail)


def _class(label: int) -> str:
    classes = facts.classes()
    return f"{label} ({classes[label].wnid})" if 0 <= label < len(classes) else f"{label} (no class)"


def _refuse_contradictions(parts: Sequence[_Part]) -> None:
    count = sum(part.contradictions for part in parts)
    if not count:
        return
    issues = [issue for part in parts for issue in part.issues][:_LISTED]
    rows = sum(len(part.names) for part in parts)
    message = (
        f"{issues[0].key}: {issues[0].detail}; so contradicted are {count:,} of {rows:,} labels [{Code.WRONG_LABEL}]"
    )
    hint = "one of the two is wrong: fetch the official files, or write these again with indices of sorted wnids"
    raise DamageError(message, issues, hint=hint)


def _sorted(parts: Sequence[_Part], sources: Sequence[ArchiveSource]) -> pa.Table:
    """Return the table of all rows in catalog order; refuse an image that is there twice."""
    names = pa.concat_arrays([part.names for part in parts])
    labels = np.concatenate([part.labels for part in parts])
    files = np.repeat(np.arange(len(parts), dtype=np.int16), [len(part.names) for part in parts])
    order = pc.sort_indices(
        pa.table({"label": labels, "name": names}), [("label", "ascending"), ("name", "ascending")]
    )
    names = names.take(order)
    rows = np.asarray(order)
    twice = pc.index(pc.equal(names.slice(1), names.slice(0, len(names) - 1)), True).as_py()
    if twice >= 0:
        places = [sources[int(files[rows[at]])].path for at in (twice, twice + 1)]
        first = "in the same file" if places[0] == places[1] else f"also in {places[0]}"
        hint = "keep one version of the files, without copies"
        name = names[twice].as_py()
        raise ArchiveError(Code.DUPLICATE_MEMBER, f"it is there twice, {first}", places[1], member=name, hint=hint)
    columns = [names, pa.array(labels[rows]), pa.array(files[rows])]
    for field, kind in _WIDTHS.items():
        joined = np.concatenate([part.extents[field] for part in parts])
        columns.append(pa.array(joined[rows], kind))
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _stored(data: pa.Buffer, sources: Sequence[ArchiveSource]) -> ParquetIndex | None:
    """Return the index in a file's bytes, or None if it is damaged, stale, of other files, or impossible."""
    try:
        table, metadata = load(data, SCHEMA)
        index = ParquetIndex(metadata.get(b"split", b"").decode("ascii"), table)
        fits = metadata == _metadata(sources, index) and index.could_be_built([source.size for source in sources])
    except (OSError, ValueError, pa.ArrowException):
        return None
    return index if fits else None


def _metadata(sources: Sequence[ArchiveSource], index: ParquetIndex) -> dict[bytes, bytes]:
    """Return what an index file says of the files that it was made from, and of itself."""
    files = [[source.path.name, *asdict(source.state).values()] for source in sources]
    texts = {"format": _FORMAT, "split": index.split, "files": json.dumps(files), "columns": index.columns}
    return {name.encode(): text.encode() for name, text in texts.items()}
