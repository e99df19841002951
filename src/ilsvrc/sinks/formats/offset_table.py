"""Shards that begin with a table of offsets, as MosaicML Streaming and LitData have them.

All integers are little-endian uint32, save the label, which is an int64:

    number of images N | N + 1 offsets, from the first byte of the shard | anything | N items

An item is a head, which tells the length of the image's file, the file itself, and the label.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from ilsvrc.archive.names import NO_LABEL
from ilsvrc.errors import UsageError
from ilsvrc.readers.units import Sample
from ilsvrc.sinks.formats.base import Placed, ShardFile

LARGEST = (1 << 32) - 1
"""Most bytes of a shard: the offset of its end is a uint32."""

LABEL_BYTES = 8
"""Bytes of a label."""


def write_items(
    file: ShardFile, samples: Iterable[Sample], *, head: Callable[[int], bytes], between: bytes = b""
) -> Iterator[Placed]:
    """Write a shard; all of its images are held in memory, since the table is before them and needs their lengths.

    Parameters
    ----------
    file
        Gets the bytes; it is empty.
    samples
        The images, in their order.
    head
        Returns the head of an item whose image has this many bytes.
    between
        Follows the table.

    Yields
    ------
    Placed
        Every image, once all of them were taken.

    Raises
    ------
    UsageError
        If the shard is larger than its offsets can tell.
    """
    held = _hold(samples)
    heads = [head(len(sample.data)) for sample in held]
    items = [len(first) + len(sample.data) + LABEL_BYTES for first, sample in zip(heads, held, strict=True)]
    begin = 4 + 4 * (len(held) + 1) + len(between)
    offsets = np.cumsum([begin, *items], dtype=np.int64)
    if offsets[-1] > LARGEST:
        raise too_large(int(offsets[-1]))
    file.append(struct.pack("<I", len(held)), offsets.astype("<u4").tobytes(), between)
    for first, sample in zip(heads, held, strict=True):
        label = NO_LABEL if sample.label is None else sample.label
        at = file.append(first, sample.data, struct.pack("<q", label))
        yield Placed(sample, at + len(first))


def _hold(samples: Iterable[Sample]) -> list[Sample]:
    """Return the images of a shard; refuse it once they are too many, before memory is full of them."""
    held, size = list[Sample](), 0
    for sample in samples:
        held.append(sample)
        size += len(sample.data)
        if size > LARGEST:
            raise too_large(size)
    return held


def too_large(size: int) -> UsageError:
    """Return the error of a shard of so many bytes."""
    return UsageError(
        f"a shard would have {size:,} bytes or more; its offsets, 32-bit numbers, end at {LARGEST:,}",
        hint="run it again with a smaller --shard-size, or fewer --shard-images; 64MB is the default",
    )
