"""Write shards in each format, against `cp` of the archive and against the format's own writer; durable at the end.

The warm-up round proves the archive, so that nothing is hashed in the others; it is in the page cache, for all alike,
and so are the class folders that feed the other writers. Every run writes to a fresh folder, and none is removed
before the last has ended: ext4 is several times slower just after deletions. The other writers say their own seconds,
without the loading of their libraries; of `prepare` and `cp` the whole run counts.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path

from bench.command import SIZE, add_choice, parser, show
from bench.data import DATA, ILSVRC, PEERS, miniature, training, warm
from bench.harness import Command, Work, measure, ratio, stated
from bench.inplace import unpacked
from bench.table import Row
from ilsvrc.readers.locate import open_reader
from ilsvrc.sinks.formats.registry import FORMATS, format_of

OUT = DATA / "shards"
AS_THEY_ARE = tuple(name for name in FORMATS if name != "edm")
"""Formats that take the files of images as they are; EDM's zip has PNGs of one size."""

COPY = "cp"
JOBS = os.cpu_count() or 1


def rows(size: float, runs: int, formats: Sequence[str] = AS_THEY_ARE) -> list[Row]:
    """Return the lines of the table about an archive of so many bytes."""
    archive = miniature(size)
    works = works_of(archive, formats)
    require_room(len(works) * (runs + 1) * archive.stat().st_size)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    os.sync()
    try:
        rounds = measure(works, runs)
    finally:
        shutil.rmtree(OUT, ignore_errors=True)
    found = []
    for name in formats:
        title, ours = f"shards as {name}: time", rounds[name]
        found.append(Row(title, "cp of the archive, sync", ratio(ours, rounds[COPY], stated), runs, most=1.3))
        if theirs := rounds.get(_peer(name)):
            against = "its own writer, fed by folders"
            found.append(Row(title, against, ratio(ours, theirs, stated), runs, most=1))
    return found


def works_of(archive: Path, formats: Sequence[str]) -> list[Work]:
    """Return the copy of an archive, and for each format our run and that of its own writer, if there is one."""
    peers = [name for name in formats if (PEERS / f"{_peer(name)}.py").exists()]
    for name in peers:
        training(_peer(name))  # what is missing is said before anything is written
    folders = unpacked(archive)
    numbers = count()
    in_memory = partial(warm, archive)
    works = [Work(COPY, partial(_copy, archive, numbers), in_memory)]
    for name in formats:
        works.append(Work(name, partial(_prepare, archive, name, numbers), in_memory))
        if name in peers:
            command = partial(_written, name, folders, shards_of(archive, name), numbers)
            works.append(Work(_peer(name), command, _in_memory(folders)))
    return works


def shards_of(archive: Path, name: str) -> int:
    """Return how many shards we make of an archive."""
    return -int(-open_reader(archive, "train").sizes.sum() // format_of(name).shard_size)


def require_room(needed: int) -> None:
    """Exit if the disk does not hold what all runs write together."""
    DATA.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(DATA).free
    if needed > free:
        raise SystemExit(
            f"all runs write {needed / 1e9:.0f} GB, and {DATA} has {free / 1e9:.0f} GB free: "
            "measure some formats at a time with --formats, or set BENCH_DATA to a folder of another disk"
        )


def _peer(name: str) -> str:
    return f"write_{name}"


def _in_memory(folders: Path) -> Callable[[], None]:
    def read() -> None:
        for path in folders.rglob("*.JPEG"):
            warm(path)

    return read


def _copy(archive: Path, numbers: Iterator[int]) -> Command:
    target = OUT / str(next(numbers))
    return ("sh", "-c", 'mkdir "$2" && cp "$1" "$2" && sync -f "$2"', "sh", archive, target)


def _prepare(archive: Path, name: str, numbers: Iterator[int]) -> Command:
    target = OUT / str(next(numbers))
    return (*ILSVRC, "prepare", archive, target, "--format", name, "--split", "train", "--jobs", str(JOBS))


def _written(name: str, folders: Path, shards: int, numbers: Iterator[int]) -> Command:
    return training(_peer(name), folders, OUT / str(next(numbers)), str(shards), str(JOBS))


if __name__ == "__main__":
    options = parser(__doc__, ("--size", 1e9, SIZE[2]), runs=3)
    add_choice(options, AS_THEY_ARE)
    chosen = options.parse_args()
    show(rows(chosen.scale, chosen.runs, chosen.formats))
