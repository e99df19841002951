"""The protocol that every form of the data set is read through, and the values that its methods return."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ilsvrc.archive.expected import SUMS_FILES, Expected, expected
from ilsvrc.archive.source import ArchiveSource, State
from ilsvrc.errors import ArchiveError, DamageError, DataError
from ilsvrc.events import Listener, silent
from ilsvrc.issues import Code, Issue
from ilsvrc.stores.path import Location

Int = npt.NDArray[np.int64]

Rows = npt.NDArray[np.integer[Any]]
"""Rows of a reader, shape (N,), any integer type."""

LARGEST_IMAGE = 1 << 28
"""Bytes beyond which the size of an image is taken for damage: the largest real one has 15 MB."""


SHARDS = " shards"
"""How the form of shards that `prepare` wrote ends; it begins with the name of their format."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image lies.

    split : train, val or test
    file : path of the archive; in a tree, path of the image's own file
    member : name in the archive, after the inner archive and a slash in train; empty in a tree
    offset : first byte of the image in `file`
    root : what `ilsvrc check` is called with to look for more: the archive, or the split's folder
    """

    split: str
    file: str
    member: str
    offset: int
    root: str

    @property
    def key(self) -> str:
        """The image's path in the source: its member name, or in a tree its path below `root`."""
        return self.member or os.path.relpath(self.file, self.root)

    def fault(self, code: Code, detail: str) -> DataError:
        """Return an error that names the image and the command that checks all others."""
        hint = f"ilsvrc check --deep {shlex.quote(self.root)}"
        if self.member:
            return ArchiveError(code, detail, self.file, member=self.member, offset=self.offset, hint=hint)
        return DamageError(f"{self.file}: {detail} [{code}]", [Issue(self.file, code, detail)], hint=hint)


def read_file(place: Place, size: int) -> bytes:
    """Return an image that is a file of its own, byte for byte.

    Parameters
    ----------
    place
        Where it lies.
    size
        Bytes that were recorded of it.

    Raises
    ------
    DamageError
        If it is gone, has another size, or is too large for an image: no byte of it is read then.
    """
    try:
        with open(place.file, "rb", buffering=0) as file:
            found = os.fstat(file.fileno()).st_size
            if found == size > LARGEST_IMAGE:
                detail = f"it has {size:,} bytes: too many for an image, so it was not read"
                raise place.fault(Code.NOT_AN_IMAGE, detail)
            data = file.read() if found == size else b""
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        detail = "it was there when its folder was opened, and is gone"
        raise place.fault(Code.MISSING_IMAGE, detail) from None
    if found != size or len(data) != size:
        now = found if found != size else len(data)
        raise place.fault(Code.CHANGED_IMAGE, f"it has {now:,} bytes, and had {size:,} when it was recorded")
    return data


@dataclass(frozen=True, slots=True)
class Container:
    """A file that holds many images.

    path : the file
    size : bytes
    state : the state in which the reader opened it
    expected : every digest that the file should have, with its origin: md5 before sha256; none if none is known
    """

    path: Location
    size: int
    state: State
    expected: tuple[Expected, ...] = ()

    @classmethod
    def of(cls, source: ArchiveSource) -> Container:
        """Return an open file with every digest that it should have by the facts, or by a list beside it."""
        found = (expected(source, algorithm) for algorithm in SUMS_FILES)
        return cls(source.path, source.size, source.state, tuple(filter(None, found)))


class Reader(Protocol):
    """Random access to the images of a split, by rows in catalog order: by label, then by name.

    Safe to use from many threads at once. Pickles by reopening; a copy refuses an archive or a manifest that changed.
    Columns and orders are the same in every process. A reader that `part` returned has the rows it was asked for, in
    their order, and pickles with them; nothing is opened or indexed again where it arrives.
    """

    @property
    def split(self) -> str:
        """Train, val or test."""

    @property
    def form(self) -> str:
        """The form of the data set that was recognised, in words: `archive`, `class folders`, `zip`."""

    @property
    def path(self) -> Location:
        """The file or folder that holds the split; for messages."""

    @property
    def labels(self) -> npt.NDArray[np.int16]:
        """Indices of sorted wnids, shape (N,), int16; -1 in the test split."""

    @property
    def names(self) -> pa.StringArray:
        """File names, N strings."""

    @property
    def sizes(self) -> Int:
        """Bytes of each image's file, shape (N,), int64."""

    @property
    def identity(self) -> str:
        """Equal for equal content, in hex: the same after a copy, another one if a name, label or size differs."""

    @property
    def state(self) -> str:
        """Equal for as long as nothing is written to what is read; another text after a write, a copy or a touch."""

    def __len__(self) -> int:
        """Return the number of images."""

    def name(self, row: int) -> str:
        """Return the file name of an image."""

    def where(self, row: int) -> Place:
        """Return where an image lies."""

    def digest(self, row: int) -> bytes | None:
        """Return the xxh3_128 that was recorded of an image, 16 bytes; None if none was."""

    def read(self, row: int) -> bytes:
        """Return an image's file, byte for byte.

        Raises
        ------
        DataError
            If it is not there any more, not whole, or not what it should be.
        """

    def take(self, rows: Rows) -> Iterator[tuple[int, bytes]]:
        """Yield rows and their bytes in the order given, to read much once: read ahead, its memory given back after.

        Raises
        ------
        DataError
            As `read` does.
        """

    def will_need(self, rows: Rows) -> None:
        """Let the system fetch these rows into memory ahead, if it can; returns at once."""

    def let_go(self, rows: Rows) -> None:
        """Give back the memory of rows that were read, and that will hardly be read again soon."""

    def storage_order(self) -> Int:
        """Return the rows in the order in which they lie on the disk, shape (N,), int64."""

    def spans(self, rows: Rows) -> Int | None:
        """Return the first byte of each row and the byte after its last, shape (N, 2), int64.

        Bytes are counted through all containers, laid end to end in their order. None if images are files of their
        own, or if no range of a container can be read without all before it.
        """

    def containers(self) -> tuple[Container, ...]:
        """Return the files that hold the images; none if images are files of their own.

        Raises
        ------
        ArchiveError
            If the list of digests beside an archive contradicts its name or size.
        """

    def require_unchanged(self) -> None:
        """Refuse a data set that is not in the state in which it was opened; a few system calls.

        Raises
        ------
        DataError
            If it was written to, replaced or removed.
        """

    def part(self, rows: Rows) -> Reader:
        """Return a reader of these rows alone, in this order: what a worker is sent."""


class Opener(Protocol):
    """Opens a split that was recognised."""

    def __call__(self, *, verify: bool = False, listener: Listener = silent) -> Reader:
        """Return its reader; index it first, if that is needed.

        Parameters
        ----------
        verify
            Compare every image that is read with its recorded digest.
        listener
            Gets the progress of indexing.

        Raises
        ------
        IlsvrcError
            UsageError if `verify` is asked for and no digests are recorded; DataError if it can't be trusted.
        """


@dataclass(frozen=True, slots=True)
class Found:
    """A split of the data set that was recognised at a path, by names and a few bytes; nothing was indexed.

    split : train, val or test
    form : the form, in words
    path : the file or folder that holds it
    open : opens it
    damaged : whether only the file's name tells the split, since the file can't be read: `open` says why
    """

    split: str
    form: str
    path: Location
    open: Opener
    damaged: bool = False
