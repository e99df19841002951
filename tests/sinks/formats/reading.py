"""Read what was written with the training libraries themselves, which live in an environment of their own.

Their requirements contradict each other's and ours now and then. `make readers` makes the environment.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[2]

READERS = Path(os.environ.get("ILSVRC_READERS") or _ROOT / ".venv-readers/bin/python")
"""The interpreter that has the training libraries."""

MISSING = "the training libraries are not installed: make readers"

FFCV = Path(os.environ.get("ILSVRC_FFCV") or "/usr/bin/python3")
"""The interpreter that has FFCV: Debian's, whose package it is; the one of PyPI must be compiled."""

NO_FFCV = "FFCV is not installed: apt-get install python3-ffcv python3-numba python3-opencv python3-torch"


def read_with(script: str, *arguments: Path | str) -> Any:
    """Run a script of `scripts/` where the training libraries are; return the JSON that it prints last."""
    if not READERS.exists():
        pytest.skip(MISSING)
    with alone() if script.startswith("mds") else contextlib.nullcontext():
        return _run(READERS, script, *arguments)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Let no other test run meanwhile that asks for this: Streaming counts names of shared memory up to a free one.

    Two processes that begin at once take the same one, and the second ends with FileExistsError.
    """
    with open(Path(tempfile.gettempdir(), "ilsvrc-tests-alone.lock"), "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@functools.cache
def ffcv_python() -> Path:
    """Return the interpreter that has FFCV; asked once, since the answer takes three seconds of processor time."""
    found = FFCV.exists() and subprocess.run([FFCV, "-c", "import ffcv.loader"], capture_output=True, check=False)
    if not found or found.returncode:
        pytest.skip(NO_FFCV)
    return FFCV


def read_with_ffcv(script: str, *arguments: Path | str) -> Any:
    """Run a script of `scripts/` where FFCV is; return the JSON that it prints last."""
    return _run(ffcv_python(), script, *arguments)


def _run(python: Path, script: str, *arguments: Path | str) -> Any:
    """Run a script, which must not reach our own package: what it reads, it reads without us."""
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [str(python), str(_HERE / "scripts" / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=clean | quiet, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.strip().splitlines()[-1])
