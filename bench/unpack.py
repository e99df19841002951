"""Unpack a train archive: to disk against the scripts in use, to memory against the limit."""

from __future__ import annotations

import argparse
import shutil
import sys
from functools import partial
from pathlib import Path

from bench.data import DATA, ILSVRC, PEERS, compiled, cool, forget, miniature, remove, warm
from bench.harness import Rounds, Run, Spread, Work, measure, ratio, wall
from bench.table import Row, machine, markdown

MEMORY = Path("/dev/shm")
PAGE = 4096


def rows(size: float, runs: int) -> list[Row]:
    """Return the lines of the table about unpacking an archive of so many bytes."""
    archive = miniature(size)
    return [*to_disk(archive, runs), *(to_memory(archive, runs) if MEMORY.is_dir() else [])]


def to_disk(archive: Path, runs: int) -> list[Row]:
    """Compare with what people do, everything durable at the end, the archive read from the disk."""
    tree, script = DATA / "tree", PEERS / "threesteps.sh"

    def work(name: str, *command: str | Path) -> Work:
        return Work(name, command, partial(_fresh, archive, tree), partial(remove, tree))

    rounds = measure(
        [
            work("prepare --verify md5", *ILSVRC, "prepare", archive, tree),
            work("md5sum, three steps", "sh", script, archive, tree, "md5sum"),
            work("prepare --verify none", *ILSVRC, "prepare", archive, tree, "--verify", "none"),
            work("three steps", "sh", script, archive, tree),
            work("md5, extractall", sys.executable, PEERS / "extractall.py", archive, tree),
        ],
        runs,
    )
    return [
        _row(rounds, "prepare --verify md5", "md5sum, three steps", most=0.5),
        _row(rounds, "prepare --verify none", "three steps"),
        _row(rounds, "prepare --verify md5", "md5, extractall"),
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
    ]


def _row(rounds: Rounds, ours: str, theirs: str, most: float | None = None) -> Row:
    measured = ratio(rounds[ours], rounds[theirs], wall)
    return Row(f"{ours}: time", theirs, measured, len(rounds[ours]), most)


def _written(rounds: Rounds, archive: Path) -> list[Row]:
    """Return how often each way writes the images; the system counts whole pages."""
    pages = _pages(archive)

    def times(run: Run) -> float:
        return run.written / pages

    return [
        Row(f"{name}: bytes written", "the images once", Spread.of([times(run) for run in rounds[name]]), len(rounds[name]), most)
        for name, most in (("prepare --verify md5", 1.01), ("md5sum, three steps", None))
        if any(run.written for run in rounds[name])
    ]


def _pages(archive: Path) -> int:
    """Return the bytes of the archive's images in whole pages."""
    from ilsvrc import index

    [found] = index(archive)
    return int((-(-found.sizes // PAGE) * PAGE).sum())


def _fresh(archive: Path, tree: Path) -> None:
    remove(tree)
    forget(archive)
    cool(archive)


def _warm(archive: Path, tree: Path) -> None:
    shutil.rmtree(tree, ignore_errors=True)
    forget(archive)
    warm(archive)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=float, default=2e9, help="bytes of the archive (%(default)g)")
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each command (%(default)s)")
    options = parser.parse_args()
    print(markdown(rows(options.size, options.runs)), machine(DATA), sep="\n\n")


if __name__ == "__main__":
    main()
