"""Measure the performance contract: every line of it that a small archive can tell."""

from __future__ import annotations

from bench import check, index, unpack
from bench.command import FRACTION, SIZE, run
from bench.table import Row


def rows(size: float, runs: int) -> list[Row]:
    """Return the whole table."""
    _, fraction, _ = FRACTION
    return [*unpack.rows(size, runs), *index.rows(fraction, runs), *check.rows(size, runs)]


if __name__ == "__main__":
    run(__doc__, SIZE, rows)
