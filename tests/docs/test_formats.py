"""The page of every shard format: its commands, then its program, run where the training libraries are."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ilsvrc.sinks.formats.registry import FORMATS
from tests.cli.helpers import ilsvrc
from tests.docs.blocks import DOCS, blocks
from tests.sinks.formats.reading import MISSING, READERS, alone, ffcv_python

PAGES = {"array_record": "tfrecord"}
"""Formats that share the page of another one."""

NAMES = sorted({PAGES.get(name, name) for name in FORMATS})


@pytest.fixture(scope="module")
def archives(thousand: Path) -> Path:
    return thousand


@pytest.mark.parametrize("name", NAMES)
def test_the_page_does_what_it_says(name: str, archives: Path, tmp_path: Path) -> None:
    shutil.copytree(archives, tmp_path / "archives", ignore=shutil.ignore_patterns(".ilsvrc"))
    page = f"how-to/{name}.md"
    for block in blocks(page):
        code = block.code.replace("/data/", f"{tmp_path}/")
        if block.language == "console":
            for line in code.splitlines():
                words = line[2:].split()
                assert words[0] == "ilsvrc"
                ilsvrc(*words[1:])
            continue
        python = ffcv_python() if name == "ffcv" else READERS
        if not python.exists():
            pytest.skip(MISSING)
        quiet = {
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "",
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(tmp_path),
        }
        clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")} | quiet
        (tmp_path / "program.py").write_text(code)
        command = [str(python), str(tmp_path / "program.py")]
        with alone() if name == "mds" else contextlib.nullcontext():
            done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=clean, check=False)
        assert done.returncode == 0, f"{block}\n{done.stderr[-3000:]}"
        assert done.stdout


def test_every_format_has_a_page_and_a_line_in_the_table() -> None:
    table = (DOCS / "how-to/which-format.md").read_text()
    for name in FORMATS:
        assert f"`{name}`" in table
        assert f"({PAGES.get(name, name)}.md)" in table
