"""What the formats' own writers are fed with: class folders as ImageFolder lists them, read by several processes.

It runs where the training libraries are, without our package.
Usage of each writer: python -m bench.peers.write_FORMAT FOLDER TARGET SHARDS PROCESSES
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple


class Image(NamedTuple):
    """An image of a class folder.

    path : its file
    label : position of its folder among those sorted by name
    """

    path: str
    label: int

    def read(self) -> bytes:
        """Return the bytes of the file."""
        with open(self.path, "rb") as file:
            return file.read()


class Job(NamedTuple):
    """What a writer is to do.

    images : of all shards, shuffled
    target : folder that gets the shards; it is there, and empty
    shards, processes : how many
    """

    images: list[Image]
    target: Path
    shards: int
    processes: int

    def parts(self, count: int) -> list[list[Image]]:
        """Return the images in so many parts, each of images that follow each other."""
        bounds = [len(self.images) * part // count for part in range(count + 1)]
        return [self.images[begin:end] for begin, end in itertools.pairwise(bounds)]


Shard = Callable[[Path, Sequence[Image]], None]


def listed(folder: str) -> list[Image]:
    """Return the images of class folders, in an order drawn from a seed."""
    wnids = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    found = [
        Image(entry.path, label)
        for label, wnid in enumerate(wnids)
        for entry in sorted(os.scandir(f"{folder}/{wnid}"), key=lambda entry: entry.name)
    ]
    random.Random(0).shuffle(found)
    return found


def main(write: Callable[[Job], None]) -> None:
    """Do what the command line says, and say how long it took: from the listing until all is on the disk."""
    folder, target, shards, processes = sys.argv[1:]
    Path(target).mkdir(parents=True)
    begun = time.perf_counter()
    write(Job(listed(folder), Path(target), int(shards), int(processes)))
    subprocess.run(["sync", "-f", target], check=True)
    print(f"seconds: {time.perf_counter() - begun}")


def shard_by_shard(write: Shard, name: str, job: Job) -> None:
    """Have each shard written by one of the processes; a shard's name comes from its number and their count."""
    parts = job.parts(job.shards)
    paths = [job.target / name.format(number=number, count=len(parts)) for number in range(len(parts))]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
    with multiprocessing.get_context("fork").Pool(job.processes) as pool:
        pool.starmap(write, zip(paths, parts, strict=True), chunksize=1)


def sharded(write: Shard, name: str) -> None:
    """Do what the command line says with a writer of single shards."""
    main(partial(shard_by_shard, write, name))
