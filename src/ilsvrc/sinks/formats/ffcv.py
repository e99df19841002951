"""FFCV: one `.beton` file per split, whose pages the loader of FFCV maps or reads.

The form is that of version 2, which FFCV 0.0.3 and 1.0 read: `types.py`, `writer.py` and `memory_allocator.py` of
https://github.com/libffcv/ffcv. A header, descriptions of the fields, 24 bytes of metadata for each image, pages of
images, the table of what lies in the pages. FFCV itself is not needed to write it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import simplejpeg

from ilsvrc.archive.source import FileSource
from ilsvrc.errors import DamageError, MachineError
from ilsvrc.images.decode import UndecodableError, pillow
from ilsvrc.images.pixels import ppm_header
from ilsvrc.issues import Code, Issue
from ilsvrc.readers.reader import Int
from ilsvrc.readers.units import Sample
from ilsvrc.sinks.formats.base import Placed, Plain, ShardFile, Written

_VERSION = 2
_HEADER = np.dtype(
    [("version", "<u2"), ("fields", "<u2"), ("page", "<u4"), ("samples", "<u8"), ("allocations", "<u8")]
)
_FIELD = np.dtype([("type", "u1"), ("name", "S16"), ("arguments", "V1024")])
_INTEGER, _RGB_IMAGE = 1, 2
_METADATA = np.dtype(
    {
        "names": ["mode", "width", "height", "pointer", "label"],
        "formats": ["u1", "<u2", "<u2", "<u8", "<i8"],
        "offsets": [0, 1, 3, 5, 16],
        "itemsize": 24,
    }
)
_ALLOCATION = np.dtype([("sample", "<u8"), ("pointer", "<u8"), ("size", "<u8")])
_JPG, _RAW = 0, 1

_PAGE = 8 << 20
"""Bytes of a page, at least: what FFCV's own writer takes. An image and its pixels lie in one page."""

_SIDE = (1 << 16) - 1
"""Most pixels of a side."""

_SEEN = np.dtype([("mode", "u1"), ("width", "<u2"), ("height", "<u2"), ("begin", "<u8"), ("pixels", "<u8")])
"""What a piece says of each image at its end: how FFCV reads it, from which byte; bytes of pixels after its file."""


class _Look(NamedTuple):
    """How FFCV reads an image: sides in pixels, first byte; the pixels themselves, where it can't decode the file."""

    mode: int
    width: int
    height: int
    begin: int = 0
    pixels: bytes = b""


@dataclass(frozen=True, slots=True)
class Ffcv(Plain):
    """Fields `image`, an `RGBImageField`, and `label`, an `IntField`; -1 in the test split.

    The JPEG files are copied, not encoded anew. FFCV does not decode CMYK and PNG, and hands out what was in
    memory before: such images have their pixels behind their file, and FFCV gets the pixels, in mode raw. Of a PPM,
    which is a file of pixels, it gets those in the file.
    """

    name: ClassVar[str] = "ffcv"
    shard_size: ClassVar[int] = 500_000_000
    whole: ClassVar[bool] = True

    def path(self, split: str, number: int, count: int) -> str:  # noqa: ARG002
        """Return `train.beton`."""
        return f"{split}.beton"

    def write(self, file: ShardFile, samples: Iterable[Sample], split: str) -> Iterator[Placed]:  # noqa: ARG002
        """Write the images of a piece, with their pixels where FFCV needs them; then what was seen of each."""
        seen = []
        for sample in samples:
            look = _look(sample)
            placed = Placed(sample, file.append(sample.data, look.pixels))
            seen.append((look.mode, look.width, look.height, look.begin, len(look.pixels)))
            yield placed
        file.append(np.array(seen, _SEEN).tobytes())

    def assemble(self, file: ShardFile, pieces: Sequence[Path], table: pa.Table, split: str) -> Int:  # noqa: ARG002
        """Write header, metadata, pages and the table of allocations, each byte once."""
        sources = [FileSource(path) for path in pieces]
        blocks = _Blocks.of(sources, table)
        page, count = _page_of(blocks.sizes), len(blocks.sizes)
        start = _HEADER.itemsize + 2 * _FIELD.itemsize + count * _METADATA.itemsize
        first = -(-start // page) * page
        offsets = first + _packed(blocks.sizes, page)
        pages = (int(offsets[-1]) - first) // page + 1 if count else 0
        header = np.array((_VERSION, 2, page, count, first + pages * page if count else start), _HEADER)
        fields = np.array([(_RGB_IMAGE, b"image", b""), (_INTEGER, b"label", b"")], _FIELD)
        metadata, allocations = _tables(blocks, offsets, table)
        file.append(header.tobytes(), fields.tobytes(), metadata.tobytes())
        for number in range(pages):
            begin, end = np.searchsorted(offsets, [first + number * page, first + (number + 1) * page])
            file.append(bytes(first + number * page - file.tell()))
            file.append(*blocks.read(sources, int(begin), int(end)))
        if pages:
            file.append(bytes(first + pages * page - file.tell()))
        file.append(allocations.tobytes())
        return offsets

    def closing(self, splits: Mapping[str, Written]) -> dict[str, bytes]:  # noqa: ARG002
        """Return nothing: a `.beton` file is read without others."""
        return {}


def _look(sample: Sample) -> _Look:
    """Return how FFCV reads an image.

    Raises
    ------
    DamageError
        If it is no image: FFCV must know its sides.
    """
    if header := ppm_header(sample.data):
        return _of_raw(sample, (header.width, header.height), header.size)
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(sample.data)
        if colours not in ("CMYK", "YCCK"):
            return _Look(_JPG, width, height)
    except ValueError:
        pass  # no JPEG
    try:
        image = pillow(sample.data)
    except UndecodableError as error:
        raise _refused(sample, Code.NOT_AN_IMAGE, str(error)) from None
    return _of_raw(sample, image.size, len(sample.data), image.tobytes())


def _of_raw(sample: Sample, size: tuple[int, int], begin: int, pixels: bytes = b"") -> _Look:
    """Return how FFCV reads pixels, which begin in an image's file or behind it."""
    if max(size) > _SIDE:
        raise _refused(sample, Code.UNDECODABLE, f"{size[0]:,} by {size[1]:,} pixels")
    return _Look(_RAW, *size, begin, pixels)


def _refused(sample: Sample, code: Code, detail: str) -> DamageError:
    hint = "fetch the source again, or choose a format that takes any file: webdataset, lmdb"
    return DamageError(
        f"{sample.name} can't be written for FFCV: {detail}", [Issue(sample.key, code, detail)], hint=hint
    )


@dataclass(frozen=True, slots=True)
class _Blocks:
    """The images of a split, each with the pixels behind it, in pieces.

    pieces : number of the piece of each, shape (N,)
    begins : first byte in the piece, shape (N,)
    sizes : bytes of file and pixels, shape (N,)
    seen : what the pieces say of each, shape (N,), of `_SEEN`
    """

    pieces: npt.NDArray[np.int32]
    begins: Int
    sizes: Int
    seen: npt.NDArray[Any]

    @classmethod
    def of(cls, sources: Sequence[FileSource], table: pa.Table) -> _Blocks:
        """Return the blocks that the manifest of a split speaks of; those of a piece follow each other.

        Raises
        ------
        MachineError
            If they don't.
        """
        pieces, begins = table.column("shard").to_numpy(), table.column("offset").to_numpy()
        counts = np.bincount(pieces, minlength=len(sources))
        tails = [(source, int(count) * _SEEN.itemsize) for source, count in zip(sources, counts, strict=True)]
        seen = np.frombuffer(b"".join(source.read(source.size - tail, tail) for source, tail in tails), _SEEN)
        sizes = table.column("size").to_numpy() + seen["pixels"].astype(np.int64)
        follow = (begins[1:] == begins[:-1] + sizes[:-1]) | (begins[1:] == 0) & (pieces[1:] > pieces[:-1])
        if not follow.all():
            raise MachineError("the pieces in staging are not those that were written", hint="add --restart")
        return cls(pieces, begins, sizes, seen)

    def read(self, sources: Sequence[FileSource], begin: int, end: int) -> list[bytes]:
        """Return the bytes of some blocks that follow each other, from each piece at once."""
        bounds = [begin, *(np.flatnonzero(np.diff(self.pieces[begin:end])) + begin + 1).tolist(), end]
        return [
            sources[self.pieces[at]].read(int(self.begins[at]), int(self.sizes[at:to].sum()))
            for at, to in itertools.pairwise(bounds)
        ]


def _page_of(sizes: Int) -> int:
    """Return the bytes of a page: a power of two that holds the largest block."""
    largest = int(sizes.max()) if len(sizes) else 0
    return max(_PAGE, 1 << (largest - 1).bit_length()) if largest else _PAGE


def _packed(sizes: Int, page: int) -> Int:
    """Return where each block lies in the pages: after the one before, or on the next page if it does not fit."""
    ends = np.cumsum(sizes)
    offsets, begin, number = np.empty(len(sizes), np.int64), 0, 0
    while begin < len(sizes):
        before = int(ends[begin - 1]) if begin else 0
        end = int(np.searchsorted(ends, before + page, side="right"))
        offsets[begin:end] = ends[begin:end] - sizes[begin:end] - before + number * page
        begin, number = end, number + 1
    return offsets


def _tables(blocks: _Blocks, offsets: Int, table: pa.Table) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return metadata and allocations: where FFCV finds the file, or the pixels behind it."""
    begins = blocks.seen["begin"].astype(np.int64)
    pointers = offsets + begins
    metadata = np.zeros(len(offsets), _METADATA)
    for name in ("mode", "width", "height"):
        metadata[name] = blocks.seen[name]
    metadata["pointer"], metadata["label"] = pointers, table.column("label").to_numpy()
    allocations = np.zeros(len(offsets), _ALLOCATION)
    allocations["sample"], allocations["pointer"] = np.arange(len(offsets)), pointers
    allocations["size"] = blocks.sizes - begins
    return metadata, allocations
