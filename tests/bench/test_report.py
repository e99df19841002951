"""The benchmark of the report runs, on a small archive."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.web.browser import chromium

REPOSITORY = Path(__file__).parents[2]


def test_report_is_built_and_opened(tmp_path: Path) -> None:
    with chromium():  # or skip
        pass
    command = [sys.executable, "-m", "bench.report", "--fraction", "0.001", "--faults", "300", "--runs", "1"]
    environment = os.environ | {"BENCH_DATA": str(tmp_path)}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = dict(line.strip("| ").split("|", 1) for line in done.stdout.splitlines() if line.startswith("| "))
    told = {name.strip(): value.strip() for name, value in rows.items()}
    images, faults = told["images, faults"].split(", ")
    assert int(images.replace(",", "")) >= 1_000
    assert faults == "300"
    assert told["page"] == f"{(tmp_path / 'report.html').stat().st_size / 1e6:.2f} MB"
    assert float(told["opened: loaded, median"].removesuffix(" s")) > 0
