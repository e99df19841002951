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


def parser(about: str | None, scale: tuple[str, float, str], runs: int = 5) -> argparse.ArgumentParser:
    """Return the parser of the two options; the first is called `scale`."""
    name, default, text = scale
    made = argparse.ArgumentParser(description=about)
    made.add_argument(name, dest="scale", type=type(default), default=default, help=f"{text} (%(default)g)")
    made.add_argument("--runs", type=int, default=runs, help="counted runs of each command (%(default)s)")
    return made


def add_choice(made: argparse.ArgumentParser, names: Sequence[str]) -> None:
    """Add the option `--formats`: some of these names, with commas between them; all by default."""

    def chosen(text: str) -> list[str]:
        found = text.split(",")
        for name in found:
            if name not in names:
                raise argparse.ArgumentTypeError(f"there is no {name!r}: {', '.join(names)}")
        return found

    made.add_argument("--formats", type=chosen, default=list(names), help=f"some of {','.join(names)}")


def run(about: str | None, scale: tuple[str, float, str], rows: Rows, runs: int = 5) -> None:
    """Measure as the command line says and print the table."""
    options = parser(about, scale, runs).parse_args()
    show(rows(options.scale, options.runs))


def show(rows: Sequence[Row]) -> None:
    """Print the table, and the machine that it is of."""
    print(markdown(rows), machine(DATA), sep="\n\n")
