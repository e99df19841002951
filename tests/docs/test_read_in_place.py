"""Every example of docs/how-to/read-in-place.md and docs/reference/dataset.md does what it says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.helpers import ilsvrc
from tests.docs.blocks import Block, blocks
from tests.oracles import package

BLOCKS = [*blocks("how-to/read-in-place.md"), *blocks("reference/dataset.md")]


@pytest.fixture(scope="module")
def archives(mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archives that all examples work on, one after the other."""
    target = tmp_path_factory.mktemp("docs") / "archives"
    return Path(shutil.copytree(mini, target, ignore=shutil.ignore_patterns(".ilsvrc")))


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Use the backend that is installed, find our command, and keep caches out of the user's folders."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.filterwarnings("default")  # those of other packages are not ours to mend
@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_example_runs(block: Block, archives: Path) -> None:
    code = block.code.replace("/data/archives", str(archives)).replace("num_workers=4", "num_workers=1")
    if block.language == "console":
        for words in Block(block.page, block.line, block.language, code).commands:
            assert words[0] == "ilsvrc"
            run_raw(words[1:]) if words[1] == "cat" else ilsvrc(*words[1:])
        return
    for name in sorted(block.packages):
        package(name)
    if "verify=True" in code:  # the command is shown right before it, and may have been run for another state
        ilsvrc("index", "--digests", archives)
    exec(compile(code, str(block), "exec"), {"__name__": "__main__"})


def run_raw(words: list[str]) -> None:
    """Run a command whose output is bytes."""
    done = subprocess.run([sys.executable, "-m", "ilsvrc", *words], capture_output=True, check=True)
    assert done.stdout.startswith(b"\xff\xd8\xff")
