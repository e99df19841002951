"""Read images out of tars that stay packed, one or many, compressed or not."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from ilsvrc.archive.columns import text_of
from ilsvrc.archive.index import numbers, one_chunk
from ilsvrc.archive.remote import source_of, state_of
from ilsvrc.archive.sidecar import WIDTH
from ilsvrc.archive.source import ArchiveSource, State
from ilsvrc.errors import ArchiveError, DamageError, UsageError
from ilsvrc.issues import Code, Issue
from ilsvrc.readers.ahead import InFiles, pieces, take_ahead
from ilsvrc.readers.reader import Container, Int, Place, Rows, read_file
from ilsvrc.readers.tars.gather import DIGEST, Tar
from ilsvrc.readers.tars.index import TarIndex
from ilsvrc.readers.tars.packed import Sweep, Unpacked
from ilsvrc.stores.path import Location

LOOSE = -1
"""In place of a tar's number: the image is a file of its own, in a class's folder beside the tars."""

MANY = 200
"""Tars up to which each is kept open: a process may often have no more than 1024 files open, and 256 on macOS."""

_CHANGED = "its bytes do not have the digest that was recorded of them"


@dataclass(frozen=True)
class Contents:
    """The images of one split in some tars.

    path : the tar, or the folder of the tars
    form : in words
    tars : the tars
    ends : bytes of each, unpacked
    points : seek points of each; empty where it is not compressed
    folders : folders in the tars, or of images that are files of their own
    table : Arrow table of `label`, `name`, `tar`, `folder`, `offset`, `size` and, if a tar is compressed, `xxh3_128`
    loose : states of the folders that hold images as files of their own, by path
    issues : what was found on the way that is worth to be told
    """

    path: Location
    form: str
    tars: tuple[Tar, ...]
    ends: tuple[int, ...]
    points: tuple[bytes, ...]
    folders: tuple[str, ...]
    table: pa.Table
    loose: dict[str, State] = field(default_factory=dict)
    issues: tuple[Issue, ...] = ()

    @classmethod
    def of(cls, path: Location, form: str, index: TarIndex, split: str) -> Contents:
        """Return a split of an index."""
        table = index.of_split(split).drop_columns("split")
        return cls(path, form, index.tars, index.ends, index.points, index.folders, table)


class TarReader(InFiles):
    """Images of one split in some tars.

    Where a tar is compressed, every image that is read is compared with the digest that was taken of it when the
    tar was indexed, front to back: nothing else vouches for bytes that are unpacked from somewhere in the middle.

    Parameters
    ----------
    split
        Train, val or test.
    contents
        What there is of it.
    verify
        Compare every image that is read with its digest.
    reopen
        Opens the same again in another process; None if the columns are to travel.

    Raises
    ------
    UsageError
        If `verify` is asked for and some image has no digest.
    """

    def __init__(
        self, split: str, contents: Contents, *, verify: bool = False, reopen: Callable[[], TarReader] | None = None
    ) -> None:
        self.split = split
        self._contents = contents
        self._reopen = reopen
        table = contents.table
        column = {name: one_chunk(table.column(name)) for name in table.column_names}
        self.labels: npt.NDArray[np.int16] = numbers(column["label"])
        self.sizes: Int = numbers(column["size"])
        self.names: pa.StringArray = column["name"]
        self._tars: npt.NDArray[np.int32] = numbers(column["tar"])
        self._folders: npt.NDArray[np.int32] = numbers(column["folder"])
        self._offsets: Int = numbers(column["offset"])
        self._digests = column.get(DIGEST.name)
        self._unpacked = [
            Unpacked(tar.source, tar.form, points) if tar.form else None
            for tar, points in zip(contents.tars, contents.points, strict=True)
        ]
        if verify and not all(unpacked for unpacked in self._unpacked):
            hint = "digests are kept of compressed tars, and of the official archives by `ilsvrc index --digests`"
            raise UsageError(f"{contents.path}: there are no digests to verify images by", hint=hint)
        self._verify = verify

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def form(self) -> str:
        """The form in words."""
        return self._contents.form

    @property
    def path(self) -> Location:
        """The tar, or the folder of the tars."""
        return self._contents.path

    @property
    def issues(self) -> tuple[Issue, ...]:
        """What was noted when it was opened: classes in two forms, parts that are missing."""
        return self._contents.issues

    @cached_property
    def identity(self) -> str:
        """xxh3_128 over names, labels and sizes, digests if there are any, and places if all lie in one tar."""
        digest = xxhash.xxh3_128(f"tars {self.split} {len(self)}".encode())
        columns = [*text_of(self.names), self.labels, self.sizes]
        if len(self._contents.tars) == 1 and not self._contents.loose:
            columns.append(self._offsets)
        if self._digests is not None:
            columns.append(_bytes_of(self._digests))
        for column in columns:
            digest.update(np.ascontiguousarray(column).data)
        return digest.hexdigest()

    @property
    def state(self) -> str:
        """Inode, times and size of every tar, and of every folder of files, digested; of one tar in JSON."""
        states = [asdict(tar.source.state) for tar in self._contents.tars]
        states += [asdict(state) for _, state in sorted(self._contents.loose.items())]
        text = json.dumps(states[0] if len(states) == 1 else states, sort_keys=True)
        return text if len(states) == 1 else xxhash.xxh3_128_hexdigest(text.encode())

    def name(self, row: int) -> str:
        """Return the file name of an image."""
        return str(self.names[row].as_py())

    def where(self, row: int) -> Place:
        """Return where an image lies; in a compressed tar the offset counts what is unpacked."""
        number, folder, name = self._tars.item(row), self._contents.folders[self._folders.item(row)], self.name(row)
        root = str(self.path)
        if number == LOOSE:
            return Place(self.split, f"{folder}/{name}", "", 0, root)
        tar = self._contents.tars[number]
        if tar.folder:
            folder = folder.removeprefix(tar.folder).removeprefix("/")
        member = f"{folder}/{name}" if folder else name
        return Place(self.split, str(tar.source.path), member, self._offsets.item(row), root)

    def digest(self, row: int) -> bytes | None:
        """Return the digest that was taken of an image when its compressed tar was indexed; None if none was."""
        number = self._tars.item(row)
        if self._digests is None or number == LOOSE or not self._contents.tars[number].form:
            return None
        found: bytes = self._digests[row].as_py()
        return found

    def read(self, row: int) -> bytes:
        """Return an image's file, byte for byte."""
        number, offset, size = self._tars.item(row), self._offsets.item(row), self.sizes.item(row)
        if number == LOOSE:
            return read_file(self.where(row), self.sizes.item(row))
        unpacked = self._unpacked[number]
        source = self._source(number)
        data = (unpacked or source).read(offset, size)
        source.refuse_changed()
        if unpacked and len(self._contents.tars) > MANY:
            unpacked.close()
        return self._right(row, data) if unpacked else data

    def take(self, rows: Rows) -> Iterator[tuple[int, bytes]]:
        """Yield rows and their bytes; the system fetches ahead, or a sweep of each compressed tar unpacks ahead."""
        sweeps: dict[int, Sweep] = {}
        read = partial(self._taken, sweeps=sweeps)
        try:
            yield from take_ahead(rows, self.sizes[rows], read, will_need=self.will_need, let_go=self.let_go)
        finally:
            for sweep in sweeps.values():
                sweep.close()

    def storage_order(self) -> Int:
        """Return the rows tar by tar, in the order in which they lie in each, shape (N,), int64."""
        return np.lexsort((self._offsets, self._tars)).astype(np.int64)

    def spans(self, rows: Rows) -> Int | None:
        """Return the bytes of each row, counted through all tars; None if one is compressed, or images are files."""
        if any(self._unpacked) or self._contents.loose:
            return None
        ends = np.array(self._contents.ends, np.int64)
        starts = (np.cumsum(ends) - ends)[self._tars[rows]] + self._offsets[rows]
        return np.stack([starts, starts + self.sizes[rows]], axis=1)

    def containers(self) -> tuple[Container, ...]:
        """Return the tars; none if some images are files of their own."""
        if self._contents.loose:
            return ()
        return tuple(Container.of(tar.source) for tar in self._contents.tars)

    def require_unchanged(self) -> None:
        """Refuse tars that are not in the state in which they were opened, and folders of files that are not."""
        for number in range(len(self._contents.tars)):
            self._source(number).refuse_replaced()
        for folder, state in self._contents.loose.items():
            if not Path(folder).is_dir() or state_of(Path(folder)) != state:
                hint = "let nothing write to it, then run the same command again"
                raise DamageError(f"{folder}: the folder changed while it was in use", [], hint=hint)

    def part(self, rows: Rows) -> TarReader:
        """Return a reader of these rows alone, in this order, and of the tars and folders that they lie in."""
        contents = self._contents
        table = contents.table.take(pa.array(rows))
        there, tars = np.unique(self._tars[rows], return_inverse=True)
        used, folders = np.unique(self._folders[rows], return_inverse=True)
        files = there[there != LOOSE].tolist()
        tars = tars - int(LOOSE in there)
        for name, column in (("tar", tars), ("folder", folders)):
            values = pa.array(np.ascontiguousarray(column, np.int32))
            table = table.set_column(table.column_names.index(name), name, values)
        names = tuple(contents.folders[number] for number in used.tolist())
        kept: dict[str, Any] = {
            key: tuple(getattr(contents, key)[number] for number in files) for key in ("tars", "ends", "points")
        }
        loose = {folder: state for folder, state in contents.loose.items() if folder in names}
        part = replace(contents, table=table, folders=names, loose=loose, issues=(), **kept)
        return TarReader(self.split, part, verify=self._verify)

    def __reduce__(self) -> tuple[object, ...]:
        if self._reopen is not None:
            return _reopened, (self._reopen, self.state, self.identity)
        return _remade, (self.split, self._contents, self._verify)

    def _source(self, number: int) -> ArchiveSource:
        """Return the file of a tar; of many, one that is opened now, in the same state, and closed soon."""
        source = self._contents.tars[number].source
        return source if len(self._contents.tars) <= MANY else source_of(source.path, source.state)

    def _taken(self, row: int, sweeps: dict[int, Sweep]) -> bytes:
        """Return an image that is read among many, from the sweep of its tar if that is compressed."""
        number = self._tars.item(row)
        unpacked = None if number == LOOSE else self._unpacked[number]
        if unpacked is None:
            return self.read(row)
        if number not in sweeps:
            for other in list(sweeps):  # one at a time: each has threads and chunks of its own
                sweeps.pop(other).close()
            sweeps[number] = unpacked.sweep()
        data = sweeps[number].read(self._offsets.item(row), self.sizes.item(row))
        self._source(number).refuse_changed()
        return self._right(row, data)

    def _right(self, row: int, data: bytes) -> bytes:
        """Return the bytes of an image if they have the digest that was taken of it."""
        if xxhash.xxh3_128_digest(data) != self.digest(row):
            raise self.where(row).fault(Code.CHANGED_IMAGE, _CHANGED)
        return data

    def _ranges(self, rows: Rows, near: int) -> Iterator[tuple[ArchiveSource, int, int]]:
        """Yield tar, offset and length of each byte range that holds some images, of tars that are not compressed."""
        tars = self._tars[rows]
        for number in dict.fromkeys(tars.tolist()):
            if number == LOOSE or self._unpacked[number] is not None:
                continue
            some = rows[tars == number]
            for start, length in pieces(self._offsets[some], self.sizes[some], near):
                yield self._source(number), start, length


def warn(issues: Sequence[Issue], path: Location) -> None:
    """Warn of what was found, in one line."""
    if issues:
        more = f"; and {len(issues) - 1:,} more" if len(issues) > 1 else ""
        warnings.warn(f"{path}: {issues[0]}{more}", stacklevel=4)


def _remade(split: str, contents: Contents, verify: bool) -> TarReader:
    """Return the reader in another process, which knows what it holds."""
    return TarReader(split, contents, verify=verify)


def _reopened(reopen: Callable[[], TarReader], state: str, identity: str) -> TarReader:
    """Return the reader in another process, if all is still in the state in which this process opened it."""
    reader = reopen()
    if (reader.state, reader.identity) != (state, identity):
        hint = "let nothing write to it, then run the same command again"
        raise ArchiveError(Code.WRONG_FILE, "it changed while it was in use", reader.path, hint=hint)
    return reader


def _bytes_of(column: pa.FixedSizeBinaryArray) -> npt.NDArray[np.uint8]:
    data = np.frombuffer(column.buffers()[1] or b"", np.uint8)
    return data[column.offset * WIDTH : (column.offset + len(column)) * WIDTH]
