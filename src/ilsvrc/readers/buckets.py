"""Images of a split that were copied from their containers into bucket files, sorted by shard.

A bucket file holds the images of one piece of the storage order. In it, images of one shard are
neighbours. So a shard is read by one read per bucket file in place of one per image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from ilsvrc.archive.source import FileSource
from ilsvrc.issues import Code
from ilsvrc.readers.ahead import HEADERS, NEAR, pieces
from ilsvrc.readers.reader import Container, Int, Place, Reader, Rows
from ilsvrc.stores.path import Location


@dataclass(frozen=True, slots=True)
class Buckets:
    """The place of each image in bucket files.

    sweep : rows of the reader in storage order, shape (N,), int64
    bounds : where bucket files begin in the sweep, and the end of the last, shape (B + 1,), int64
    numbers : bucket file of each row, shape (N,), int64
    offsets : first byte of each row in it, shape (N,), int64
    """

    sweep: Int
    bounds: Int
    numbers: Int
    offsets: Int

    @classmethod
    def of(cls, reader: Reader, order: Int, size: int) -> Buckets:
        """Lay the images of a reader out for being written in an order.

        Parameters
        ----------
        reader
            The images.
        order
            All of its rows, in the order in which they will be written to shards, shape (N,), int64.
        size
            Bytes of images in a bucket file, about.
        """
        sweep, sizes = reader.storage_order(), np.asarray(reader.sizes, np.int64)
        of_sweep = np.cumsum(sizes[sweep]) // size
        begins = np.flatnonzero(np.diff(of_sweep, prepend=-1))
        bounds = np.append(begins, len(sweep)).astype(np.int64)
        numbers, turns = np.empty(len(sweep), np.int64), np.empty(len(sweep), np.int64)
        numbers[sweep] = np.repeat(np.arange(len(begins)), np.diff(bounds))
        turns[order] = np.arange(len(sweep))
        laid = np.lexsort((turns, numbers))  # bucket file by bucket file, in each by the order
        ends = np.cumsum(sizes[laid])
        starts = ends - sizes[laid]
        offsets = np.empty(len(sweep), np.int64)
        offsets[laid] = starts - np.repeat(starts[begins], np.diff(bounds))
        return cls(sweep, bounds, numbers, offsets)


def bucket_name(number: int) -> str:
    """Return the name of a bucket file in its folder."""
    return f"{number:06}"


class BucketReader:
    """The images of another reader, their bytes read from bucket files; all else is that reader's.

    Parameters
    ----------
    reader
        The images.
    folder
        Holds the bucket files.
    numbers, offsets
        Bucket file of each row and first byte in it, shape (N,), int64.
    """

    def __init__(self, reader: Reader, folder: Path, numbers: Int, offsets: Int) -> None:
        self.split = reader.split
        self._reader, self._folder = reader, folder
        self._numbers, self._offsets = numbers, offsets

    @property
    def form(self) -> str:
        """The form that the images come from."""
        return self._reader.form

    @property
    def path(self) -> Location:
        """The file or folder that they come from."""
        return self._reader.path

    @property
    def labels(self) -> npt.NDArray[np.int16]:
        """Indices of sorted wnids, shape (N,), int16."""
        return self._reader.labels

    @property
    def names(self) -> pa.StringArray:
        """File names, N strings."""
        return self._reader.names

    @property
    def sizes(self) -> Int:
        """Bytes of each image's file, shape (N,), int64."""
        return self._reader.sizes

    @property
    def identity(self) -> str:
        """The identity of the images, wherever their bytes are read."""
        return self._reader.identity

    @property
    def state(self) -> str:
        """The state of their source."""
        return self._reader.state

    def name(self, row: int) -> str:
        """Return the file name of an image."""
        return self._reader.name(row)

    def where(self, row: int) -> Place:
        """Return where an image lies in the source."""
        return self._reader.where(row)

    def digest(self, row: int) -> bytes | None:
        """Return the xxh3_128 that was recorded of an image, 16 bytes; None if none was."""
        return self._reader.digest(row)

    def containers(self) -> tuple[Container, ...]:
        """Return the files that the images come from."""
        return self._reader.containers()

    def require_unchanged(self) -> None:
        """Refuse a source that is not in the state in which it was opened."""
        self._reader.require_unchanged()

    @cached_property
    def _sources(self) -> dict[int, FileSource]:
        return {
            number: FileSource(self._folder / bucket_name(number)) for number in np.unique(self._numbers).tolist()
        }

    def __len__(self) -> int:
        return len(self._numbers)

    def read(self, row: int) -> bytes:
        """Return an image's file, compared with its digest if one is known.

        Raises
        ------
        DataError
            If its bytes are others than they should be.
        """
        source, size = self._sources[int(self._numbers[row])], int(self._reader.sizes[row])
        data, digest = source.read(int(self._offsets[row]), size), self._reader.digest(row)
        if digest is not None and xxhash.xxh3_128_digest(data) != digest:
            raise self._reader.where(row).fault(Code.CHANGED_IMAGE, "its bytes are not those that were recorded")
        return data

    def take(self, rows: Rows) -> Iterator[tuple[int, bytes]]:
        """Yield rows and their bytes in the order given; the system fetches all of them at once, file by file."""
        self.will_need(rows)
        for row in rows.tolist():
            yield row, self.read(row)
        self.let_go(rows)

    def will_need(self, rows: Rows) -> None:
        """Let the system fetch these rows ahead, neighbours in one piece."""
        for source, start, length in self._ranges(rows, NEAR):
            source.will_need(start, length)

    def let_go(self, rows: Rows) -> None:
        """Give back the memory of rows that were read."""
        for source, start, length in self._ranges(rows, HEADERS):
            source.let_go(start, length)

    def _ranges(self, rows: Rows, near: int) -> Iterator[tuple[FileSource, int, int]]:
        numbers = self._numbers[rows]
        for number in np.unique(numbers).tolist():
            some = rows[numbers == number]
            for start, length in pieces(self._offsets[some], np.asarray(self._reader.sizes[some], np.int64), near):
                yield self._sources[number], start, length

    def storage_order(self) -> Int:
        """Return the rows bucket file by bucket file, shape (N,), int64."""
        return np.lexsort((self._offsets, self._numbers)).astype(np.int64)

    def spans(self, rows: Rows) -> None:
        """Return None: the containers were swept and proved before."""
        del rows

    def part(self, rows: Rows) -> BucketReader:
        """Return a reader of these rows alone, in this order."""
        rows = np.asarray(rows, np.int64)
        return BucketReader(self._reader.part(rows), self._folder, self._numbers[rows], self._offsets[rows])

    def __reduce__(self) -> tuple[object, ...]:
        return BucketReader, (self._reader, self._folder, self._numbers, self._offsets)
