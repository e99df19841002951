"""Read one epoch in each format by its own library: images a second, decoded; bytes a second, as they are.

All have the same images, in memory. Formats that are read at random are read in random order; the others in order,
which is a shuffled one, as shards are. Torch's DataLoader reads ahead, where a library has no loader of its own. Only
the loop over the images is timed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench.command import add_choice, parser
from bench.data import DATA, ILSVRC, miniature, training, warm
from bench.harness import Command, Rounds, Spread, Work, measure, stated
from bench.inplace import unpacked
from bench.shards import AS_THEY_ARE
from bench.table import aligned, machine
from ilsvrc.readers.locate import open_reader
from ilsvrc.testing.images import REAL_MEAN_BYTES

ARCHIVES, FOLDERS = "archives", "folders"
READERS = {
    FOLDERS: "torchvision's ImageFolder",
    ARCHIVES: "`ilsvrc.ImageNet`, in place",
    "webdataset": "webdataset",
    "parquet": "datasets",
    "tfrecord": "tf.data",
    "array_record": "array_record",
    "mds": "mosaicml-streaming",
    "litdata": "litdata",
    "lmdb": "lmdb",
    "ffcv": "FFCV, with centre crop to 224",
}
"""What reads each format; those of other formats are not measured."""

MEASURED = tuple(name for name in READERS if name in (FOLDERS, ARCHIVES, *AS_THEY_ARE))
SHARDS = 20
"""Shards of each format: more than processes that read, so that each has its share."""

HEAD = ("format", "read by", "files as they are, MB/s", "decoded, images/s", "with 2 workers, images/s")


class Way(NamedTuple):
    """A way to read: `raw` or `decode`, and the processes that read ahead."""

    what: str
    workers: int


RAW, ALONE, AHEAD = WAYS = (Way("raw", 0), Way("decode", 0), Way("decode", 2))
NO_BYTES = ("ffcv",)
"""Formats of which the library hands out no bytes."""


class Images(NamedTuple):
    """The images of an archive.

    archive : train, with all of them
    number, bytes : of all together
    """

    archive: Path
    number: int
    bytes: int

    @classmethod
    def about(cls, number: int) -> Images:
        """Return about so many images, making them at first."""
        archive = miniature(number * REAL_MEAN_BYTES)
        sizes = open_reader(archive, "train").sizes
        return cls(archive, len(sizes), int(sizes.sum()))


def lines(images: Images, runs: int, formats: Sequence[str] = MEASURED) -> list[tuple[str, ...]]:
    """Return head and lines of the table."""
    return [HEAD, *(line(name, images, runs) for name in formats)]


def line(name: str, images: Images, runs: int) -> tuple[str, ...]:
    """Return what was measured of a format. Its shards are made before, and removed."""
    folder = DATA / f"reading-{name}"
    source = {FOLDERS: lambda: unpacked(images.archive).parent, ARCHIVES: lambda: images.archive.parent}
    shutil.rmtree(folder, ignore_errors=True)
    try:
        place = source[name]() if name in source else prepared(name, images, folder)
        before = partial(in_memory, place)
        ways = [way for way in WAYS if way != RAW or name not in NO_BYTES]
        works = [Work(_said(name, way), _command(name, place, images, way), before) for way in ways]
        rounds = measure(works, runs)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    speeds = [_speed(rounds, _said(name, way), images.bytes / 1e6 if way == RAW else images.number) for way in WAYS]
    return (f"`{name}`" if name in AS_THEY_ARE else name, READERS[name], *speeds)


def prepared(name: str, images: Images, folder: Path) -> Path:
    """Write shards of images to a folder; return it."""
    some = str(-(-images.number // SHARDS))
    command = (*ILSVRC, "prepare", images.archive, folder, "--format", name, "--split", "train")
    subprocess.run([*command, "--shard-images", some], check=True)
    return folder


def in_memory(place: Path) -> None:
    """Read all files below a folder, so that the next reads of them are from memory."""
    for path in place.rglob("*"):
        if path.is_file():
            warm(path)


def _said(name: str, way: Way) -> str:
    return f"{name}, {way.what}, {way.workers} workers"


def _command(name: str, place: Path, images: Images, way: Way) -> Command:
    arguments = (str(images.number), way.what, str(way.workers))
    if name == ARCHIVES:
        return (sys.executable, "-m", f"bench.peers.read_{name}", place, *arguments)
    return training(f"read_{name}", place, *arguments)


def _speed(rounds: Rounds, work: str, amount: float) -> str:
    """Return the median of an amount a second, and its range; a dash where it was not measured."""
    if work not in rounds:
        return "-"
    found = Spread.of([amount / stated(run) for run in rounds[work]])
    return f"{found.median:,.0f} ({found.low:,.0f} to {found.high:,.0f})"


if __name__ == "__main__":
    options = parser(__doc__, ("--images", 20_000, "images of an epoch, about"), runs=3)
    add_choice(options, MEASURED)
    chosen = options.parse_args()
    data = Images.about(chosen.scale)
    print(aligned(lines(data, chosen.runs, chosen.formats)))
    print(f"\n{data.number:,} images, {data.bytes / 1e9:.2f} GB; medians of {chosen.runs} runs, with their range.")
    print(machine(DATA))
