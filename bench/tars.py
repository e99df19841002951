"""Index a tar of a tree, against GNU tar's listing; sweep and index a tar.gz, against gzip and rapidgzip alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.command import run
from bench.data import DATA, PEERS, forget, miniature
from bench.harness import Spread, Work, measure, ratio, run_once, stated
from bench.table import Row
from ilsvrc.facts import classes
from ilsvrc.testing.images import REAL_MEAN_BYTES
from ilsvrc.testing.simulate import headers

MEMORY = 400e6
BLOCK = 512
GZIP_SIZE = 1e9
"""Bytes of images in the tar.gz at full scale: gzip alone takes 40 s to write it."""

OURS = (sys.executable, PEERS / "tars.py")


def rows(fraction: float, runs: int) -> list[Row]:
    """Return the lines of the table about tars of trees, at this fraction of the full scale."""
    return [*tree_tar(fraction, runs), *gzipped(fraction * GZIP_SIZE, runs)]


def tree_tar(fraction: float, runs: int) -> list[Row]:
    """Compare indexing with `tar -tf`, which goes from header to header too; headers are in memory for both."""
    tar = simulated_tree(fraction)
    ours = Work("index", (*OURS, "index", tar), partial(forget, tar))
    rounds = measure([ours, Work("tar -tf", ("tar", "-tf", tar))], runs)
    again = run_once((*OURS, "index", tar))
    count = subprocess.run(["tar", "-tf", tar], check=True, capture_output=True).stdout.count(b".JPEG")
    peak = Spread.of([found.rss / MEMORY for found in rounds["index"]])
    opened = Spread.of([again.stated / found.stated for found in rounds["index"]])
    return [
        Row(
            f"index {count:,} members of a tree's tar",
            "tar -tf",
            ratio(rounds["index"], rounds["tar -tf"], stated),
            runs,
        ),
        Row("the same: peak memory", "400 MB", peak, runs, most=1.0),
        Row("the same, opened again", "indexing it", opened, runs),
    ]


def gzipped(size: float, runs: int) -> list[Row]:
    """Compare a sweep over a tar.gz of so many bytes, and its indexing, with the programs that only decompress."""
    path = DATA / f"tree-gz-{size:g}" / "train.tar.gz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_gz(path, size)
    rapid = (Path(sys.executable).with_name("rapidgzip"), "-dc", path)
    works = [
        Work("sweep", (*OURS, "sweep", path)),
        Work("index", (*OURS, "index", path), partial(forget, path)),
        Work("gzip -dc", ("sh", "-c", f"gzip -dc {path} > /dev/null")),
        Work("rapidgzip -dc", ("sh", "-c", f"{rapid[0]} -dc {path} > /dev/null")),
    ]
    rounds = measure(works, runs)
    return [
        Row(f"{ours} of a tar.gz, {size / 1e9:g} GB", theirs, ratio(rounds[ours], rounds[theirs], stated), runs)
        for ours in ("sweep", "index")
        for theirs in ("gzip -dc", "rapidgzip -dc")
    ]


def simulated_tree(fraction: float) -> Path:
    """Return a sparse tar of the tree `train/WNID/NAME`: true headers at true spacing, holes for images."""
    path = DATA / f"tree-{fraction:g}" / "train.tar"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with part.open("wb", buffering=0) as file:
            end = 0
            for block, places, stop in _blocks(fraction):
                end = stop
                for number, place in enumerate(places.tolist()):
                    os.pwrite(file.fileno(), block[number].tobytes(), place)
            file.truncate(-(-(end + 2 * BLOCK) // 10_240) * 10_240)
        part.replace(path)
    return path


def _blocks(fraction: float) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], int]]:
    """Yield headers and places of each class, of its real number of images, and where the last image ends."""
    chance = np.random.default_rng(0)
    at = 0
    for synset in classes():
        count = max(1, round(synset.train_images * fraction))
        sizes = chance.lognormal(np.log(REAL_MEAN_BYTES) - 0.18, 0.6, count).astype(np.int64)
        numbers = np.cumsum(chance.integers(1, 24, count)).tolist()
        spans = BLOCK + -(-sizes // BLOCK) * BLOCK
        places = at + np.cumsum(spans) - spans
        at += int(spans.sum())
        yield headers([f"train/{synset.wnid}/{synset.wnid}_{k}.JPEG" for k in numbers], sizes), places, at


def _write_gz(path: Path, size: float) -> None:
    """Unpack a miniature of so many bytes and write its tree with GNU tar and gzip."""
    archive = miniature(size)
    folder = path.parent / "tree"
    script = (
        f"rm -rf {folder} && mkdir -p {folder}/train && tar -xf {archive} -C {folder}/train && cd {folder}/train && "
        "for f in *.tar; do mkdir ${f%.tar} && tar -xf $f -C ${f%.tar} && rm $f; done && "
        f"tar -czf {path}.part -C {folder} train && mv {path}.part {path} && rm -rf {folder}"
    )
    subprocess.run(["sh", "-ec", script], check=True)


if __name__ == "__main__":
    run(__doc__, ("--fraction", 1.0, "part of the full 1,281,167 members"), rows, runs=3)
