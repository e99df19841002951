"""Read images out of an archive that stays packed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
import pyarrow as pa
import xxhash

from ilsvrc import facts
from ilsvrc.archive.find import SPLITS, expected_names, find_archives
from ilsvrc.archive.index import Index
from ilsvrc.archive.remote import source_of
from ilsvrc.archive.shared import Shared, shared
from ilsvrc.archive.sidecar import Digests, open_index, stored_digests
from ilsvrc.archive.source import ArchiveSource
from ilsvrc.errors import ArchiveError, UsageError
from ilsvrc.events import Listener, silent
from ilsvrc.issues import Code
from ilsvrc.readers.ahead import HEADERS, pieces, take_ahead
from ilsvrc.readers.reader import Container, Found, Int, Place, Rows
from ilsvrc.stores.path import Location


class ArchiveReader:
    """Images of one archive: each is one `pread` at its place in the index.

    Parameters
    ----------
    source
        The archive.
    index
        The images to read; all of the archive's index, or some rows of it.
    digests
        What every image that is read is compared with, shape (N, 16), uint8; None to compare nothing.
    complete
        Whether `index` is the archive's whole index, which a copy in another process opens again.
    """

    form = "archive"

    def __init__(
        self, source: ArchiveSource, index: Index, digests: Digests | None = None, *, complete: bool = False
    ) -> None:
        self.source = source
        self.index = index
        self.split = index.split
        self.labels = index.labels
        self.sizes = index.sizes
        self._offsets = index.offsets
        self._digests = digests
        self._complete = complete

    @classmethod
    def open(cls, source: ArchiveSource, *, verify: bool = False, listener: Listener = silent) -> ArchiveReader:
        """Return the reader of all images of an archive, which is indexed first where no index of it is stored.

        Parameters
        ----------
        source
            The archive.
        verify
            Compare every image that is read with its digest.
        listener
            Gets the progress of indexing.

        Raises
        ------
        UsageError
            If `verify` is asked for and the archive has no digests.
        ArchiveError
            If the archive can't be trusted.
        """
        index = open_index(source, listener)
        return cls(source, index, _recorded_digests(source, index) if verify else None, complete=True)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def path(self) -> Location:
        """The archive file."""
        return self.source.path

    @property
    def names(self) -> pa.StringArray:
        """File names, N strings."""
        return self.index.names

    @property
    def identity(self) -> str:
        """The identity of the index, which holds all names, labels, offsets and sizes."""
        return self.index.identity

    @property
    def state(self) -> str:
        """Inode, times and size of the archive file, in JSON."""
        return json.dumps(asdict(self.source.state), sort_keys=True)

    def name(self, row: int) -> str:
        """Return the file name of an image."""
        return self.index.name(row)

    def where(self, row: int) -> Place:
        """Return where an image lies: in train, its member goes by the inner archive."""
        name, path = self.name(row), str(self.source.path)
        inner = f"{facts.classes()[self.labels.item(row)].wnid}.tar/" if self.split == "train" else ""
        return Place(self.split, path, inner + name, self._offsets.item(row), path)

    def digest(self, row: int) -> bytes | None:
        """Return the digest that an image is compared with when it is read, if there is one."""
        return None if self._digests is None else self._digests[row].tobytes()

    def read(self, row: int) -> bytes:
        """Return an image's file, byte for byte."""
        data = self.source.read(self._offsets.item(row), self.sizes.item(row))
        self.source.refuse_changed()
        if self._digests is not None and xxhash.xxh3_128_digest(data) != self._digests[row].tobytes():
            detail = "its bytes do not have the digest that was recorded of them"
            raise self.where(row).fault(Code.CHANGED_IMAGE, detail)
        return data

    def take(self, rows: Rows) -> Iterator[tuple[int, bytes]]:
        """Yield rows and their bytes; the system fetches the next batch while one is read; its memory is let go."""
        return take_ahead(rows, self.sizes[rows], self.read, will_need=self.will_need, let_go=self.let_go)

    def will_need(self, rows: Rows) -> None:
        """Let the system fetch these rows ahead, neighbours in one piece."""
        for start, length in pieces(self._offsets[rows], self.sizes[rows]):
            self.source.will_need(start, length)

    def let_go(self, rows: Rows) -> None:
        """Give back the memory of rows that were read."""
        for start, length in pieces(self._offsets[rows], self.sizes[rows], HEADERS):
            self.source.let_go(start, length)

    def storage_order(self) -> Int:
        """Return the rows in archive order, shape (N,), int64."""
        return self.index.archive_order

    def spans(self, rows: Rows) -> Int:
        """Return the first byte of each row in the archive and the byte after its last, shape (N, 2), int64."""
        starts = self._offsets[rows]
        return np.stack([starts, starts + self.sizes[rows]], axis=1)

    def containers(self) -> tuple[Container, ...]:
        """Return the archive, with every digest that it should have."""
        return (Container.of(self.source),)

    def require_unchanged(self) -> None:
        """Refuse an archive whose open file, or whose path by now, is not in the state in which it was opened."""
        self.source.refuse_replaced()

    def part(self, rows: Rows) -> ArchiveReader:
        """Return a reader of these rows alone, in this order."""
        digests = None if self._digests is None else self._digests[rows]
        return ArchiveReader(self.source, self.index.part(rows), digests)

    def __reduce__(self) -> tuple[object, ...]:
        if self._complete:
            index = shared(self.index) if self._digests is None else None
            return (
                (_received, (self.source, index)) if index else (_reopened, (self.source, self._digests is not None))
            )
        return ArchiveReader, (self.source, self.index, self._digests)


def _received(source: ArchiveSource, index: Shared) -> ArchiveReader:
    """Return the reader in a process that this one started, if the archive is still in the same state."""
    source.refuse_replaced()
    return ArchiveReader(source, index.index(), complete=True)


def _reopened(source: ArchiveSource, verify: bool) -> ArchiveReader:
    """Return the reader in another process, if the archive is still in the state in which this process opened it."""
    source.refuse_replaced()
    return ArchiveReader.open(source, verify=verify)


def recognise(root: Location) -> list[Found]:
    """Return the splits that official archives hold: those in a folder by their names, or the one that `root` is."""
    if root.is_file():
        return [_found(root, _split_of(root))]
    archives = [(split, root / name) for split in SPLITS for name in expected_names(split)]
    newest = {split: path for split, path in reversed(archives) if path.is_file()}  # of two test archives the newer
    return [_found(newest[split], split) for split in SPLITS if split in newest]


def _found(archive: Location, split: str) -> Found:
    def open_it(*, verify: bool = False, listener: Listener = silent) -> ArchiveReader:
        [whole] = find_archives(archive)
        return ArchiveReader.open(source_of(whole), verify=verify, listener=listener)

    return Found(split, ArchiveReader.form, archive, open_it)


def _split_of(archive: Location) -> str:
    """Return the split of an archive: by its official name, else by its index; empty if that can't be built."""
    named = [split for split in SPLITS if archive.name in expected_names(split)]
    try:
        return named[0] if named else open_index(source_of(archive)).split
    except ArchiveError:
        return ""


def _recorded_digests(source: ArchiveSource, index: Index) -> Digests:
    found = stored_digests(source, index)
    if found is None:
        hint = f"ilsvrc index --digests {shlex.quote(str(source.path))}"
        raise UsageError(f"{source.path}: there are no digests to verify images by", hint=hint)
    return found
