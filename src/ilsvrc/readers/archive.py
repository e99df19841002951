"""Read images out of an archive that stays packed."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import xxhash

from ilsvrc import facts
from ilsvrc.archive.expected import SUMS_FILES, expected
from ilsvrc.archive.sidecar import Digests, open_index, stored_digests
from ilsvrc.archive.source import FileSource, FileState
from ilsvrc.errors import ArchiveError, UsageError
from ilsvrc.issues import Code
from ilsvrc.readers.reader import Container, Int, Place, Rows

NEAR = 256 << 10
"""Bytes between two images up to which they are fetched ahead in one piece: a disk reads on faster than it seeks."""

BATCH = 32 << 20
"""Bytes of images that `take` announces at a time; one batch is read while the next is fetched."""

_HEADERS = 4 << 10
"""Bytes between two images up to which nothing but tar headers lies between them."""


class ArchiveReader:
    """The images of one archive: each is one `pread` at its place in the index, which all processes share.

    Parameters
    ----------
    source
        The archive.
    verify
        Compare every image that is read with its digest.

    Raises
    ------
    UsageError
        If `verify` is asked for and the archive has no digests.
    """

    def __init__(self, source: FileSource, *, verify: bool = False) -> None:
        self.source = source
        self._state = FileState.of(source.fileno())
        self.index = open_index(source)
        self.split = self.index.split
        self.labels = self.index.labels
        self.sizes = self.index.sizes
        self._offsets = self.index.offsets
        self._digests = _digests(self) if verify else None

    def __len__(self) -> int:
        return len(self.index)

    @property
    def names(self) -> pa.StringArray:
        """File names, N strings."""
        return self.index.names

    @property
    def identity(self) -> str:
        """The fingerprint of the index, which holds all names, labels, offsets and sizes."""
        return self.index.identity

    def name(self, row: int) -> str:
        """Return the file name of an image."""
        return self.index.name(row)

    def where(self, row: int) -> Place:
        """Return where an image lies: in train, its member goes by the inner archive."""
        name, path = self.name(row), str(self.source.path)
        inner = f"{facts.classes()[self.labels.item(row)].wnid}.tar/" if self.split == "train" else ""
        return Place(self.split, path, inner + name, self._offsets.item(row), path)

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
        batches = _batches(rows, self.sizes[rows])
        self.will_need(batches[0])
        for batch, following in itertools.zip_longest(batches, batches[1:], fillvalue=rows[:0]):
            self.will_need(following)
            for row in batch.tolist():
                yield row, self.read(row)
            for start, length in _pieces(self._offsets[batch], self.sizes[batch], _HEADERS):
                self.source.let_go(start, length)

    def will_need(self, rows: Rows) -> None:
        """Let the system fetch these rows ahead, neighbours in one piece."""
        for start, length in _pieces(self._offsets[rows], self.sizes[rows]):
            self.source.will_need(start, length)

    def storage_order(self) -> Int:
        """Return the rows in archive order, shape (N,), int64."""
        return self.index.archive_order

    def spans(self, rows: Rows) -> Int:
        """Return the first byte of each row in the archive and the byte after its last, shape (N, 2), int64."""
        starts = self._offsets[rows]
        return np.stack([starts, starts + self.sizes[rows]], axis=1)

    def containers(self) -> tuple[Container, ...]:
        """Return the archive, with the digest that is known of it: md5 before sha256."""
        found = (expected(self.source, algorithm) for algorithm in SUMS_FILES)
        return (Container(self.source.path, self.source.size, next(filter(None, found), None)),)

    def require_unchanged(self) -> None:
        """Refuse an archive whose open file, or whose path by now, is not in the state in which it was opened."""
        self.source.refuse_changed()
        try:
            self.source.refuse_replaced(self._state)
        except FileNotFoundError:
            detail = "the archive was moved or removed while it was in use"
            hint = "put it back, then run the same command again"
            raise ArchiveError(Code.MISSING_FILE, detail, self.source.path, hint=hint) from None

    def __reduce__(self) -> tuple[object, ...]:
        return _reopened, (self.source, self._state, self._digests is not None)


def _reopened(source: FileSource, state: FileState, verify: bool) -> ArchiveReader:
    """Return the reader in another process, if the archive is still in the state in which this process opened it."""
    source.refuse_replaced(state)
    return ArchiveReader(source, verify=verify)


def _batches(rows: Rows, sizes: Int) -> list[Rows]:
    """Cut rows into batches of about BATCH bytes each; one empty batch if there are no rows."""
    return np.split(rows, np.flatnonzero(np.diff(np.cumsum(sizes) // BATCH)) + 1)


def _pieces(offsets: Int, sizes: Int, near: int = NEAR) -> list[tuple[int, int]]:
    """Return (offset, length) of each byte range that holds some images, in the order in which they will be read.

    Images with up to `near` bytes between them share a range.
    """
    if not len(offsets):
        return []
    order = np.argsort(offsets)
    starts, stops = offsets[order], (offsets + sizes)[order]
    ends = np.append(np.flatnonzero(starts[1:] > stops[:-1] + near), len(order) - 1)
    begins = np.append(0, ends[:-1] + 1)
    turns = np.argsort(np.minimum.reduceat(order, begins))
    found = starts[begins][turns], (stops[ends] - starts[begins])[turns]
    return list(zip(*(column.tolist() for column in found), strict=True))


def _digests(reader: ArchiveReader) -> Digests:
    found = stored_digests(reader.source, reader.index)
    if found is None:
        path = reader.source.path
        hint = f"ilsvrc index --digests {shlex.quote(str(path))}"
        raise UsageError(f"{path}: there are no digests to verify images by", hint=hint)
    return found
