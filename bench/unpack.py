"""Unpack a train archive: to disk against the scripts in use, to memory against the limit."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import ilsvrc
from bench.command import SIZE, run
from bench.data import DATA, ILSVRC, PEERS, compiled, cool, forget, miniature, remove, warm
from bench.harness import Rounds, Run, Spread, Work, cpu, measure, ratio, wall
from bench.table import Row

MEMORY = Path("/dev/shm")
PAGE = 4096


def rows(size: float, runs: int) -> list[Row]:
    """Return the lines of the table about unpacking an archive of so many bytes."""
    archive = miniature(size)
    return [*to_disk(archive, runs), *(to_memory(archive, runs) if MEMORY.is_dir() else [])]


def to_disk(archive: Path, runs: int) -> list[Row]:
    """Compare with what people do, everything durable at the end, the archive read from the disk.

    `large` takes what is read and written out of the page cache between the steps of the script: so it is with the
    real archive, which is larger than memory, and so a small one can stand for it.
    """
    tree = DATA / "tree"
    ours = (*ILSVRC, "prepare", archive, tree, "--verify")
    script = ("sh", PEERS / "threesteps.sh", archive, tree)
    commands: dict[str, Sequence[str | Path]] = {
        "prepare --verify md5": (*ours, "md5"),
        "md5sum, three steps, large": (*script, "md5sum", "large"),
        "md5sum, three steps, small": (*script, "md5sum"),
        "prepare --verify none": (*ours, "none"),
        "three steps, large": (*script, "large"),
        "md5, extractall, small": (sys.executable, PEERS / "extractall.py", archive, tree),
    }
    before, after = partial(_fresh, archive, tree), partial(remove, tree)
    rounds = measure([Work(name, command, before, after) for name, command in commands.items()], runs)
    return [
        _row(rounds, "prepare --verify md5", "md5sum, three steps, large", most=0.5),
        _row(rounds, "prepare --verify md5", "md5sum, three steps, small"),
        _row(rounds, "prepare --verify md5", "md5, extractall, small"),
        _row(rounds, "prepare --verify none", "three steps, large"),
        *_written(rounds, archive),
    ]


def to_memory(archive: Path, runs: int) -> list[Row]:
    """Compare with a C program that only opens, writes and closes; archive and tree in memory."""
    tree, limit = MEMORY / "ilsvrc-bench", compiled("unpack")
    before, after = partial(_warm, archive, tree), partial(shutil.rmtree, tree)
    ours = (*ILSVRC, "prepare", archive, tree, "--verify", "none")
    rounds = measure(
        [
            Work("prepare --jobs 1, to tmpfs", (*ours, "--jobs", "1"), before, after),
            Work("C, one process", (limit, archive, tree), before, after),
            Work("prepare, to tmpfs", ours, before, after),
        ],
        runs,
    )
    return [
        _row(rounds, "prepare --jobs 1, to tmpfs", "C, one process", most=1.25),
        _row(rounds, "prepare, to tmpfs", "C, one process"),
        Row(
            "prepare --jobs 1, to tmpfs: processor time",
            "C, one process",
            ratio(rounds["prepare --jobs 1, to tmpfs"], rounds["C, one process"], cpu),
            runs,
        ),
    ]


def _row(rounds: Rounds, ours: str, theirs: str, most: float | None = None) -> Row:
    measured = ratio(rounds[ours], rounds[theirs], wall)
    return Row(f"{ours}: time", theirs, measured, len(rounds[ours]), most)


def _written(rounds: Rounds, archive: Path) -> list[Row]:
    """Return how often each way writes the images; the system counts whole pages."""
    pages = _pages(archive)

    def times(run: Run) -> float:
        return run.written / pages

    def row(name: str, most: float | None = None) -> Row:
        measured = Spread.of([times(run) for run in rounds[name]])
        return Row(f"{name}: bytes written", "the images once", measured, len(rounds[name]), most)

    return [row("prepare --verify md5", most=1.02), row("md5sum, three steps, small")]


def _pages(archive: Path) -> int:
    """Return the bytes of the archive's images in whole pages."""
    [found] = ilsvrc.index(archive)
    return int((-(-found.sizes // PAGE) * PAGE).sum())


def _fresh(archive: Path, tree: Path) -> None:
    remove(tree)
    forget(archive)
    cool(archive)


def _warm(archive: Path, tree: Path) -> None:
    shutil.rmtree(tree, ignore_errors=True)
    forget(archive)
    warm(archive)


if __name__ == "__main__":
    run(__doc__, SIZE, rows)
