"""The benchmark of object stores, on an archive so small that the figures mean nothing."""

from __future__ import annotations

from pathlib import Path

import bench.stores
import pytest
from bench.stores import Count

from tests.stores.servers import environment


def test_every_line_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.stores, "MEAN", 8000)
    monkeypatch.setattr(bench.stores, "DATA", tmp_path)
    monkeypatch.setattr(bench.stores, "BATCHES", 1)
    for name in environment(""):
        monkeypatch.setenv(name, "")  # and put back afterwards
    rows, count = bench.stores.rows(150_000, 1, 0.01)
    assert [row.work.partition(" ")[0] for row in rows] == ["random", "index"] * 2
    assert all(row.measured.median > 0 for row in rows)
    assert (count.images, count.classes) == (18, 6)
    assert count.requests > 2


def test_requests_grow_with_images_and_classes() -> None:
    text = Count(images=1000, classes=10, requests=1030).stated(latency=0.05, price=0.0004)
    assert "For all 1,281,167 in 1,000: 1,284,167 requests" in text
    assert "$0.51 at $0.0004 for 1,000" in text
    assert "8 minutes with 128 at a time, 50 ms each" in text
