"""Miniatures made once a session."""

from __future__ import annotations

import pytest

from ilsvrc.testing import FAULTS, MiniReport, MiniSpec, write_mini

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
