"""In which order images are written to shards, and where one shard ends and the next begins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xxhash

from ilsvrc.readers.reader import Int, Reader

_CHUNK = 1 << 16
"""Names that are made Python values at a time."""


@dataclass(frozen=True, slots=True)
class Order:
    """The order of a split's images, cut into shards.

    rows : the reader's rows, shape (N,), int64
    bounds : where shards begin, and the end of the last, shape (S + 1,), int64
    """

    rows: Int
    bounds: Int

    @property
    def count(self) -> int:
        """Shards."""
        return len(self.bounds) - 1

    @property
    def cut(self) -> str:
        """Digest of where shards begin, in hex."""
        return xxhash.xxh3_64_hexdigest(np.ascontiguousarray(self.bounds, "<i8").tobytes())


def shuffled(reader: Reader, seed: int) -> Int:
    """Return the rows of a split in random order, shape (N,), int64.

    By a hash of seed and name, so that it is the same on every machine, from every form, by every version of every
    library; and the images of some classes have the order that they have among all.
    """
    keys = np.empty(len(reader), np.uint64)
    for start in range(0, len(reader), _CHUNK):
        names = reader.names[start : start + _CHUNK].to_pylist()
        keys[start : start + _CHUNK] = [xxhash.xxh3_64_intdigest(name.encode(), seed) for name in names]
    return np.argsort(keys, kind="stable").astype(np.int64)


def cut(sizes: Int, *, size: int | None = None, images: int | None = None) -> Int:
    """Return where shards begin, and the end of the last, shape (S + 1,), int64.

    Parameters
    ----------
    sizes
        Bytes of the images in their order, shape (N,), int64.
    size
        Most bytes of images in a shard; shards are about equal. A larger image has a shard of its own.
    images
        Images in a shard, in place of `size`; the last may have fewer.
    """
    if images is not None:
        return np.append(np.arange(0, len(sizes), images), len(sizes)).astype(np.int64)
    assert size is not None
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    count = max(1, -(-total // size))
    begins = np.searchsorted(ends, np.arange(1, count) * (total / count), side="left")
    return np.unique(np.concatenate([[0], begins, [len(sizes)]])).astype(np.int64)
