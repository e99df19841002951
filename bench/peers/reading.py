"""Read the data set with ilsvrc in place, or with torchvision's ImageFolder, and say how long it took.

Usage: python -m bench.peers.reading ours|imagefolder|pread FOLDER WHAT [ARGUMENT ...]
where WHAT is open; warm or cold, with a batch size and a file of indices to draw from; load, with a number of
workers; or memory, with a way to start workers. Warm reads are those of a second time.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tests.oracles import declare_operators
from torch.utils.data import DataLoader

import ilsvrc

declare_operators()  # here, so that spawned workers find torchvision too

READS = 2_000
"""Images of a read or a load; more where memory is measured, so that whatever grows has grown."""

TOUCHED = 40_000


def imagefolder(folder: Path, **options: Any) -> Any:
    """Return torchvision's dataset."""
    from torchvision.datasets import ImageFolder

    return ImageFolder(folder, **options)


class Bare:
    """What any reader of an archive has to do: one system call an image, its place known beforehand."""

    def __init__(self, archive: Path) -> None:
        index = ilsvrc.index(archive)[0]
        self._places = list(zip(index.sizes.tolist(), index.offsets.tolist(), strict=True))
        self._fd = os.open(archive, os.O_RDONLY)

    def read(self, indices: list[int]) -> None:
        """Read images and do nothing with them."""
        for size, offset in (self._places[index] for index in indices):
            os.pread(self._fd, size, offset)


KINDS: dict[str, Callable[..., Any]] = {"ours": ilsvrc.ImageNet, "imagefolder": imagefolder, "pread": Bare}


def nothing(_: object) -> int:
    """Load no image: what is measured is the dataset."""
    return 0


def size(image: Any) -> tuple[int, int]:
    """Return an image's size, so that batches are small."""
    width, height = image.size
    return width, height


def order(images: Any, count: int) -> list[int]:
    """Return random indices, drawn from some or from so many, the same for every kind."""
    drawn: list[int] = np.random.RandomState(0).choice(images, count).tolist()
    return drawn


def read(dataset: Any, indices: list[int], batch: int) -> None:
    """Read files whole, in batches as torch's DataLoader asks for them."""
    ways: dict[type, Callable[[Any, list[int]], None]] = {ilsvrc.ImageNet: _read_packed, Bare: Bare.read}
    reading = ways.get(type(dataset), _read_files)
    for start in range(0, len(indices), batch):
        reading(dataset, indices[start : start + batch])


def _read_packed(dataset: ilsvrc.ImageNet, indices: list[int]) -> None:
    if len(indices) > 1:
        dataset.will_need(indices)
    for index in indices:
        dataset.bytes(index)


def _read_files(dataset: Any, indices: list[int]) -> None:
    for index in indices:
        with open(dataset.samples[index][0], "rb") as file:
            file.read()


def load(dataset: Any, workers: int) -> None:
    """Decode random images in torch's DataLoader."""
    indices = order(len(dataset), READS)
    for _ in DataLoader(dataset, batch_size=32, sampler=indices, num_workers=workers):
        pass


def private_bytes(_: object) -> int:
    """Return what this process has for itself (Linux: proc_pid_smaps(5)); called in the worker, as collation."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Private_"))


def memory(dataset: Any, method: str) -> int:
    """Return the bytes that a worker has for itself after many images, beyond one with an empty dataset."""
    return _worker(dataset, method) - _worker([0], method)


def _worker(dataset: Any, method: str) -> int:
    indices = order(len(dataset), TOUCHED)
    loader = DataLoader(
        dataset,
        batch_size=1000,
        sampler=indices,
        num_workers=2,
        collate_fn=private_bytes,
        multiprocessing_context=method,
    )
    return int(np.mean(list(loader)[-2:]))


def main(kind: str, folder: Path, what: str, *arguments: str) -> None:
    torch.set_num_threads(1)
    options: dict[str, dict[str, Any]] = {"load": {"transform": size}, "memory": {"loader": nothing}}
    begun = time.perf_counter()
    dataset = KINDS[kind](folder, **options.get(what, {}))
    if what == "memory":
        print(f"bytes: {memory(dataset, *arguments)}")
        return
    if what in ("warm", "cold"):
        batch, sample = arguments
        indices = order(np.load(sample), READS)
        for _ in range(1 + (what == "warm")):
            begun = time.perf_counter()
            read(dataset, indices, int(batch))
    elif what == "load":
        begun = time.perf_counter()
        load(dataset, int(*arguments))
    print(f"seconds: {time.perf_counter() - begun}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
