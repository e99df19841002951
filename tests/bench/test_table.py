from __future__ import annotations

from pathlib import Path

import pytest
from bench.harness import Spread
from bench.table import Row, machine, markdown

HALF = Spread(0.5, 0.4, 0.625)


@pytest.mark.parametrize(
    ("most", "least", "wanted", "verdict"),
    [
        (None, None, "-", ""),
        (0.5, None, "<= 0.5", "ok"),
        (0.49, None, "<= 0.49", "missed"),
        (None, 0.5, ">= 0.5", "ok"),
        (None, 1.3, ">= 1.3", "missed"),
    ],
)
def test_the_median_decides(most: float | None, least: float | None, wanted: str, verdict: str) -> None:
    row = Row("work", "against", HALF, 3, most, least)
    assert (row.wanted, row.verdict) == (wanted, verdict)


def test_markdown_has_a_line_a_row_and_columns_of_one_width() -> None:
    lines = markdown([Row("unpack", "a script", HALF, 3, 0.5), Row("index", "b", HALF, 10)]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == [
        "unpack",
        "a script",
        "<= 0.5",
        "0.5",
        "0.4 to 0.625",
        "3",
        "ok",
    ]
    assert len(lines) == 4


def test_machine_names_what_figures_depend_on_and_no_path() -> None:
    text = machine(Path("/"))
    assert "processors" in text
    assert "GiB of memory" in text
    assert "/" not in text
