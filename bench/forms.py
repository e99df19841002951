"""Prepare a tree, a zip and Parquet files, against `cp -r` of the same tree; everything durable at the end.

Every run writes a tree of its own, and none is removed before the last has ended: ext4 creates files several times
slower just after deletions. Sources are in the page cache, for all alike. Classes are as large as the real ones.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

from bench.command import SIZE, run
from bench.data import DATA, ILSVRC
from bench.harness import Command, Work, measure, ratio, wall
from bench.table import Row
from ilsvrc.testing import Form, MiniSpec, write_mini

TREES = DATA / "form-trees"
PER_CLASS, MEAN = 1300, 110_000
FORMS = {"a tree": Form.TREE, "a zip": Form.KAGGLE_ZIP, "Parquet": Form.HF_PARQUET, "archives": Form.ARCHIVES}


def rows(size: float, runs: int) -> list[Row]:
    """Return the lines of the table about sources of so many bytes of images."""
    sources = {name: _source(form, size) for name, form in FORMS.items()}
    numbers = count()
    works = [Work("cp -r", partial(_copy, sources["a tree"], numbers))]
    works += [Work(name, partial(_prepare, source, numbers)) for name, source in sources.items()]
    shutil.rmtree(TREES, ignore_errors=True)
    TREES.mkdir(parents=True)
    subprocess.run(["sync"], check=True)
    try:
        rounds = measure(works, runs)
    finally:
        shutil.rmtree(TREES, ignore_errors=True)
    return [
        Row(f"prepare from {name}: time", "cp -r, sync", ratio(rounds[name], rounds["cp -r"], wall), runs, most=1.2)
        for name in FORMS
    ]


def _source(form: Form, size: float) -> Path:
    """Return a miniature of a form, written at first."""
    classes = max(1, round(size / PER_CLASS / MEAN))
    folder = DATA / f"form-{form}-{classes}"
    if not folder.exists():
        spec = MiniSpec(classes=classes, per_class=PER_CLASS, val_per_class=1, mean_bytes=MEAN, form=form)
        write_mini(folder, spec)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            path.read_bytes()  # into the page cache
    return folder


def _copy(source: Path, numbers: Iterator[int]) -> Command:
    target = TREES / str(next(numbers))
    return ("sh", "-c", f"cp -r {source}/train {target} && sync -f {target}")


def _prepare(source: Path, numbers: Iterator[int]) -> Command:
    return (*ILSVRC, "prepare", source, TREES / str(next(numbers)), "--split", "train", "--link", "copy")


if __name__ == "__main__":
    run(__doc__, SIZE, rows, runs=3)
