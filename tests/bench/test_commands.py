"""The commands themselves, on archives so small that the figures mean nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import bench.unpack
import bench.zips
import pytest
from bench.check import detection

from ilsvrc.facts import TRAIN
from ilsvrc.readers.zip import recognise
from ilsvrc.testing import MiniSpec, write_mini

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="benchmarks need Linux and a C compiler"
)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    write_mini(tmp_path / "mini", MiniSpec(classes=2, per_class=3, mean_bytes=8000))
    return tmp_path / "mini" / TRAIN


def test_full_prints_every_line_of_its_table(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench.full", "--fraction", "0.001"]
    environment = {**os.environ, "BENCH_DATA": str(tmp_path / "data")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    table = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert [line.split("|")[1].strip().partition(":")[0] for line in table] == [
        "work",
        "index 1,000 members, cold",
        "index",
        "plan",
        "check",
    ]
    assert all(line.rstrip(" |").endswith(("ok", "missed")) for line in table[1:])


def test_unpacking_is_compared_and_leaves_no_tree(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.unpack, "DATA", tmp_path / "data")
    rows = bench.unpack.to_disk(archive, runs=1)
    assert [row.work.partition(": ")[2] for row in rows] == ["time"] * 4 + ["bytes written"] * (len(rows) - 4)
    assert all(row.measured.median > 0 for row in rows)
    assert not (tmp_path / "data" / "tree").exists()


def test_detection_counts_what_is_found_of_each_kind(archive: Path) -> None:
    rows = {row.work.split(": ")[1].split(",")[0]: row for row in detection(archive)}
    assert set(rows) == {"one bit flipped", "512 bytes garbled", "a page of zeros", "cut short"}
    assert "100.0% found" in rows["cut short"].work
    assert all(row.verdict == "ok" for row in rows.values())


def test_zips_are_compared_with_zipfile(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.zips, "DATA", tmp_path / "data")
    monkeypatch.setattr(bench.zips, "miniature", lambda size: archive)
    rows = bench.zips.indexing(1, fraction=0.001)
    packed = bench.zips.packed(0, zipfile.ZIP_DEFLATED)
    rows += bench.zips.reading(packed, "deflated", 1)
    assert [row.work.rpartition(": ")[2] for row in rows] == [
        "index",
        "open, indexed",
        "peak memory",
        "random reads, warm",
    ]
    assert all(row.measured.median > 0 for row in rows)
    with zipfile.ZipFile(packed) as opened:
        assert opened.testzip() is None
        assert len(opened.namelist()) == 6


def test_simulated_zip_is_one_to_zipfile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.zips, "DATA", tmp_path)
    path = bench.zips.simulated(0.05)
    with zipfile.ZipFile(path) as opened:
        infos = opened.infolist()
    assert max(info.header_offset for info in infos) > 1 << 32
    ends = [info.header_offset + 30 + len(info.filename) + info.file_size for info in infos]
    assert [info.header_offset for info in infos] == [0, *ends[:-1]]
    counts = {found.split: len(found.open()) for found in recognise(path)}
    assert counts["val"] == 2_500
    assert counts["test"] == 5_000
    assert counts["train"] == sum("/train/" in info.filename and info.filename.endswith(".JPEG") for info in infos)
