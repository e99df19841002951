"""What the benchmark commands share: two options and a table."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from bench.data import DATA
from bench.table import Row, machine, markdown

SIZE = ("--size", 2e9, "bytes of the archive")
"""An archive of real images."""

FRACTION = ("--fraction", 0.1, "part of the full 1,281,167 members")
"""A simulated archive."""

Rows = Callable[[float, int], list[Row]]


def run(about: str | None, scale: tuple[str, float, str], rows: Rows, runs: int = 5) -> None:
    """Measure as the command line says and print the table."""
    name, default, text = scale
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument(name, dest="scale", type=float, default=default, help=f"{text} (%(default)g)")
    parser.add_argument("--runs", type=int, default=runs, help="counted runs of each command (%(default)s)")
    options = parser.parse_args()
    show(rows(options.scale, options.runs))


def show(rows: Sequence[Row]) -> None:
    """Print the table, and the machine that it is of."""
    print(markdown(rows), machine(DATA), sep="\n\n")
