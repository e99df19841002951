"""TFRecord as TensorFlow Datasets reads it: a data set of its own, with the files that describe it.

The form of a record: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from ilsvrc.errors import MissingExtraError
from ilsvrc.readers.units import Sample
from ilsvrc.sinks.formats.base import Placed, Plain, ShardFile, Written
from ilsvrc.sinks.formats.tfds import SHARD_SIZE, closing_files, example_around, shard_path

_FRAME = 8 + 4 + 4
"""Bytes of a record that are not its data: the length, its checksum, that of the data."""


@dataclass(frozen=True, slots=True)
class TFRecord(Plain):
    """For each image one record: a `tf.train.Example` with `image`, `label` and `file_name`."""

    name: ClassVar[str] = "tfrecord"
    shard_size: ClassVar[int] = SHARD_SIZE
    whole: ClassVar[bool] = False
    undecoded: ClassVar[tuple[str, ...]] = ("webp",)
    """TensorFlow decodes WebP to four dimensions, as an animation; TFDS 4.9.10 wants three, and ends the run."""

    def path(self, split: str, number: int, count: int) -> str:
        """Return `imagenet2012/5.1.0/imagenet2012-train.tfrecord-00000-of-01024`."""
        return shard_path(self.name, split, number, count)

    def write(self, file: ShardFile, samples: Iterable[Sample], split: str) -> Iterator[Placed]:  # noqa: ARG002
        """Write a record for each image: length, data, and the checksum of either.

        Raises
        ------
        MissingExtraError
            If google-crc32c is not installed.
        """
        extend = _checksum()
        for sample in samples:
            before, after = example_around(sample)
            length = struct.pack("<Q", len(before) + len(sample.data) + len(after))
            data = extend(extend(extend(0, before), sample.data), after)
            begin = file.append(length, _masked(extend(0, length)), before, sample.data, after, _masked(data))
            yield Placed(sample, begin + 12 + len(before))

    def closing(self, splits: Mapping[str, Written]) -> dict[str, bytes]:
        """Return description, features and class names of the data set."""
        return closing_files(self.name, splits, _bytes_of_examples)


def _bytes_of_examples(written: Written) -> int:
    """Return the bytes of all examples of a split, without the frames of their records."""
    return sum(shard.size for shard in written.shards) - _FRAME * written.images


def _checksum() -> Callable[[int, bytes], int]:
    """Return the function that continues a CRC-32C (Castagnoli) over more bytes."""
    try:
        from google_crc32c import extend
    except ImportError:
        raise MissingExtraError("google-crc32c", "tfrecord") from None
    function: Callable[[int, bytes], int] = extend
    return function


def _masked(crc: int) -> bytes:
    """Return a checksum as records hold it: rotated right by 15 bits, plus a constant."""
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
