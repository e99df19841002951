"""Read in place: the archives as they are, against the folders that torchvision's ImageFolder reads."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import ilsvrc
from bench.command import FRACTION, run
from bench.command import SIZE as WHOLE
from bench.data import DATA, cool, miniature, simulated, warm
from bench.harness import Spread, Work, measure, ratio, stated
from bench.table import Row

READING = (sys.executable, "-m", "bench.peers.reading")
_, SIZE, _ = WHOLE
"""Bytes of the images that are read and decoded: warm reads need them in memory twice."""


def rows(fraction: float, runs: int) -> list[Row]:
    """Return the lines of the table about reading in place, opening at this fraction of the full scale."""
    archive = miniature(SIZE)
    folders = unpacked(archive)
    return [*opening(fraction, runs), *reads(archive, folders, runs), *loads(archive, folders, runs)]


def opening(fraction: float, runs: int) -> list[Row]:
    """Compare opening, and what every worker holds for itself, over as many images; the folders' files are empty."""
    archive = simulated(fraction)
    folders, images = named(archive), len(ilsvrc.index(archive)[0])
    rounds = measure([_work(*side, "open") for side in _sides(archive, folders)], runs)
    measured = ratio(rounds["ours"], rounds["imagefolder"], stated)
    found = [Row(f"open {images:,} images, indexed", "ImageFolder, warm", measured, runs, most=1 / 100)]
    for method in ("fork", "spawn"):
        shares = [_held("ours", archive, method) / _held("imagefolder", folders, method) for _ in range(runs)]
        found.append(Row(f"memory of a worker, {method}", "ImageFolder", Spread.of(shares), runs, most=1 / 10))
    return found


def reads(archive: Path, folders: Path, runs: int) -> list[Row]:
    """Compare random reads with opening, reading and closing files: from memory, and from the disk."""
    found = []
    for state, before, most in (("warm", _warm, 1 / 2), ("cold", _cold, 1 / 5)):
        for name, batch in (("reads", "1"), ("batches of 64", "64")):
            works = [_work(*side, "read", batch, before=before) for side in _sides(archive, folders)]
            rounds = measure(works, runs)
            measured = ratio(rounds["ours"], rounds["imagefolder"], stated)
            found.append(Row(f"random {name}, {state}", "open, read, close", measured, runs, most=most))
    return found


def loads(archive: Path, folders: Path, runs: int) -> list[Row]:
    """Compare decoding in torch's DataLoader."""
    found = []
    for workers in range(3):
        works = [_work(*side, "load", str(workers), before=_warm) for side in _sides(archive, folders)]
        rounds = measure(works, runs)
        measured = ratio(rounds["ours"], rounds["imagefolder"], stated)
        found.append(Row(f"DataLoader with decode, {workers} workers", "ImageFolder", measured, runs, most=1))
    return found


def unpacked(archive: Path) -> Path:
    """Return the folders of an archive, unpacked at first."""
    target = DATA / f"{archive.parent.name}-tree"
    if not (target / "train").exists():
        ilsvrc.prepare(archive, target, ilsvrc.PrepareOptions(verify="none"))
    return target / "train"


def named(archive: Path) -> Path:
    """Return folders with an empty file for every image of an archive, made at first."""
    folders = DATA / f"{archive.parent.name}-empty"
    done = folders.with_suffix(".done")
    if done.exists():
        return folders
    dataset = ilsvrc.ImageNet(archive)
    for wnid in dataset.wnids:
        (folders / wnid).mkdir(parents=True, exist_ok=True)
    for path, _ in dataset.samples:
        wnid, name = path.split("/")[-2:]
        (folders / wnid / name).touch()
    done.touch()
    return folders


def _sides(archive: Path, folders: Path) -> tuple[tuple[str, Path], ...]:
    return ("ours", archive), ("imagefolder", folders)


def _work(kind: str, place: Path, *what: str, before: object = None) -> Work:
    if before is None:
        return Work(kind, (*READING, kind, place, *what))
    assert callable(before)
    return Work(kind, (*READING, kind, place, *what), partial(before, place))


def _held(kind: str, place: Path, method: str) -> int:
    """Return the bytes that a worker holds for its dataset alone; at least a page."""
    command = (*READING, kind, str(place), "memory", method)
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    held = int(printed.rpartition("bytes: ")[2])
    print(f"  memory, {method}: {kind}: {held / 1e6:.1f} MB", file=sys.stderr, flush=True)
    return max(held, 4096)


def _files(place: Path) -> list[Path]:
    return [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]


def _warm(place: Path) -> None:
    for path in _files(place):
        warm(path)


def _cold(place: Path) -> None:
    """Take files out of the page cache and, where we may, names and inodes too (Linux: proc_sys_vm(5))."""
    for path in _files(place):
        cool(path)
    drop = Path("/proc/sys/vm/drop_caches")
    try:
        drop.write_text("3\n", encoding="ascii")
    except OSError:
        print("  names and inodes stay in memory: only root can drop them", file=sys.stderr, flush=True)


if __name__ == "__main__":
    run(__doc__, FRACTION, rows)
