"""The six classes unpacked by the standard library, and what a reader of them must give."""

from __future__ import annotations

from pathlib import Path

import pytest

from ilsvrc import facts, prepare
from ilsvrc.testing.contracts import Truth


def truth_of(tree: Path, split: str) -> Truth:
    """Return the bytes of a split's images in an unpacked tree by label and name."""
    wnids = facts.classes().wnids
    return {(wnids.index(p.parent.name), p.name): p.read_bytes() for p in (tree / split).glob("*/*")}


@pytest.fixture(params=["train", "val"])
def split(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def truth(tree: Path, split: str) -> Truth:
    return truth_of(tree, split)


@pytest.fixture
def own_tree(mini: Path, tmp_path: Path) -> Path:
    """A prepared tree that a test may change."""
    prepare(mini, tmp_path / "own", jobs=1)
    return tmp_path / "own"
