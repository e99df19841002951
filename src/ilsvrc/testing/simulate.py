"""A train archive of the real size without its pictures: true headers at true spacing, holes for payload."""

from __future__ import annotations

import os
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ilsvrc.errors import UsageError
from ilsvrc.events import Advanced, Finished, Listener, Started, silent
from ilsvrc.facts import TRAIN, classes, official
from ilsvrc.testing.tarball import BLOCK, Entry, header

STAGE = "simulate"
SMALLEST = 0.001
"""Fraction at which every class has one image left."""

_RECORD_BLOCKS = tarfile.RECORDSIZE // BLOCK
_SPREAD = 0.6
"""Standard deviation of the logarithm of an image's size."""

Int = npt.NDArray[np.int64]
Count = TypeVar("Count", int, Int)


@dataclass(frozen=True, slots=True)
class Simulation:
    """An archive that was written.

    path : the archive
    images : members of all inner tars
    bytes : size of the archive; on disk it takes far less, about one page per header
    """

    path: Path
    images: int
    bytes: int


@dataclass(frozen=True, slots=True)
class _Inner:
    """An inner tar: its class, and of each image the K of its name and the size in bytes."""

    wnid: str
    numbers: Int
    sizes: Int

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return _records(int(_blocks(self.sizes).sum())) * tarfile.RECORDSIZE


def write_simulated(path: Path, fraction: float = 1.0, seed: int = 0, listener: Listener = silent) -> Simulation:
    """Write a sparse train archive: at full scale 1,281,167 members in the official 147,897,477,120 bytes.

    It is meant for programs that read headers: every image is zeros. The classes have their real image counts.

    Parameters
    ----------
    path
        The archive; it must not exist.
    fraction
        Share of each class's images and of the archive's size, 0.001 to 1; every class keeps at least one image.
    seed
        Seed of the sizes and names.
    listener
        Receives the progress, class by class.

    Raises
    ------
    UsageError
        If the file exists, or the fraction is out of range.
    """
    if path.exists():
        raise UsageError(f"{path} already exists", hint="choose another name")
    if not SMALLEST <= fraction <= 1:
        raise UsageError(f"fraction is {fraction:g}, which is not in {SMALLEST:g} to 1")
    size = _size(fraction)
    inners = _draw(size, fraction, np.random.default_rng(seed))
    images = sum(len(inner.sizes) for inner in inners)
    listener(Started(STAGE, total_bytes=size, total_images=images))
    with tempfile.TemporaryDirectory(prefix=".simulate-", dir=path.parent) as folder:
        part = Path(folder, path.name)
        _write(part, inners, size, listener)
        part.replace(path)
    listener(Finished(STAGE))
    return Simulation(path, images, size)


def _size(fraction: float) -> int:
    """Return the size of the archive in bytes, in whole records."""
    spec = official(TRAIN)
    assert spec is not None
    assert spec.size is not None
    return round(fraction * spec.size / tarfile.RECORDSIZE) * tarfile.RECORDSIZE


def _draw(size: int, fraction: float, generator: np.random.Generator) -> list[_Inner]:
    """Return inner tars that fill an archive of this size exactly."""
    counts = np.array([max(1, round(synset.train_images * fraction)) for synset in classes()])
    blocks = _image_blocks(counts, size // tarfile.RECORDSIZE - _records(len(counts)), generator)
    sizes = blocks * BLOCK - generator.integers(0, BLOCK, len(blocks))
    gaps = generator.integers(1, 24, len(blocks))
    edges = pairwise([0, *np.cumsum(counts).tolist()])
    return [
        _Inner(synset.wnid, generator.permutation(np.cumsum(gaps[start:stop])), sizes[start:stop])
        for synset, (start, stop) in zip(classes(), edges, strict=True)
    ]


def _image_blocks(counts: Int, records: int, generator: np.random.Generator) -> Int:
    """Return the payload of every image in blocks, so that all inner tars together have `records` records."""
    drawn = generator.lognormal(sigma=_SPREAD, size=counts.sum())
    # an inner tar also has a header per image, two zero blocks, and on average half a record of padding
    payload = records * _RECORD_BLOCKS - counts.sum() - (2 + _RECORD_BLOCKS / 2) * len(counts)
    blocks: Int = np.maximum(1, np.rint(drawn * payload / drawn.sum())).astype(np.int64)
    starts = np.cumsum(counts) - counts
    missing = records - int(_records(np.add.reduceat(blocks, starts) + counts).sum())
    # whole records are added to, or taken from, the largest image of each class: that shifts nothing else
    share = np.full(len(counts), missing // len(counts))
    share[: missing % len(counts)] += 1
    largest = [start + int(blocks[start : start + n].argmax()) for start, n in zip(starts, counts, strict=True)]
    blocks[largest] += share * _RECORD_BLOCKS
    return blocks


def _write(path: Path, inners: list[_Inner], size: int, listener: Listener) -> None:
    with path.open("wb", buffering=0) as file:
        place = 0
        for inner in inners:
            os.pwrite(file.fileno(), header(Entry(f"{inner.wnid}.tar"), inner.size), place)
            for offset, block in _headers(inner):
                os.pwrite(file.fileno(), block, place + BLOCK + offset)
            place += BLOCK + inner.size
            listener(Advanced(STAGE, bytes=BLOCK + inner.size, images=len(inner.sizes)))
        file.truncate(size)


def _headers(inner: _Inner) -> Iterator[tuple[int, bytes]]:
    """Yield the offset in the inner tar, in bytes, and the header of each image."""
    blocks = _blocks(inner.sizes)
    offsets = (np.cumsum(blocks) - blocks) * BLOCK
    names = [f"{inner.wnid}_{k}.JPEG" for k in inner.numbers.tolist()]
    data = headers(names, inner.sizes).tobytes()
    for place, offset in enumerate(offsets.tolist()):
        yield offset, data[place * BLOCK : (place + 1) * BLOCK]


def headers(names: list[str], sizes: Int) -> npt.NDArray[np.uint8]:
    """Return the header blocks of many plain files at once: shape (n, 512), uint8.

    Parameters
    ----------
    names
        Up to 100 ASCII characters each.
    sizes
        In bytes, below 8 GiB: shape (n,).
    """
    blocks = np.tile(np.frombuffer(header(Entry(""), 0), np.uint8), (len(names), 1))
    blocks[:, :100] = np.array(names, "S100").view(np.uint8).reshape(-1, 100)
    blocks[:, 124:135] = _octal(sizes, 11)
    blocks[:, 148:156] = ord(" ")
    blocks[:, 148:154] = _octal(blocks.sum(axis=1, dtype=np.int64), 6)
    blocks[:, 154] = 0
    return blocks


def _octal(values: Int, digits: int) -> npt.NDArray[np.uint8]:
    """Return octal digits as ASCII: shape (n, digits), uint8."""
    shifts = 3 * np.arange(digits - 1, -1, -1)
    ascii_digits: npt.NDArray[np.uint8] = (ord("0") + (values[:, None] >> shifts & 7)).astype(np.uint8)
    return ascii_digits


def _blocks(sizes: Int) -> Int:
    """Return the blocks of each member: its header and its padded payload."""
    return 1 + -(-sizes // BLOCK)


def _records(blocks: Count) -> Count:
    """Return the records of a tar with `blocks` blocks and the two zero blocks that end it."""
    return -(-(blocks + 2) // _RECORD_BLOCKS)
