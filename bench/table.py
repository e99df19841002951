"""The table of the performance contract: work, against, ratio wanted, ratio measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.harness import Spread

_HEAD = ("work", "against", "wanted", "measured", "min to max", "runs", "")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    work, against : what was compared
    measured : ours to theirs
    runs : how many rounds
    most : the contract's limit, or None where it sets none
    least : the contract's lower limit, for figures of which more is better
    """

    work: str
    against: str
    measured: Spread
    runs: int
    most: float | None = None
    least: float | None = None

    @property
    def verdict(self) -> str:
        """`ok`, `missed`, or empty where the contract sets no limit."""
        if self.most is None and self.least is None:
            return ""
        too_much = self.most is not None and self.measured.median > self.most
        too_little = self.least is not None and self.measured.median < self.least
        return "missed" if too_much or too_little else "ok"

    @property
    def wanted(self) -> str:
        """The limits in words."""
        bounds = (("<=", self.most), (">=", self.least))
        return " ".join(f"{sign} {bound:.3g}" for sign, bound in bounds if bound is not None) or "-"

    def cells(self) -> tuple[str, ...]:
        """Return the line's cells."""
        spread = f"{self.measured.low:.3g} to {self.measured.high:.3g}"
        return (
            self.work,
            self.against,
            self.wanted,
            f"{self.measured.median:.3g}",
            spread,
            str(self.runs),
            self.verdict,
        )


def markdown(rows: Sequence[Row]) -> str:
    """Return the table in Markdown, its columns aligned."""
    return aligned([_HEAD, *(row.cells() for row in rows)])


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Return lines of cells as a table in Markdown, the first as its head, the columns aligned."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines]
    return "\n".join([text[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *text[1:]])


def machine(folder: Path) -> str:
    """Describe the machine: what the figures depend on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} processors ({platform.machine()}), {memory:.0f} GiB of memory, "
        f"{_file_system(folder)}, {platform.system()} {platform.release().partition('-')[0]}, "
        f"Python {platform.python_version()}; load {load:.1f} at the end"
    )


def _file_system(folder: Path) -> str:
    """Return the kind of the file system that a folder is on (Linux: proc_pid_mounts(5))."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return "unknown file system"
    fields = [line.split() for line in mounts.read_text(encoding="utf-8").splitlines()]
    around = [(len(place), kind) for _, place, kind, *_ in fields if folder.resolve().is_relative_to(place)]
    return max(around)[1]  # the longest mount point
