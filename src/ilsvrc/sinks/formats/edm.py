"""The zip that EDM, StyleGAN2-ADA and StyleGAN3 train from: PNGs of one size and `dataset.json` with their labels.

The form: dataset_tool.py and training/dataset.py of https://github.com/NVlabs/edm. Written by Python's zipfile.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any, ClassVar, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ilsvrc.errors import UsageError
from ilsvrc.readers.reader import Int
from ilsvrc.readers.units import Sample
from ilsvrc.sinks.formats.base import ShardFile
from ilsvrc.sinks.formats.whole import OneFile

_BEGIN = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_RGB = b"\x08\x02"
"""Bits of a channel and colour type of an RGB image in the header of a PNG (W3C PNG, 11.2.1)."""

_HEADER = len(_BEGIN) + 8 + len(_RGB)
_NOTE = np.dtype([("header", f"V{_HEADER}"), ("crc", "<u4")])
_LABELS = "dataset.json"
_HINT = "add --crop 64 --encode png, or another size: it makes every image RGB, of one size"
_ROWS = 1 << 14


@dataclass(frozen=True, slots=True)
class Edm(OneFile):
    """One zip for each split, `{split}.zip`: stored members `00000/img00000000.png` and so on, `dataset.json` last.

    Labels are indices of sorted wnids, so that there are 1000 classes even where images of a few are in it; in test,
    labels are null. The training programs want squares; a zip of other images can be written, if all are of one size.
    """

    name: ClassVar[str] = "edm"

    def path(self, split: str, number: int, count: int) -> str:  # noqa: ARG002
        """Return `train.zip`."""
        return f"{split}.zip"

    def look(self, samples: Iterable[Sample]) -> Iterator[tuple[Sample, bytes]]:
        """Yield images, each with a note: the header of its PNG, and its CRC-32.

        Raises
        ------
        UsageError
            If one is no PNG in RGB, or of another size than the first.
        """
        for sample in _of_one_size(samples):
            yield sample, np.array((sample.data[:_HEADER], zlib.crc32(sample.data)), _NOTE).tobytes()

    def layout(self, sizes: Int, notes: bytes | None = None) -> Members:  # noqa: ARG002
        """Return members, one after the other."""
        return Members()


@dataclass(frozen=True, slots=True)
class Members:
    """A layout: the members of a zip follow each other, each with its header before it."""

    def begins(self, sizes: Int) -> Int:
        """Return where the header of each member begins: all headers have the same size."""
        header = len(self.around(0, 0, 0, b"")[0])
        return np.concatenate([[0], np.cumsum(sizes + header)]).astype(np.int64)

    def around(self, at: int, number: int, label: int, data: bytes) -> tuple[bytes, bytes]:  # noqa: ARG002
        """Return the header of a member."""
        info = _member(_name(number))
        info.CRC, info.file_size, info.compress_size = zlib.crc32(data), len(data), len(data)
        return info.FileHeader(), b""

    def complete(self, file: ShardFile, table: pa.Table, notes: bytes, split: str) -> None:
        """Write `dataset.json` and the directory.

        Raises
        ------
        UsageError
            If images differ in size.
        """
        noted = np.frombuffer(notes, _NOTE)
        if len(other := np.flatnonzero(noted["header"] != noted["header"][:1])):
            path = table.column("path")[int(other[0])].as_py()
            raise _refusal(path, noted["header"][other[0]].tobytes(), noted["header"][0].tobytes())
        sizes, stream = table.column("size").to_numpy(), _Stream(file)
        with zipfile.ZipFile(cast("IO[bytes]", stream), "w") as written:
            written.filelist = cast("Any", _Directory(self.begins(sizes), sizes, noted["crc"]))
            written.writestr(_member(_LABELS), b"".join(_labels(table.column("label"), split)))
            stream.end_members()
        stream.flush()


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

    def __init__(self, begins: Int, sizes: Int, crcs: npt.NDArray[np.uint32]) -> None:
        self._begins, self._sizes, self._crcs = begins, sizes, crcs
        self._last: list[zipfile.ZipInfo] = []

    def append(self, info: zipfile.ZipInfo) -> None:
        self._last.append(info)

    def __len__(self) -> int:
        return len(self._crcs) + len(self._last)

    def __iter__(self) -> Iterator[zipfile.ZipInfo]:
        for number, crc in enumerate(self._crcs):
            info = _member(_name(number))
            info.header_offset, info.CRC = int(self._begins[number]), int(crc)
            info.compress_size = info.file_size = int(self._sizes[number])
            yield info
        yield from self._last
