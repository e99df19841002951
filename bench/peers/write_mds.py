"""Write MDS shards by MosaicML's MDSWriter, a folder for each process, and merge their indexes. Usage: see `writing`.

Its encoding `jpeg` copies the file of an image that Pillow opened and did not load.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from pathlib import Path

from PIL import Image as Pillow
from streaming import MDSWriter
from streaming.base.util import merge_index

from bench.peers.writing import Image, Job, main


def write(path: Path, images: Sequence[Image]) -> None:
    with MDSWriter(out=str(path), columns={"x": "jpeg", "y": "int"}) as writer:
        for image in images:
            with Pillow.open(image.path) as opened:
                writer.write({"x": opened, "y": image.label})


def write_all(job: Job) -> None:
    folder = job.target / "train"
    paths = [folder / f"{number:03}" for number in range(job.processes)]
    with multiprocessing.get_context("fork").Pool(job.processes) as pool:
        pool.starmap(write, zip(paths, job.parts(job.processes), strict=True), chunksize=1)
    merge_index(str(folder), keep_local=True)


if __name__ == "__main__":
    main(write_all)
