"""Formats that have one file for a split: images at places that follow from their sizes, and tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

import pyarrow as pa

from ilsvrc.archive.source import FileSource
from ilsvrc.readers.reader import Int
from ilsvrc.readers.units import Sample
from ilsvrc.sinks.formats.base import Format, Placed, Plain, ShardFile, Written

_ROWS = 1 << 14


class Layout(Protocol):
    """The places of all images in the one file of a split. Pickles, and is small; equal ones give equal places.

    Each image has a frame: itself, and what the format has before and after it. Frames follow each other.
    """

    def begins(self, sizes: Int) -> Int:
        """Return the first byte of each frame and the end of the last one, shape (N + 1,), int64.

        Parameters
        ----------
        sizes
            Bytes of all images, in order, shape (N,).
        """

    def around(self, at: int, number: int, label: int, data: bytes) -> tuple[bytes, bytes]:
        """Return what is before and after an image in its frame.

        Parameters
        ----------
        at
            First byte of the frame.
        number
            The image's place in the order, from 0.
        label
            Its label, -1 in the test split.
        data
            Its file.
        """

    def complete(self, file: ShardFile, table: pa.Table, notes: bytes, split: str) -> None:
        """Write all but the frames: the same images give the same bytes.

        Parameters
        ----------
        file
            Has all frames, and appends behind them.
        table
            The manifest of the split, with the offsets of images in this file.
        notes
            What `Whole.look` noted of each image, one note after the other.
        split
            Train, val or test.
        """


@runtime_checkable
class Whole(Format, Protocol):
    """A format that has one file for a split.

    Where the bytes of all images are known beforehand, workers write images to their places in this file. Else they
    write pieces, by `write`, which are copied to their places once all of them are there.
    """

    def look(self, samples: Iterable[Sample]) -> Iterator[tuple[Sample, bytes]]:
        """Yield images that the format can hold, each with a note: what its tables tell that the manifest does not.

        All notes of a format have the same size.

        Raises
        ------
        IlsvrcError
            If the format can't hold one.
        """

    def layout(self, sizes: Int, notes: bytes | None = None) -> Layout:
        """Return the places of all images.

        Parameters
        ----------
        sizes
            Bytes of all images, in order, shape (N,).
        notes
            What `look` noted of them, None as long as nobody has looked. Where a note says what could not be
            foreseen, the layout is another one than without notes, and all images are copied to their new places.
        """


class OneFile(Plain):
    """A format that has one file for a split and nothing else."""

    __slots__ = ()
    shard_size: ClassVar[int] = 500_000_000
    whole: ClassVar[bool] = True

    def look(self, samples: Iterable[Sample]) -> Iterator[tuple[Sample, bytes]]:
        """Yield the images: any file will do, and there is nothing to note."""
        return ((sample, b"") for sample in samples)

    def write(self, file: ShardFile, samples: Iterable[Sample], split: str) -> Iterator[Placed]:  # noqa: ARG002
        """Write the images of a piece one after the other."""
        for sample, note in self.look(samples):
            yield Placed(sample, file.append(sample.data), note)

    def closing(self, splits: Mapping[str, Written]) -> dict[str, bytes]:  # noqa: ARG002
        """Return nothing: the file is read without others."""
        return {}


def placed(file: ShardFile, layout: Layout, images: Iterable[tuple[Sample, bytes]], number: int) -> Iterator[Placed]:
    """Write images to their places, from the frame of the image of this number on."""
    for at, (sample, note) in enumerate(images, number):
        yield Placed(
            sample, framed(file, layout, at, -1 if sample.label is None else sample.label, sample.data), note
        )


def framed(file: ShardFile, layout: Layout, number: int, label: int, data: bytes) -> int:
    """Write the frame of an image, which follows the one before; return where the image itself begins."""
    before, after = layout.around(file.tell(), number, label, data)
    return file.append(before, data, after) + len(before)


def images_in(pieces: Sequence[Path], table: pa.Table) -> Iterator[tuple[int, bytes]]:
    """Yield label and bytes of every image of a split from its pieces, in order."""
    sources = [FileSource(path) for path in pieces]
    for batch in table.select(["label", "shard", "offset", "size"]).to_batches(max_chunksize=_ROWS):
        for label, number, offset, size in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            yield label, sources[number].read(offset, size)
