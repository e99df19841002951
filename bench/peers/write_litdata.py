"""Write chunks of 64 MB by LitData's BinaryWriter, which copies files of no wanted quality. Usage: see `writing`.

`litdata.optimize` has processes that load every library anew and then use this writer: the writer is the harder peer.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from pathlib import Path

from litdata.streaming.writer import BinaryWriter
from litdata.types import Jpeg

from bench.peers.writing import Image, Job, main

RANK, WORLD = "DATA_OPTIMIZER_GLOBAL_RANK", "DATA_OPTIMIZER_NUM_WORKERS"
"""Where LitData looks for the number of a process, by which it names chunks; and for a factor of their count."""


def opened(folder: Path, rank: int) -> BinaryWriter:
    os.environ |= {RANK: str(rank), WORLD: "1"}
    return BinaryWriter(str(folder), chunk_bytes="64MB")


def write(folder: Path, rank: int, images: Sequence[Image]) -> None:
    writer = opened(folder, rank)
    for number, image in enumerate(images):
        writer[number] = {"image": Jpeg(bytes=image.read(), max_quality=None), "label": image.label}
    writer.done()


def write_all(job: Job) -> None:
    folder = job.target / "train"
    folder.mkdir()
    parts = [(folder, rank, images) for rank, images in enumerate(job.parts(job.processes))]
    with multiprocessing.get_context("fork").Pool(job.processes) as pool:
        pool.starmap(write, parts, chunksize=1)
    opened(folder, 0).merge(job.processes)


if __name__ == "__main__":
    main(write_all)
