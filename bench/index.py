"""Index a nested archive: headers in memory, against ratarmount; from the disk, against what the disk can do."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import ilsvrc
from bench.command import FRACTION, run
from bench.data import DATA, PEERS, compiled, cool, forget, peer_python, simulated
from bench.harness import Work, measure, ratio, run_once, stated
from bench.table import Row

THREADS = 16
"""Reads that the probe has in flight."""

OURS = (sys.executable, PEERS / "ours.py", "index")


def rows(fraction: float, runs: int) -> list[Row]:
    """Return the lines of the table about indexing a simulated archive at this fraction of the full scale."""
    archive = simulated(fraction)
    return [in_memory(archive, runs), from_disk(archive, runs)]


def in_memory(archive: Path, runs: int) -> Row:
    """Compare with ratarmount's recursive index; both store theirs. The start of Python is not counted."""
    kept = DATA / "ratarmount.sqlite"
    ours = Work("index", (*OURS, archive), partial(_headers_in_memory, archive))
    theirs = Work(
        "ratarmount", (peer_python(), PEERS / "ratar.py", archive, kept), after=partial(kept.unlink, missing_ok=True)
    )
    rounds = measure([ours, theirs], runs)
    images = len(ilsvrc.index(archive)[0])
    measured = ratio(rounds["index"], rounds["ratarmount"], stated)
    return Row(f"index {images:,} members, warm", "ratarmount, recursive", measured, runs, most=1 / 30)


def from_disk(archive: Path, runs: int) -> Row:
    """Compare with a C program that reads the same headers and does nothing with them."""
    places = _places(archive)
    probe = (compiled("probe"), archive, places, str(THREADS))
    before = partial(_cold, archive)
    rounds = measure([ours_indexing(archive), Work("read only", probe, before)], runs)
    measured = ratio(rounds["index"], rounds["read only"], stated)
    against = f"reading them, {THREADS} threads in C"
    return Row(f"index {len(ilsvrc.index(archive)[0]):,} members, cold", against, measured, runs, most=1.3)


def ours_indexing(archive: Path) -> Work:
    """Return the work of indexing an archive from the disk."""
    return Work("index", (*OURS, archive), partial(_cold, archive))


def _places(archive: Path) -> Path:
    """Write where the headers of the images are, in the order in which they lie; return the file."""
    path = DATA / "places.int64"
    [found] = ilsvrc.index(archive)
    path.write_bytes((found.offsets[found.archive_order] - 512).astype("<i8").tobytes())
    return path


def _headers_in_memory(archive: Path) -> None:
    """Have the headers read by indexing once: the file itself is far larger than memory, though mostly holes."""
    forget(archive)
    run_once((*OURS, archive))
    forget(archive)


def _cold(archive: Path) -> None:
    forget(archive)
    cool(archive)


if __name__ == "__main__":
    run(__doc__, FRACTION, rows)
