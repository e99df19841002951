"""Miniatures made once a session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import pytest

from ilsvrc.testing import FAULTS, Form, MiniReport, MiniSpec, write_mini
from ilsvrc.testing.spec import MiniFields

CLEAN = MiniSpec(classes=12, per_class=5, val_per_class=2, mean_bytes=4000)


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> MiniReport:
    """A miniature without faults."""
    return write_mini(tmp_path_factory.mktemp("clean"), CLEAN)


@pytest.fixture(scope="session")
def broken(tmp_path_factory: pytest.TempPathFactory) -> MiniReport:
    """A miniature with every fault that its own digests do not tell of."""
    faults = frozenset(fault for fault, spec in FAULTS.items() if not spec.in_transport)
    return write_mini(tmp_path_factory.mktemp("broken"), MiniSpec(20, 4, 2, mean_bytes=4000, faults=faults))


@pytest.fixture(scope="session")
def spoiled(tmp_path_factory: pytest.TempPathFactory) -> MiniReport:
    """A miniature with every fault of transport."""
    faults = frozenset(fault for fault, spec in FAULTS.items() if spec.in_transport)
    return write_mini(tmp_path_factory.mktemp("spoiled"), MiniSpec(4, 4, 2, mean_bytes=4000, faults=faults))


Written = Callable[..., Path]


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Return the folder of a miniature of some form and state, written once: the spec is that of `clean`."""
    made: dict[MiniSpec, Path] = {}

    def write(form: Form = Form.ARCHIVES, /, **fields: Unpack[MiniFields]) -> Path:
        fields.setdefault("test_images", 3)
        spec = replace(CLEAN, **(fields | {"form": form}))
        if spec not in made:
            made[spec] = write_mini(tmp_path_factory.mktemp(form), spec).folder
        return made[spec]

    return write
