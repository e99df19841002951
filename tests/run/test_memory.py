from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import os, resource, sys
import numpy as np
from ilsvrc.run.memory import keep_freed_memory

def faults():
    begun = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        np.ones(1 << 20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - begun

before = faults()
keep_freed_memory()
faults()
print(before, faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="this C library has no mallopt")
def test_freed_buffers_are_used_again() -> None:
    """With the setting that Dask gives its workers, each buffer of 1 MB is 256 new pages; then it is none."""
    environment = {"MALLOC_TRIM_THRESHOLD_": "65536", "PATH": "/usr/bin"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    before, after = map(int, done.stdout.split())
    assert before > 100 * 200
    assert after < 1_000
