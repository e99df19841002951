"""Prepare an archive three times as large as memory: through the page cache, and past it (RWF_DONTCACHE).

In a memory cgroup of a third of the archive, which is read from the disk each time. Every run writes a tree of its
own, and none is removed before the last has ended: ext4 creates files several times slower just after deletions.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path

from bench.command import run
from bench.data import DATA, ILSVRC, cool, forget, miniature
from bench.harness import Rounds, Work, measure, ratio, wall
from bench.table import Row

GROUP = Path("/sys/fs/cgroup/memory/ilsvrc-bench")
"""A memory cgroup of version 1; made by root."""

FLAGS = Path(__file__).with_name("peers") / "uncached"
TREES = DATA / "uncached"
WAYS = {
    "cached": (),
    "reads uncached": ("READS=1",),
    "writes uncached": ("WRITES=1",),
    "both uncached": ("READS=1", "WRITES=1"),
}


def rows(size: float, runs: int) -> list[Row]:
    """Return the lines of the table: each way against `md5sum` alone, and against the cached way."""
    archive = miniature(size)
    _limit(archive.stat().st_size // 3)
    numbers = count()
    works = [Work("md5sum", _confined(("md5sum", archive)), lambda: cool(archive))]
    works += [Work(name, _Prepare(archive, numbers, flags), _before(archive)) for name, flags in WAYS.items()]
    shutil.rmtree(TREES, ignore_errors=True)
    subprocess.run(["sync"], check=True)
    try:
        rounds = measure(works, runs, warmups=0)
    finally:
        shutil.rmtree(TREES, ignore_errors=True)
    return [_row(rounds, name, other) for name in WAYS for other in ("md5sum", "cached") if name != other]


class _Prepare(Sequence[str | Path]):
    """A command that writes to another tree each time it is asked for."""

    def __init__(self, archive: Path, numbers: Iterator[int], flags: tuple[str, ...]) -> None:
        self._archive, self._numbers, self._flags = archive, numbers, flags

    def _command(self) -> tuple[str | Path, ...]:
        tree = TREES / str(next(self._numbers))
        ours = ("env", *self._flags, f"PYTHONPATH={FLAGS}", *ILSVRC, "prepare", self._archive, tree)
        return _confined(ours)

    def __iter__(self) -> Iterator[str | Path]:
        return iter(self._command())

    def __len__(self) -> int:
        return len(self._command())

    def __getitem__(self, at: int | slice) -> str | Path:  # type: ignore[override]
        return self._command()[at]  # type: ignore[return-value]


def _confined(command: Sequence[object]) -> tuple[str | Path, ...]:
    """Return a command that runs in the group."""
    return ("sh", "-c", f'echo $$ > {GROUP}/cgroup.procs && exec "$@"', "sh", *map(str, command))


def _limit(memory: int) -> None:
    GROUP.mkdir(exist_ok=True)
    (GROUP / "memory.limit_in_bytes").write_text(str(memory))


def _before(archive: Path) -> Callable[[], None]:
    def ready() -> None:
        forget(archive)
        cool(archive)
        subprocess.run(["sync"], check=True)

    return ready


def _row(rounds: Rounds, name: str, other: str) -> Row:
    measured = ratio(rounds[name], rounds[other], wall)
    return Row(f"prepare --verify md5, {name}: time", other, measured, len(rounds[name]))


if __name__ == "__main__":
    run(__doc__, ("--size", 3e9, "bytes of the archive"), rows, runs=3)
