"""Read images out of an archive that stays packed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from ilsvrc import facts
from ilsvrc.archive.sidecar import Digests, open_index, stored_digests
from ilsvrc.archive.source import FileSource
from ilsvrc.errors import ArchiveError, UsageError
from ilsvrc.issues import Code
from ilsvrc.readers.reader import Rows

Int = npt.NDArray[np.int64]

NEAR = 256 << 10
"""Bytes between two images up to which they are fetched ahead in one piece: a disk reads on faster than it seeks."""


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

    def name(self, row: int) -> str:
        """Return the file name of an image."""
        return self.index.name(row)

    def path(self, row: int) -> str:
        """Return the archive's path, followed by class and name."""
        label = self.labels.item(row)
        return "/".join(
            (str(self.source.path), *([facts.classes()[label].wnid] if label >= 0 else []), self.name(row))
        )

    def read(self, row: int) -> bytes:
        """Return an image's file, byte for byte."""
        data = self.source.read(self._offsets.item(row), self.sizes.item(row))
        self.source.refuse_changed()
        if self._digests is not None and xxhash.xxh3_128_digest(data) != self._digests[row].tobytes():
            raise self.fault(row, Code.CHANGED_IMAGE, "its bytes do not have the digest that was recorded of them")
        return data

    def storage_order(self) -> npt.NDArray[np.int64]:
        """Return the rows in archive order, shape (N,), int64."""
        return self.index.archive_order

    def will_need(self, rows: Rows) -> None:
        """Let the system fetch these rows ahead, neighbours in one piece."""
        if len(rows):
            for start, length in _pieces(self._offsets[rows], self.sizes[rows]):
                self.source.will_need(start, length)

    def fault(self, row: int, code: Code, detail: str) -> ArchiveError:
        """Return an error that names archive, member and byte offset."""
        name, label = self.name(row), self.labels.item(row)
        member = f"{facts.classes()[label].wnid}.tar/{name}" if self.split == "train" else name
        hint = "check the archive: ilsvrc check --deep"
        return ArchiveError(code, detail, self.source.path, member=member, offset=self._offsets.item(row), hint=hint)

    def __reduce__(self) -> tuple[object, ...]:
        return _reopened, (self.source, self._digests is not None)


def _reopened(source: FileSource, verify: bool) -> ArchiveReader:
    return ArchiveReader(source, verify=verify)


def _pieces(offsets: Int, sizes: Int) -> list[tuple[int, int]]:
    """Return offset and length in bytes of the pieces to fetch for some images, what is read first at first."""
    order = np.argsort(offsets)
    starts, stops = offsets[order], (offsets + sizes)[order]
    ends = np.append(np.flatnonzero(starts[1:] > stops[:-1] + NEAR), len(order) - 1)
    begins = np.append(0, ends[:-1] + 1)
    turns = np.argsort(np.minimum.reduceat(order, begins))
    found = starts[begins][turns], (stops[ends] - starts[begins])[turns]
    return list(zip(*(column.tolist() for column in found), strict=True))


def _digests(reader: ArchiveReader) -> Digests:
    found = stored_digests(reader.source, reader.index)
    if found is None:
        path = reader.source.path
        raise UsageError(f"{path}: there are no digests to verify images by", hint=f"ilsvrc index --digests {path}")
    return found
