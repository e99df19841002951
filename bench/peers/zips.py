"""Open a zip, read its images at random, or read all of them; with ilsvrc in place, or with the standard zipfile.

Usage: python -m bench.peers.zips ours|zipfile FILE open|read|sweep
"""

from __future__ import annotations

import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ilsvrc.readers.reader import Reader
from ilsvrc.readers.zip import recognise

READS = 4_000


def _all(read: Callable[[Any], bytes], wanted: list[Any]) -> None:
    for key in wanted:
        read(key)


def ours(path: Path, what: str) -> Callable[[], None]:
    """Return the work, with the zip open unless opening it is the work."""

    def opened() -> list[Reader]:
        return [found.open() for found in recognise(path)]

    if what == "open":
        return lambda: print([len(reader) for reader in opened()])
    [reader] = opened()
    if what == "read":
        rows = np.random.default_rng(0).integers(0, len(reader), READS).tolist()
        return lambda: _all(reader.read, rows)
    return lambda: print(sum(len(data) for _, data in reader.take(reader.storage_order())))


def standard(path: Path, what: str) -> Callable[[], None]:
    """Return the same work of the standard library."""
    if what == "open":
        return lambda: print(len(zipfile.ZipFile(path).namelist()))
    archive = zipfile.ZipFile(path)
    names = archive.namelist()
    if what == "read":
        drawn = [names[row] for row in np.random.default_rng(0).integers(0, len(names), READS).tolist()]
        return lambda: _all(archive.read, drawn)
    return lambda: print(sum(len(archive.read(name)) for name in names))


def main(kind: str, path: str, what: str) -> None:
    work = {"ours": ours, "zipfile": standard}[kind](Path(path), what)
    begun = time.perf_counter()
    work()
    print(f"seconds: {time.perf_counter() - begun}")


if __name__ == "__main__":
    main(*sys.argv[1:])
