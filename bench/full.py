"""Index, plan and check a simulated archive of the full size: 1,281,167 members in 147,897,477,120 bytes."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.command import run
from bench.data import ILSVRC, PEERS, simulated
from bench.harness import Spread, Work, measure
from bench.index import from_disk, ours_indexing
from bench.table import Row

MEMORY = 400e6


def rows(fraction: float, runs: int) -> list[Row]:
    """Return the lines of the table about an archive of this fraction of the full size."""
    archive = simulated(fraction)
    return [from_disk(archive, runs), *memory(archive)]


def memory(archive: Path) -> list[Row]:
    """Compare the peak memory of each command with the contract's; what is mapped from the index file counts too."""
    rounds = measure(
        [
            ours_indexing(archive),
            Work("plan", (sys.executable, PEERS / "ours.py", "plan", archive)),
            Work("check", (*ILSVRC, "check", archive)),
        ],
        runs=1,
        warmups=0,
    )
    return [
        Row(f"{name}: peak memory", "400 MB", Spread.of([run.rss / MEMORY for run in found]), 1, most=1.0)
        for name, found in rounds.items()
    ]


if __name__ == "__main__":
    run(__doc__, ("--fraction", 1.0, "part of the full 1,281,167 members"), rows, runs=1)
