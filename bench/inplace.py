"""Read in place: the archives as they are, against the folders that torchvision's ImageFolder reads."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import ilsvrc
from bench.command import SIZE as WHOLE
from bench.command import run
from bench.data import DATA, miniature, warm
from bench.harness import Spread, Work, measure, ratio, stated
from bench.sampled import Sampled, sampled
from bench.table import Row

READING = (sys.executable, "-m", "bench.peers.reading")
_, SIZE, _ = WHOLE
"""Bytes of the images that are read and decoded: warm reads need them in memory twice."""


def rows(fraction: float, runs: int) -> list[Row]:
    """Return the lines of the table about reading in place, at this fraction of the full number of images."""
    data = sampled(fraction)
    return [*opening(data, runs), *reads(data, runs), *loads(runs)]


def opening(data: Sampled, runs: int) -> list[Row]:
    """Compare opening, and what every worker holds for itself."""
    images = len(ilsvrc.index(data.archive)[0])
    rounds = measure([_work(*side, "open") for side in _sides(data)], runs)
    measured = ratio(rounds["ours"], rounds["imagefolder"], stated)
    found = [Row(f"open {images:,} images, indexed", "ImageFolder, warm", measured, runs, most=1 / 100)]
    for method in ("fork", "spawn"):
        shares = [
            _held("ours", data.archive, method) / _held("imagefolder", data.folders, method) for _ in range(runs)
        ]
        found.append(Row(f"memory of a worker, {method}", "ImageFolder", Spread.of(shares), runs, most=1 / 10))
    return found


def reads(data: Sampled, runs: int) -> list[Row]:
    """Compare random reads with opening, reading and closing files: from memory, and from the disk."""
    found = []
    for state, before, most in (("warm", _as_it_is, 1 / 2), ("cold", _cold, 1 / 5)):
        for name, batch in (("reads", "1"), ("batches of 64", "64")):
            words = state, batch, str(data.sample)
            sides = (*_sides(data), ("pread", data.archive))
            rounds = measure([_work(*side, *words, before=before) for side in sides], runs)
            for peer, against, limit in (("imagefolder", "open, read, close", most), ("pread", "pread alone", None)):
                measured = ratio(rounds["ours"], rounds[peer], stated)
                found.append(Row(f"random {name}, {state}", against, measured, runs, most=limit))
    return found


def loads(runs: int) -> list[Row]:
    """Compare decoding in torch's DataLoader."""
    found = []
    archive = miniature(SIZE)
    sides = ("ours", archive), ("imagefolder", unpacked(archive))
    for workers in range(3):
        works = [_work(*side, "load", str(workers), before=partial(_warm, side[1])) for side in sides]
        rounds = measure(works, runs)
        measured = ratio(rounds["ours"], rounds["imagefolder"], stated)
        found.append(Row(f"DataLoader with decode, {workers} workers", "ImageFolder", measured, runs, most=1))
    return found


def unpacked(archive: Path) -> Path:
    """Return the folders of an archive, unpacked at first."""
    target = DATA / f"{archive.parent.name}-tree"
    if not (target / "train").exists():
        ilsvrc.prepare(archive, target, verify="none")
    return target / "train"


def _sides(data: Sampled) -> tuple[tuple[str, Path], ...]:
    return ("ours", data.archive), ("imagefolder", data.folders)


def _as_it_is() -> None:
    pass


def _work(kind: str, place: Path, *what: str, before: Callable[[], None] = _as_it_is) -> Work:
    return Work(kind, (*READING, kind, place, *what), before)


def _held(kind: str, place: Path, method: str) -> int:
    """Return the bytes that a worker holds for its dataset alone; at least a page."""
    command = (*READING, kind, str(place), "memory", method)
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    held = int(printed.rpartition("bytes: ")[2])
    print(f"  memory, {method}: {kind}: {held / 1e6:.1f} MB", file=sys.stderr, flush=True)
    return max(held, 4096)


def _warm(place: Path) -> None:
    for path in [place] if place.is_file() else place.rglob("*.JPEG"):
        warm(path)


def _cold() -> None:
    """Take contents, names and inodes out of memory: only root may (Linux: proc_sys_vm(5))."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3\n", encoding="ascii")
    except OSError as error:
        raise SystemExit(f"cold reads can't be measured: {error}; run as root, on Linux") from error


if __name__ == "__main__":
    run(__doc__, ("--fraction", 1.0, "part of the full 1,281,167 images"), rows)
