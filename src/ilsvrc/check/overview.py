"""What a split holds, in figures small enough to be shown: classes, bytes, pixels, formats, labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ilsvrc.check.loaders import LoaderLabels, class_labels
from ilsvrc.check.places import NO_ROW, rows_of
from ilsvrc.errors import DataError
from ilsvrc.events import Advanced, Finished, Listener, Started, silent
from ilsvrc.images.measure import KINDS, measure
from ilsvrc.issues import Issue
from ilsvrc.readers.reader import Int, Place, Reader
from ilsvrc.readers.tars.reader import TarReader
from ilsvrc.run.order import shuffled
from ilsvrc.sinks.measuring import RECORD, record_of
from ilsvrc.tree.counts import Expectation, counts_of

SAMPLE = 2_000
"""Images that are measured where not all are read: a share of one half is then known to 2.2 % in 19 of 20 cases."""

SEED = 0
"""Draws the sample: by names, so that a data set has the same one in every form."""

COMMON = 8
"""Pairs of width and height that are listed."""

_BYTES = tuple(round(2 ** (half / 2)) for half in range(16, 49))
"""256 bytes to 16 MiB, in steps of the square root of 2."""

_PIXELS = tuple(range(0, 1_550, 50))
_ASPECTS = tuple(tenth / 10 for tenth in range(2, 31))

Numbers = npt.NDArray[np.integer[Any]] | npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often values lie between edges.

    edges : one more than there are bins; values beyond the first or last possible edge count in the bin beside it
    counts : of each bin; the first and the last bin are not empty
    least, median, mean, greatest : of the values themselves
    """

    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    least: float = 0.0
    median: float = 0.0
    mean: float = 0.0
    greatest: float = 0.0

    @classmethod
    def of(cls, values: Numbers, edges: Sequence[float]) -> Self:
        """Return the histogram of some values; an empty one of none."""
        if not len(values):
            return cls()
        inside = np.clip(values, edges[0], np.nextafter(edges[-1], edges[0]))
        counts, _ = np.histogram(inside, edges)
        filled = np.flatnonzero(counts)
        first, last = filled.item(0), filled.item(-1) + 1
        figures = (values.min(), np.median(values), values.mean(), values.max())
        return cls(tuple(edges[first : last + 1]), tuple(counts[first:last].tolist()), *map(float, figures))


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """Images of each class, by index.

    found : how many there are, 1000 numbers
    wanted : how many there should be, 1000 numbers; None if nothing says so
    origin : who says how many there should be; empty if nothing does
    """

    found: tuple[int, ...]
    wanted: tuple[int, ...] | None = None
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Measures:
    """What the headers of images say.

    images : how many were measured; a file that is no image is not counted
    read : how many were read for it
    of : how many there are
    seed : of the sample that was read; None if all images were
    kinds : how many are of each format, by its name
    width, height : in pixels, as they are stored
    aspect : width by height
    common : width, height and number of images of the most frequent sizes
    """

    images: int
    read: int
    of: int
    seed: int | None
    kinds: dict[str, int]
    width: Histogram
    height: Histogram
    aspect: Histogram
    common: tuple[tuple[int, int, int], ...]

    @classmethod
    def from_records(cls, records: npt.NDArray[Any], of: int, sample: int | None = None) -> Self:
        """Return the measures of some images.

        Parameters
        ----------
        records
            A RECORD of each image.
        of
            How many images the split has.
        sample
            How many were drawn by SEED and read; None if all were read.
        """
        widths, heights = records["width"].astype(np.int64), records["height"].astype(np.int64)
        kinds = np.bincount(records["kind"], minlength=len(KINDS) + 1)[1:].tolist()
        sizes, counts = np.unique(np.stack([widths, heights], axis=1), axis=0, return_counts=True)
        most = np.argsort(-counts, kind="stable")[:COMMON]
        return cls(
            images=len(records),
            read=of if sample is None else sample,
            of=of,
            seed=None if sample is None else SEED,
            kinds={kind: count for kind, count in zip(KINDS, kinds, strict=True) if count},
            width=Histogram.of(widths, _PIXELS),
            height=Histogram.of(heights, _PIXELS),
            aspect=Histogram.of(widths / np.maximum(heights, 1), _ASPECTS),
            common=tuple((*sizes[at].tolist(), counts.item(at)) for at in most.tolist()),
        )


@dataclass(frozen=True)
class Overview:
    """A split in figures, and the way from its issues to its images.

    images : its reader
    rows : the reader's row of the image that each issue of the part is about, -1 for none; shape (issues,), int64
    classes : images per class; None for the test split
    bytes : of images' files
    measures : what their headers say; None for a compressed tar that was not read whole
    loaders : the labels that loaders give
    """

    images: Reader = field(repr=False)
    rows: Int = field(repr=False)
    classes: ClassCounts | None
    bytes: Histogram
    measures: Measures | None
    loaders: tuple[LoaderLabels, ...]

    def place(self, number: int) -> Place | None:
        """Return where the image lies that an issue of the part is about, by the issue's number; None for none."""
        row = self.rows.item(number)
        return None if row == NO_ROW else self.images.where(row)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return {
            "classes": asdict(self.classes) if self.classes else None,
            "bytes": asdict(self.bytes),
            "measures": asdict(self.measures) if self.measures else None,
            "loaders": [asdict(one) for one in self.loaders],
        }


def overview_of(  # noqa: PLR0913  -- what a check has found out already, each by its name
    reader: Reader,
    issues: Sequence[Issue],
    *,
    records: npt.NDArray[Any] | None = None,
    expected: Expectation | None = None,
    loaders: tuple[LoaderLabels, ...] | None = None,
    listener: Listener = silent,
) -> Overview:
    """Return the figures of a split.

    Parameters
    ----------
    reader
        The split.
    issues
        What was found in it.
    records
        A RECORD of each image, if all were read; else a sample is drawn and read.
    expected
        How many images each class should have, if anything says so.
    loaders
        The labels that loaders give to its folders; None if it has none: then those of folders named by wnid.
    listener
        Gets the progress of reading a sample.
    """
    measures = Measures.from_records(records, len(reader)) if records is not None else _sampled(reader, listener)
    return Overview(
        images=reader,
        rows=rows_of(reader, issues),
        classes=_classes(reader, expected) if reader.split != "test" else None,
        bytes=Histogram.of(reader.sizes, _BYTES),
        measures=measures,
        loaders=class_labels(reader.labels) if loaders is None else loaders,
    )


def _classes(reader: Reader, expected: Expectation | None) -> ClassCounts:
    found = tuple(counts_of(reader.labels).tolist())
    return ClassCounts(found, tuple(expected.counts.tolist()), expected.origin) if expected else ClassCounts(found)


def sample_of(reader: Reader, count: int) -> Int:
    """Return the rows of a sample, shape (min(count, N),), int64, in storage order."""
    order = reader.storage_order()
    if len(reader) <= count:
        return order
    chosen = np.zeros(len(reader), np.bool_)
    chosen[shuffled(reader, SEED)[:count]] = True
    rows: Int = order[chosen[order]]
    return rows


def _sampled(reader: Reader, listener: Listener) -> Measures | None:
    """Measure a sample; nothing of a compressed tar, where an image costs megabytes to be decompressed before it."""
    packed = isinstance(reader, TarReader) and reader.containers()
    if not len(reader) or (packed and reader.spans(reader.storage_order()[:1]) is None):
        return None
    stage, rows, records = f"measure {reader.split}", sample_of(reader, SAMPLE), list[tuple[int, int, int]]()
    listener(Started(stage, int(reader.sizes[rows].sum()), len(rows)))
    for data in _readable(reader, rows):
        records.append(record_of(measure(data)))
        listener(Advanced(stage, len(data), 1))
    listener(Finished(stage))
    found = np.array(records, RECORD)
    return Measures.from_records(
        found[found["kind"] > 0], len(reader), len(rows) if len(rows) < len(reader) else None
    )


def _readable(reader: Reader, rows: Int) -> Iterator[bytes]:
    """Yield the bytes of some rows; those of an image that can't be read are left out."""
    at = 0
    while at < len(rows):
        try:
            for _, data in reader.take(rows[at:]):
                at += 1
                yield data
        except (DataError, OSError):  # the check itself tells which images can't be read
            at += 1
