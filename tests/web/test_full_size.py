"""The page of very many faults is small, and is made in little memory; bench/report.py measures it at full size."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np

from ilsvrc import facts
from ilsvrc.check.check import check
from ilsvrc.check.places import rows_of
from ilsvrc.check.report import CheckReport
from ilsvrc.issues import Code, Issue
from ilsvrc.testing.images import Camera
from ilsvrc.testing.simulate import write_simulated
from ilsvrc.web.listing import LISTED, PICTURED
from ilsvrc.web.report import render
from tests.web.pages import parsed, rows

FAULTS = 50_000
PAGE = 2_500_000
"""Bytes that the page has at most, whatever is wrong."""

MEMORY = 100_000_000
"""Bytes that making the page takes at most, beside the report itself."""


def test_page_of_fifty_thousand_faults_is_small(tmp_path: Path) -> None:
    archive = write_simulated(tmp_path / facts.TRAIN, 0.01).path
    (part,) = check(tmp_path).parts
    assert part.images > 12_000
    (part,) = check(tmp_path, overview=True).parts
    assert part.overview is not None
    reader = part.overview.images
    codes = (Code.TRUNCATED_IMAGE, Code.CHANGED_IMAGE, Code.UNDECODABLE)
    chosen = np.resize(np.arange(len(reader)), FAULTS).tolist()
    issues = tuple(
        Issue(reader.where(row).key, codes[number % 3], "its bytes are not those that were recorded")
        for number, row in enumerate(chosen)
    )
    camera = Camera(0, 20_000)
    with archive.open("r+b") as file:
        for row in chosen[:PICTURED]:
            file.seek(reader.where(row).offset)
            file.write(camera.jpeg(reader.name(row), 0)[: reader.sizes.item(row)])
    (part,) = check(tmp_path, overview=True).parts
    assert part.overview is not None
    part = replace(part, issues=issues, overview=replace(part.overview, rows=rows_of(part.overview.images, issues)))
    tracemalloc.start()
    text = render(CheckReport(part.where, False, (part,)), command="ilsvrc check", environment={})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MEMORY
    assert 500_000 < len(text.encode()) < PAGE
    document = parsed(text)
    assert len(list(document.iter("img"))) == PICTURED
    assert len(list(rows(document, "Faults, one by one"))) == 1 + LISTED
    kinds = {row[0]: row[1:] for row in rows(document, "Faults by kind")}
    assert kinds["changed-image"] == ["16,667", "1,000", "333"]
    assert f"{FAULTS - PICTURED:,} more images are not pictured here" in " ".join(
        "".join(document.itertext()).split()
    )
