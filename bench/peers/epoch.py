"""What the benchmarks of readers share: one epoch over a data set, every image of it once.

It runs where the training libraries are, without our package.
Usage of each reader: python -m bench.peers.read_FORMAT FOLDER IMAGES raw|decode WORKERS
`raw` takes the bytes of every image, `decode` its pixels in RGB. A last line says the seconds of the epoch; opening
the data set is not timed.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch.utils.data import DataLoader, IterableDataset

BATCH = 64


class Epoch(NamedTuple):
    """What a reader is to read.

    folder : of the data set
    images : how many it has
    raw : take the bytes as they are, instead of decoding
    workers : processes that read ahead; 0 for none
    """

    folder: Path
    images: int
    raw: bool
    workers: int

    def files(self, pattern: str) -> list[str]:
        """Return the paths below the folder that match, sorted."""
        return sorted(map(str, self.folder.glob(pattern)))


Sizes = Iterable[int]
"""Bytes, or pixels, of each image: what is left of it, so that no image is handed from process to process."""


def main(sizes: Callable[[Epoch], Sizes]) -> None:
    """Do what the command line says.

    Raises
    ------
    SystemExit
        If other than the stated number of images was read.
    """
    folder, images, what, workers = sys.argv[1:]
    torch.set_num_threads(1)
    epoch = Epoch(Path(folder), int(images), what == "raw", int(workers))
    measured = sizes(epoch)
    begun = time.perf_counter()
    seen = total = 0
    for size in measured:
        seen, total = seen + 1, total + size
    seconds = time.perf_counter() - begun
    if seen != epoch.images or not total:
        raise SystemExit(f"{seen:,} images were read, and {epoch.images:,} are there")
    print(f"total: {total}\nseconds: {seconds}")


def loaded(dataset: Any, epoch: Epoch) -> Iterator[int]:
    """Yield what torch's DataLoader has of each image; in random order, if the data set can be read so."""
    random = not isinstance(dataset, IterableDataset)
    options: dict[str, Any] = {"batch_size": BATCH, "num_workers": epoch.workers, "collate_fn": list}
    if epoch.workers:
        options["multiprocessing_context"] = "fork"
    for batch in DataLoader(dataset, shuffle=random, **options):
        yield from batch


class Mapped:
    """A data set of sizes, each made by a function of an index; it runs in the worker."""

    def __init__(self, length: int, size: Callable[[int], int]) -> None:
        self._length, self._size = length, size

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> int:
        return self._size(index)


def size_of(data: bytes, raw: bool) -> int:
    """Return the bytes of an image's file, or its pixels once Pillow has decoded it."""
    return len(data) if raw else pixels(Image.open(io.BytesIO(data)))


def pixels(image: Image.Image) -> int:
    """Return the pixels of an image, which is decoded if it is not yet."""
    width, height = image.convert("RGB").size
    return width * height
