"""Check images deep, against a loop of Pillow: how fast, and how much of the damage is found."""

from __future__ import annotations

import io
import random
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from PIL import Image

import ilsvrc
from bench.command import SIZE, run
from bench.data import DATA, ILSVRC, PEERS, miniature, remove
from bench.harness import Spread, Work, cpu, measure, ratio
from bench.table import Row
from ilsvrc.archive.source import FileSource
from ilsvrc.images.inspect import examine

CLASSES = 6
SAMPLE = 1000
Damage = Callable[[bytearray, random.Random], None]


def rows(size: float, runs: int) -> list[Row]:
    """Return the lines of the table about checking images of an archive of so many bytes."""
    archive = miniature(size)
    return [speed(archive, runs), *detection(archive)]


def speed(archive: Path, runs: int) -> Row:
    """Compare processor time, which is what a core does in a second; files in memory, one process each."""
    tree = DATA / "tree"
    remove(tree)
    some = ",".join(map(str, range(CLASSES)))
    subprocess.run([*ILSVRC, "prepare", archive, tree, "--verify", "none", "--classes", some], check=True)
    try:
        ours = Work("check --deep", (*ILSVRC, "check", "--deep", "--jobs", "1", tree))
        theirs = Work("Pillow", (sys.executable, PEERS / "pillow.py", tree))
        rounds = measure([ours, theirs], runs)
    finally:
        remove(tree)
    measured = ratio(rounds["Pillow"], rounds["check --deep"], cpu)
    return Row("check --deep: images a second and core", "Pillow load in a loop", measured, runs, least=1.3)


def detection(archive: Path) -> list[Row]:
    """Compare how much of each kind of damage is found by decoding alone; a digest would find it all."""
    images = _sample(archive)
    return [_found(kind, damage, images) for kind, damage in DAMAGES.items()]


def _found(kind: str, damage: Damage, images: list[bytes]) -> Row:
    chance = random.Random(2012)
    ours = theirs = 0
    for image in images:
        data = bytearray(image)
        damage(data, chance)
        ours += examine("image", bytes(data)) is not None
        theirs += not _pillow_loads(bytes(data))
    work = f"check --deep: {kind}, {ours / len(images):.1%} found"
    return Row(work, f"Pillow load, {theirs / len(images):.1%}", Spread.of([ours / max(1, theirs)]), 1, least=1.0)


def _sample(archive: Path) -> list[bytes]:
    """Return images from all over the archive."""
    [index], source = ilsvrc.index(archive), FileSource(archive)
    step = max(1, len(index) // SAMPLE)
    return [source.read(index[i].offset, index[i].size) for i in range(0, len(index), step)]


def _pillow_loads(data: bytes) -> bool:
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as image:
            image.load()
    except (OSError, SyntaxError, ValueError):
        return False
    return True


def _flip_bit(data: bytearray, chance: random.Random) -> None:
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _garble_sector(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    data[start : start + 512] = chance.randbytes(len(data[start : start + 512]))


def _blank_page(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(0, len(data), 4096)
    data[start : start + 4096] = bytes(len(data[start : start + 4096]))


def _cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(1, len(data)) :]


DAMAGES: dict[str, Damage] = {
    "one bit flipped": _flip_bit,
    "512 bytes garbled": _garble_sector,
    "a page of zeros": _blank_page,
    "cut short": _cut,
}


if __name__ == "__main__":
    run(__doc__, SIZE, rows)
