"""FFCV: one `.beton` file per split, whose pages the loader of FFCV maps or reads.

The form is that of version 2, which FFCV 0.0.3 and 1.0 read: `types.py`, `writer.py` and `memory_allocator.py` of
https://github.com/libffcv/ffcv. A header, descriptions of the fields, 24 bytes of metadata for each image, pages of
images, the table of what lies in the pages. FFCV itself is not needed to write it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import simplejpeg

from ilsvrc.errors import DamageError
from ilsvrc.images.decode import UndecodableError, pillow
from ilsvrc.images.pixels import ppm_header
from ilsvrc.issues import Code, Issue
from ilsvrc.readers.reader import Int
from ilsvrc.readers.units import Sample
from ilsvrc.sinks.formats.base import ShardFile
from ilsvrc.sinks.formats.whole import OneFile

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

_NOTE = np.dtype([("mode", "u1"), ("width", "<u2"), ("height", "<u2"), ("begin", "<u8")])
"""What is noted of an image: how FFCV reads it, its sides, and the first byte of its file that FFCV reads."""


@dataclass(frozen=True, slots=True)
class Ffcv(OneFile):
    """Fields `image`, an `RGBImageField`, and `label`, an `IntField`; -1 in the test split.

    The JPEG files are copied, not encoded anew. FFCV does not decode CMYK and PNG, and hands out what was in
    memory before: pixels of such images lie behind all images, and FFCV gets the pixels, in mode raw. Of a PPM,
    which is a file of pixels, it gets those in the file.
    """

    name: ClassVar[str] = "ffcv"

    def path(self, split: str, number: int, count: int) -> str:  # noqa: ARG002
        """Return `train.beton`."""
        return f"{split}.beton"

    def look(self, samples: Iterable[Sample]) -> Iterator[tuple[Sample, bytes]]:
        """Yield images, each with a note of how FFCV reads it.

        Raises
        ------
        DamageError
            If one is no image: FFCV must know its sides.
        """
        for sample in samples:
            yield sample, np.array(_look(sample), _NOTE).tobytes()

    def layout(self, sizes: Int, notes: bytes | None = None) -> Pages:
        """Return pages that hold the largest image, and the largest pixels that lie behind all images."""
        seen = _seen(notes or b"")
        behind = _pixels(seen)[seen["begin"] == sizes].tolist() if notes else []
        largest = max([_PAGE, *sizes[sizes > _PAGE].tolist(), *behind])
        page = 1 << (largest - 1).bit_length()
        start = _HEADER.itemsize + 2 * _FIELD.itemsize + len(sizes) * _METADATA.itemsize
        return Pages(page, -(-start // page) * page if len(sizes) else start)


@dataclass(frozen=True, slots=True)
class Pages:
    """A layout: images follow each other in pages, and none lies in two of them.

    page : bytes of a page, a power of two
    first : where the first page begins; headers and metadata are before it
    """

    page: int
    first: int

    def begins(self, sizes: Int) -> Int:
        """Return where each frame begins: the rest of a page before an image belongs to its frame."""
        ends = np.cumsum(sizes)
        begins, begin, number = np.full(len(sizes) + 1, self.first, np.int64), 0, 0
        while begin < len(sizes):
            before = int(ends[begin - 1]) if begin else 0
            end = int(np.searchsorted(ends, before + self.page, side="right"))
            begins[begin + 1 : end + 1] = self.first + ends[begin:end] - before + number * self.page
            begin, number = end, number + 1
        return begins

    def around(self, at: int, number: int, label: int, data: bytes) -> tuple[bytes, bytes]:  # noqa: ARG002
        """Return the rest of the page, if an image does not fit in it."""
        return bytes(self._rest(at, len(data))), b""

    def _rest(self, at: int, size: int) -> int:
        left = -at % self.page
        return left if size > left else 0

    def complete(self, file: ShardFile, table: pa.Table, notes: bytes, split: str) -> None:  # noqa: ARG002
        """Write pixels where FFCV can't decode the file; the table of allocations; header, fields and metadata."""
        seen, offsets, sizes = _seen(notes), table.column("offset").to_numpy(), table.column("size").to_numpy()
        begins = seen["begin"].astype(np.int64)
        pointers, lengths = offsets + begins, sizes - begins
        for row in np.flatnonzero((lengths == 0) & (seen["mode"] == _RAW)).tolist():
            pixels = pillow(file.read(int(offsets[row]), int(sizes[row]))).tobytes()
            rest = bytes(self._rest(file.tell(), len(pixels)))
            pointers[row], lengths[row] = file.append(rest, pixels) + len(rest), len(pixels)
        file.append(bytes(-(file.tell() - self.first) % self.page))
        metadata = np.zeros(len(seen), _METADATA)
        for name in ("mode", "width", "height"):
            metadata[name] = seen[name]
        metadata["pointer"], metadata["label"] = pointers, table.column("label").to_numpy()
        allocations = np.zeros(len(seen), _ALLOCATION)
        allocations["sample"], allocations["pointer"], allocations["size"] = range(len(seen)), pointers, lengths
        header = np.array((_VERSION, 2, self.page, len(seen), file.append(allocations.tobytes())), _HEADER)
        fields = np.array([(_RGB_IMAGE, b"image", b""), (_INTEGER, b"label", b"")], _FIELD)
        head = b"".join((header.tobytes(), fields.tobytes(), metadata.tobytes()))
        file.rewrite(0, head + bytes(self.first - len(head)))


def _seen(notes: bytes) -> npt.NDArray[Any]:
    """Return what was noted of images, shape (N,), of `_NOTE`."""
    return np.frombuffer(notes, _NOTE)


def _pixels(seen: npt.NDArray[Any]) -> Int:
    """Return the bytes of images' pixels, shape (N,), int64."""
    return 3 * seen["width"].astype(np.int64) * seen["height"].astype(np.int64)


def _look(sample: Sample) -> tuple[int, int, int, int]:
    """Return how FFCV reads an image, as `_NOTE` has it: pixels behind all images begin where the file ends.

    Raises
    ------
    DamageError
        If it is no image.
    """
    if header := ppm_header(sample.data):
        return _of_raw(sample, (header.width, header.height), header.size)
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(sample.data)
        if colours not in ("CMYK", "YCCK"):
            return _JPG, width, height, 0
    except ValueError:
        pass  # no JPEG
    try:
        return _of_raw(sample, pillow(sample.data).size, len(sample.data))
    except UndecodableError as error:
        raise _refused(sample, Code.NOT_AN_IMAGE, str(error)) from None


def _of_raw(sample: Sample, size: tuple[int, int], begin: int) -> tuple[int, int, int, int]:
    """Return how FFCV reads pixels."""
    if max(size) > _SIDE:
        raise _refused(sample, Code.UNDECODABLE, f"{size[0]:,} by {size[1]:,} pixels")
    return _RAW, *size, begin


def _refused(sample: Sample, code: Code, detail: str) -> DamageError:
    hint = "fetch the source again, or choose a format that takes any file: webdataset, lmdb"
    return DamageError(
        f"{sample.name} can't be written for FFCV: {detail}", [Issue(sample.key, code, detail)], hint=hint
    )
