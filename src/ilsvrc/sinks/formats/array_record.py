"""ArrayRecord as TensorFlow Datasets and Grain read it: the data set of `tfrecord`, with records read at random.

Shards are written by the library of the format itself: https://github.com/google/array_record.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import xxhash

from ilsvrc.archive.source import FileSource
from ilsvrc.errors import MachineError, MissingExtraError
from ilsvrc.readers.blocks import BLOCKS
from ilsvrc.readers.units import Sample
from ilsvrc.sinks.formats.base import Placed, Plain, ShardFile, Written
from ilsvrc.sinks.formats.tfds import SHARD_SIZE, closing_files, example_around, shard_path

_OPTIONS = "group_size:1,uncompressed"
"""One record in a chunk, as TFDS has it: one is read at a time. Compression makes no JPEG file smaller."""

_NEAR = 4 << 10
"""Bytes after a record within which the next one begins: headers of chunks are shorter."""

_REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EACCES, errno.EMFILE, errno.EROFS)


class _Sent(NamedTuple):
    """An image that the library was given to write.

    sample : the image, without its bytes
    before : what precedes its bytes in the record
    size : bytes of the image
    after : bytes that follow them in the record
    digest : xxh3_128 of the image
    """

    sample: Sample
    before: bytes
    size: int
    after: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class ArrayRecord(Plain):
    """For each image one record: a `tf.train.Example` with `image`, `label` and `file_name`; not compressed."""

    name: ClassVar[str] = "array_record"
    shard_size: ClassVar[int] = SHARD_SIZE
    whole: ClassVar[bool] = False

    def path(self, split: str, number: int, count: int) -> str:
        """Return `imagenet2012/5.1.0/imagenet2012-train.array_record-00000-of-01024`."""
        return shard_path(self.name, split, number, count)

    def write(self, file: ShardFile, samples: Iterable[Sample], split: str) -> Iterator[Placed]:  # noqa: ARG002
        """Let the library write a record for each image, then read every image where it was put.

        Raises
        ------
        MissingExtraError
            If array_record is not installed.
        MachineError
            If it could not write, or if an image is not in the file as it was given.
        """
        sent = _write(file.path, samples)
        file.written_elsewhere()
        return _placed(file.path, sent)

    def closing(self, splits: Mapping[str, Written]) -> dict[str, bytes]:
        """Return description, features and class names of the data set."""
        return closing_files(self.name, splits, _bytes_of_files)


def _bytes_of_files(written: Written) -> int:
    return sum(shard.size for shard in written.shards)


def _write(path: Path, samples: Iterable[Sample]) -> deque[_Sent]:
    """Write a file by the library; return what it was given, in order."""
    sent: deque[_Sent] = deque()
    try:
        writer = _writer(path)
        try:
            for sample in samples:
                before, after = example_around(sample)
                writer.write(b"".join((before, sample.data, after)))
                digest = xxhash.xxh3_128_digest(sample.data)
                sent.append(_Sent(replace(sample, data=b""), before, len(sample.data), len(after), digest))
        finally:
            writer.close()
    except RuntimeError as error:
        raise _refusal(error, path) from error
    return sent


def _writer(path: Path) -> Any:
    try:
        from array_record.python.array_record_module import ArrayRecordWriter
    except ImportError:
        raise MissingExtraError("array_record", "array_record") from None
    return ArrayRecordWriter(str(path), _OPTIONS)


def _refusal(error: RuntimeError, path: Path) -> Exception:
    """Return the error of the system that the library tells in words only."""
    for number in _REFUSALS:
        if os.strerror(number) in str(error):
            return OSError(number, os.strerror(number), str(path))
    return MachineError(f"{path}: {error}", hint="run the same command again: it resumes")


def _placed(path: Path, sent: deque[_Sent]) -> Iterator[Placed]:
    """Find each image in the file after the one before it, and compare its digest with that of the image given."""
    blocks, source = BLOCKS[ArrayRecord.name], FileSource(path)
    at = blocks.header
    while sent:
        image = sent.popleft()
        length = blocks.length(at, _NEAR + len(image.before))
        near = blocks.without_headers(source.read(at, min(length, source.size - at)), at)
        found = near.find(image.before)
        offset = blocks.after(at, max(found, 0) + len(image.before))
        data = b""
        if found >= 0 and offset + blocks.length(offset, image.size) <= source.size:
            data = blocks.without_headers(source.read(offset, blocks.length(offset, image.size)), offset)
        if xxhash.xxh3_128_digest(data) != image.digest:
            detail = f"{path}: array_record wrote {image.sample.name} otherwise than it was given"
            hint = "this version of array_record has another form of files: try another one, or --format tfrecord"
            raise MachineError(detail, hint=hint)
        at = blocks.after(offset, image.size + image.after)
        yield Placed(replace(image.sample, data=data), offset)
