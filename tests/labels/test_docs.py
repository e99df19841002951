"""Run what the docs say: every `>>>` as a doctest, every `$ ilsvrc` as a command."""

from __future__ import annotations

import doctest
import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ilsvrc.facts import convert, val_labels
from ilsvrc.facts.names import val_name
from tests.labels import files

ROOT = Path(__file__).parents[2]
PAGES = ["reference/labels.md", "reference/detect.md", "how-to/which-mapping.md"]
MODULES = [
    "facts.classes", "facts.class_lists", "facts.schemes", "labels.detect", "facts.names", "labels.query",
    "labels.train", "labels.evidence", "labels.tables",
]  # fmt: skip


@pytest.mark.parametrize("module", MODULES)
def test_docstrings(module: str) -> None:
    done = doctest.testmod(importlib.import_module(f"ilsvrc.{module}"))
    assert done.attempted > 0
    assert done.failed == 0


@pytest.mark.parametrize("page", [p for p in PAGES if ">>>" in (ROOT / "docs" / p).read_text()])
def test_python_in_the_docs(page: str) -> None:
    done = doctest.testfile(str(ROOT / "docs" / page), module_relative=False)
    assert done.attempted > 0
    assert done.failed == 0


@pytest.mark.parametrize("page", [p for p in PAGES if "```console" in (ROOT / "docs" / p).read_text()])
def test_commands_in_the_docs(page: str, tmp_path: Path) -> None:
    write_samples(tmp_path)
    for block in re.findall(r"```console\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL):
        for command, expected in re.findall(r"^\$ (.*?)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
            assert_prints(command, expected, tmp_path)


def assert_prints(command: str, expected: str, folder: Path) -> None:
    program, *arguments = shlex.split(command)
    assert program == "ilsvrc"
    call = [sys.executable, "-m", "ilsvrc", *arguments]
    printed = subprocess.run(
        call, cwd=folder, capture_output=True, text=True, check=True, env=os.environ | {"COLUMNS": "150"}
    )
    lines = [line.rstrip() for line in printed.stdout.splitlines()]
    start, dots, _ = expected.partition("...\n")
    wanted = start.splitlines()
    assert lines[: len(wanted) if dots else None] == wanted


def write_samples(folder: Path) -> None:
    """Write the files that the commands in the docs are about."""
    labels = convert(val_labels(), "index", "devkit")
    (folder / "val_devkit.txt").write_text(files.caffe(labels.tolist()))
    rng = np.random.default_rng(2012)
    noisy = np.where(rng.random(300) < 0.75, labels[:300], rng.integers(1, 1001, 300))
    rows = "".join(f"{val_name(n + 1)},{p}\n" for n, p in enumerate(noisy))
    (folder / "predictions.csv").write_text("name,prediction\n" + rows)
