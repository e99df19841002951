"""The benchmark of object stores, on an archive so small that the figures mean nothing."""

from __future__ import annotations

from pathlib import Path

import bench.stores
import pytest
from bench.stores import Count

from ilsvrc.facts import TRAIN
from ilsvrc.testing import MiniSpec, write_mini
from tests.stores.servers import environment


def test_every_line_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mini(tmp_path / "mini", MiniSpec(classes=2, per_class=3, mean_bytes=8000))
    monkeypatch.setattr(bench.stores, "miniature", lambda _: tmp_path / "mini" / TRAIN)
    monkeypatch.setattr(bench.stores, "DATA", tmp_path)
    monkeypatch.setattr(bench.stores, "BATCHES", 1)
    for name in environment(""):
        monkeypatch.setenv(name, "")  # and put back afterwards
    rows, count = bench.stores.rows(0, 1, 0.01)
    assert [row.work.partition(" ")[0] for row in rows] == ["random", "index"] * 2
    assert all(row.measured.median > 0 for row in rows)
    assert count.images == 6
    assert count.requests > 2


def test_requests_grow_with_images() -> None:
    text = Count(images=1000, requests=1100).stated(latency=0.05, price=0.0004)
    assert "For all 1,281,167: 1,409,284 requests" in text
    assert "$0.56 at $0.0004 for 1,000" in text
    assert "9 minutes with 128 at a time, 50 ms each" in text
