"""The zip that EDM, StyleGAN2-ADA and StyleGAN3 train from: PNGs of one size and `dataset.json` with their labels.

The form: dataset_tool.py and training/dataset.py of https://github.com/NVlabs/edm. Written by Python's zipfile.
"""

from __future__ import annotations

import json
import zipfile
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ClassVar, cast

import numpy as np
import pyarrow as pa

from ilsvrc.errors import UsageError
from ilsvrc.readers.reader import Int
from ilsvrc.readers.units import Sample
from ilsvrc.sinks.formats.base import Placed, Plain, ShardFile, Written, images_in, spool

_BEGIN = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_RGB = b"\x08\x02"
"""Bits of a channel and colour type of an RGB image in the header of a PNG (W3C PNG, 11.2.1)."""

_HEADER = len(_BEGIN) + 8 + len(_RGB)
_LABELS = "dataset.json"
_HINT = "add --crop 64 --encode png, or another size: it makes every image RGB, of one size"
_ROWS = 1 << 14


@dataclass(frozen=True, slots=True)
class Edm(Plain):
    """One zip for each split, `{split}.zip`: stored members `00000/img00000000.png` and so on, `dataset.json` last.

    Labels are indices of sorted wnids, so that there are 1000 classes even where images of a few are in it; in test,
    labels are null. The training programs want squares; a zip of other images can be written, if all are of one size.
    """

    name: ClassVar[str] = "edm"
    shard_size: ClassVar[int] = 500_000_000
    whole: ClassVar[bool] = True

    def path(self, split: str, number: int, count: int) -> str:  # noqa: ARG002
        """Return `train.zip`."""
        return f"{split}.zip"

    def write(self, file: ShardFile, samples: Iterable[Sample], split: str) -> Iterator[Placed]:  # noqa: ARG002
        """Write the images of a piece one after the other.

        Raises
        ------
        UsageError
            If one is no PNG in RGB, or of another size than the first.
        """
        return spool(file, _of_one_size(samples))

    def assemble(self, file: ShardFile, pieces: Sequence[Path], table: pa.Table, split: str) -> Int:
        """Write the zip of a split.

        Raises
        ------
        UsageError
            If images of two pieces differ in size.
        """
        offsets, stream, first = np.empty(table.num_rows, np.int64), _Stream(file), b""
        with zipfile.ZipFile(cast("IO[bytes]", stream), "w") as written:
            written.filelist = cast("Any", _Directory())
            for number, data in enumerate(images_in(pieces, table)):
                first = first or data[:_HEADER]
                if data[:_HEADER] != first:
                    raise _refusal(table.column("path")[number].as_py(), data, first)
                written.writestr(_member(_name(number)), data)
                written.NameToInfo.clear()  # it would hold every member once more
                stream.flush()
                offsets[number] = file.tell() - len(data)
            written.writestr(_member(_LABELS), b"".join(_labels(table.column("label"), split)))
            stream.end_members()
        stream.flush()
        return offsets

    def closing(self, splits: Mapping[str, Written]) -> dict[str, bytes]:  # noqa: ARG002
        """Return nothing: a zip is all that is needed."""
        return {}


def _of_one_size(samples: Iterable[Sample]) -> Iterator[Sample]:
    """Yield images, all of them PNGs in RGB, of the size of the first."""
    first = b""
    for sample in samples:
        first = first or sample.data[:_HEADER]
        if not _is_rgb(sample.data) or sample.data[:_HEADER] != first:
            raise _refusal(sample.key, sample.data, first)
        yield sample


def _is_rgb(data: bytes) -> bool:
    return data.startswith(_BEGIN) and data[_HEADER - len(_RGB) : _HEADER] == _RGB


def _refusal(key: str, data: bytes, first: bytes) -> UsageError:
    """Return the error for an image that the zip can't hold."""
    if not _is_rgb(data):
        return UsageError(f"{key} is no PNG in RGB, and the zip that EDM reads holds nothing else", hint=_HINT)
    detail = f"{key} has {_size(data)} pixels and another image {_size(first)}: EDM reads images of one size"
    return UsageError(detail, hint=_HINT)


def _size(data: bytes) -> str:
    at = len(_BEGIN)
    return f"{int.from_bytes(data[at : at + 4], 'big')} x {int.from_bytes(data[at + 4 : at + 8], 'big')}"


def _name(number: int) -> str:
    """Return the name of a member as dataset_tool.py numbers images: eight digits, the first five name a folder."""
    return f"{number // 1000:05}/img{number:08}.png"


def _member(name: str) -> zipfile.ZipInfo:
    """Return the header of a member of no time, readable by all, the same on every system."""
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, 0o100444 << 16
    return info


def _labels(labels: pa.ChunkedArray, split: str) -> Iterator[bytes]:
    """Yield the parts of `dataset.json`: name and label of each image, or null where there are no labels."""
    if split == "test":
        yield b'{"labels": null}'
        return
    yield b'{"labels": ['
    for start in range(0, len(labels), _ROWS):
        some = labels.slice(start, _ROWS).to_pylist()
        pairs = json.dumps([[_name(number), label] for number, label in enumerate(some, start)])
        yield (", " if start else "").encode() + pairs[1:-1].encode()
    yield b"]}"


class _Stream:
    """A shard as a file for zipfile, which writes the header of a member again once it knows what comes after it.

    What is written is held until `flush`, so that the shard itself is only appended to.
    """

    def __init__(self, file: ShardFile) -> None:
        self._file = file
        self._held = bytearray()
        self._at = 0
        self._most = -1

    def tell(self) -> int:
        return self._file.tell() + self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        assert whence == 0
        self._at = offset - self._file.tell()
        return offset

    def write(self, data: bytes) -> int:
        self._held[self._at : self._at + len(data)] = data
        self._at += len(data)
        if 0 <= self._most < self._at:
            self.flush()
        return len(data)

    def flush(self) -> None:
        """Append what is held to the shard."""
        self._file.append(self._held)
        self._held = bytearray()
        self._at = 0

    def end_members(self) -> None:
        """Hold no more than a little from now on: nothing is written again."""
        self.flush()
        self._most = 1 << 20


class _Directory:
    """The members of a zip, in place of zipfile's list: a ZipInfo takes 360 bytes, and there are a million.

    zipfile appends to it, and once goes through it, to write the central directory.
    """

    def __init__(self) -> None:
        self._numbers = array("Q")
        self._last: list[zipfile.ZipInfo] = []

    def append(self, info: zipfile.ZipInfo) -> None:
        if info.filename == _LABELS:
            self._last.append(info)
        else:
            self._numbers.extend((info.header_offset, info.CRC, info.file_size))

    def __len__(self) -> int:
        return len(self._numbers) // 3 + len(self._last)

    def __iter__(self) -> Iterator[zipfile.ZipInfo]:
        for number in range(len(self._numbers) // 3):
            info = _member(_name(number))
            info.header_offset, info.CRC, info.file_size = self._numbers[3 * number : 3 * number + 3]
            info.compress_size = info.file_size
            yield info
        yield from self._last
