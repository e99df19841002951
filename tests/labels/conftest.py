from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("ILSVRC_SHARED", Path(__file__).parents[3] / "shared"))


@pytest.fixture
def devkit() -> Path:
    """Return the genuine devkit, where it is at hand."""
    path = SHARED / "facts" / "ILSVRC2012_devkit_t12.tar.gz"
    if not path.is_file():
        pytest.skip(f"the genuine devkit is not at {path}; set ILSVRC_SHARED")
    return path
