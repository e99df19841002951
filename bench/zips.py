"""Zips: index one of Kaggle's size, read images at random, sweep over all; against zipfile, unzip and cp."""

from __future__ import annotations

import struct
import sys
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

import ilsvrc
from bench.command import SIZE, run
from bench.data import DATA, forget, miniature, warm
from bench.harness import Spread, Work, measure, ratio, stated, wall
from bench.table import Row
from ilsvrc.facts import classes
from ilsvrc.files import written_whole
from ilsvrc.testing.images import REAL_MEAN_BYTES

ZIPS = (sys.executable, "-m", "bench.peers.zips")
MEMORY = 400e6

KAGGLE = "ILSVRC/Data/CLS-LOC"
BOXES = 545_000
"""Train images that have a file of boxes in Kaggle's zip, about."""

_RECORD = struct.Struct("<4s6H3I5H2IHHQ")
_END = struct.Struct("<4sQ2H2I4Q4sIQI4s4H2IH")
_FULL = 0xFFFFFFFF


def rows(size: float, runs: int) -> list[Row]:
    """Return the lines of the table about zips."""
    found = indexing(runs)
    for method, name in ((zipfile.ZIP_STORED, "stored"), (zipfile.ZIP_DEFLATED, "deflated")):
        archive = packed(size, method)
        found += [*reading(archive, name, runs), *sweeping(archive, name, runs)]
    return found


def indexing(runs: int, fraction: float = 1.0) -> list[Row]:
    """Compare opening a zip of Kaggle's size with zipfile, and the memory with the contract's."""
    archive = simulated(fraction)
    rounds = measure(
        [
            Work("index", (*ZIPS, "ours", archive, "open"), partial(forget, archive)),
            Work("index that is kept", (*ZIPS, "ours", archive, "open")),
            Work("zipfile", (*ZIPS, "zipfile", archive, "open")),
        ],
        runs,
    )
    ours, kept, theirs = rounds["index"], rounds["index that is kept"], rounds["zipfile"]
    memory = Spread.of([run.rss / MEMORY for run in ours])
    return [
        Row("zip, full scale: index", "zipfile", ratio(ours, theirs, stated), runs, most=0.5),
        Row("zip, full scale: open, indexed", "zipfile", ratio(kept, theirs, stated), runs, most=0.1),
        Row("zip, full scale: index: peak memory", "400 MB", memory, runs, most=1.0),
    ]


def reading(archive: Path, name: str, runs: int) -> list[Row]:
    """Compare random reads of images that are in memory."""
    works = [Work(kind, (*ZIPS, kind, archive, "read"), partial(warm, archive)) for kind in ("ours", "zipfile")]
    rounds = measure(works, runs)
    measured = ratio(rounds["ours"], rounds["zipfile"], stated)
    return [Row(f"zip, {name}: random reads, warm", "zipfile", measured, runs, 0.5 if name == "stored" else None)]


def sweeping(archive: Path, name: str, runs: int) -> list[Row]:
    """Compare reading all images once, in the order in which they lie, with programs that read all bytes once."""
    before = partial(warm, archive)
    rounds = measure(
        [
            Work("ours", (*ZIPS, "ours", archive, "sweep"), before),
            Work("zipfile", (*ZIPS, "zipfile", archive, "sweep"), before),
            Work("unzip -tq", ("unzip", "-tq", archive), before),
            Work("cp", ("cp", archive, "/dev/null"), before),
        ],
        runs,
    )
    return [
        Row(f"zip, {name}: all images once", peer, ratio(rounds["ours"], rounds[peer], figure), runs, most)
        for peer, figure, most in (("zipfile", stated, None), ("unzip -tq", wall, 1.0), ("cp", wall, None))
    ]


def packed(size: float, method: int) -> Path:
    """Return a zip of class folders with the images of a miniature, making it at first."""
    archive = miniature(size)
    path = archive.with_suffix(f".{method}.zip")
    if not path.exists():
        images = ilsvrc.ImageNet(archive, "train")
        with written_whole(path) as part, zipfile.ZipFile(part, "w", method) as target:
            for index in range(len(images)):
                target.writestr("/".join(("train", *images.path(index).split("/")[-2:])), images.bytes(index))
    return path


def simulated(fraction: float) -> Path:
    """Return a zip with the list of members of Kaggle's at a fraction of its size, making it at first.

    It is for the programs that read the list alone: all bytes before it are a hole.
    """
    path = DATA / f"kaggle-{fraction:g}" / "challenge.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        with written_whole(path) as part:
            _write(part, fraction)
    return path


def _write(path: Path, fraction: float) -> None:
    generator = np.random.default_rng(2012)
    place, count, records = 0, 0, bytearray()
    for name, mean in _names(fraction, generator):
        size = int(mean * generator.lognormal(-0.18, 0.6))
        wide = place > _FULL
        fields = (b"PK\1\2", 3 << 8 | 45, 45, 0, 0, 0, 0, 1, size, size, len(name), 12, 0, 0, 0, 0o100644 << 16)
        record = _RECORD.pack(*fields, _FULL, 1, 8, place)
        if wide:
            records += record[:46] + name.encode() + record[46:]
        else:
            records += record[:30] + b"\0\0" + record[32:42] + place.to_bytes(4, "little") + name.encode()
        place += 30 + len(name) + size
        count += 1
    with path.open("wb") as file:
        file.write(b"PK\3\4")
        file.seek(place)
        file.write(records)
        wide_end = (b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(records), place)
        locator = (b"PK\6\7", 0, place + len(records), 1)
        file.write(_END.pack(*wide_end, *locator, b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, _FULL, _FULL, 0))


def _names(fraction: float, generator: np.random.Generator) -> Iterator[tuple[str, float]]:
    """Yield the names of all members, and how many bytes such members have in the middle."""
    counts = [max(1, round(fraction * synset.train_images)) for synset in classes()]
    boxes = round(fraction * BOXES)
    for synset in classes():
        for number in range(boxes // len(counts)):
            yield f"ILSVRC/Annotations/CLS-LOC/train/{synset.wnid}/{synset.wnid}_{number}.xml", 500
    for number in range(1, round(fraction * 50_000) + 1):
        yield f"ILSVRC/Annotations/CLS-LOC/val/ILSVRC2012_val_{number:08}.xml", 500
    for number in range(1, round(fraction * 100_000) + 1):
        yield f"{KAGGLE}/test/ILSVRC2012_test_{number:08}.JPEG", REAL_MEAN_BYTES
    for synset, count in zip(classes(), counts, strict=True):
        for number in generator.permutation(count).tolist():
            yield f"{KAGGLE}/train/{synset.wnid}/{synset.wnid}_{number}.JPEG", REAL_MEAN_BYTES
    for number in range(1, round(fraction * 50_000) + 1):
        yield f"{KAGGLE}/val/ILSVRC2012_val_{number:08}.JPEG", REAL_MEAN_BYTES


if __name__ == "__main__":
    run(__doc__, SIZE, rows)
