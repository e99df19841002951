"""The geometry of plots, beside the counts that it is drawn from."""

from __future__ import annotations

import re

import numpy as np
import pytest

from ilsvrc.check.overview import ClassCounts, Histogram
from ilsvrc.web.plots import HEIGHT, WIDTH, class_plot, histogram

RECTANGLE = re.compile(r"M([\d.]+) 100v-([\d.]+)h([\d.]+)v[\d.]+z")


def test_bars_are_as_high_as_their_counts() -> None:
    values = Histogram.of(np.array([1, 1, 1, 1, 12, 31]), (0, 10, 20, 30, 40))
    drawn = histogram(values, str)
    assert [bar.count for bar in drawn.bars] == [4, 1, 0, 1]
    assert [bar.height for bar in drawn.bars] == [HEIGHT, HEIGHT / 4, 0, HEIGHT / 4]
    assert all(bar.y + bar.height == pytest.approx(HEIGHT) for bar in drawn.bars)
    assert all(one.x + one.width <= other.x for one, other in zip(drawn.bars, drawn.bars[1:], strict=False))
    assert drawn.bars[-1].x + drawn.bars[-1].width <= WIDTH
    assert drawn.bars[1].label == "10 to 20"
    assert drawn.ticks == ("0", "20", "40")


def test_nothing_is_drawn_of_nothing() -> None:
    assert histogram(Histogram(), str).bars == ()


def test_every_class_has_a_bar_of_its_state() -> None:
    found, wanted = (0,) * 3 + (10, 5, 12, 0) + (0,) * 993, (0,) * 3 + (10, 10, 10, 10) + (0,) * 993
    plot = class_plot(ClassCounts(found, wanted, "the facts"))
    step = WIDTH / 4
    bars = {state: RECTANGLE.findall(getattr(plot, state)) for state in ("even", "fewer", "more")}
    assert {state: [round(float(x) / step) for x, _, _ in found] for state, found in bars.items()} == {
        "even": [0],
        "fewer": [1],
        "more": [2],
    }
    assert [float(height) for _, height, _ in bars["fewer"]] == [pytest.approx(100 * 5 / 12, abs=0.01)]
    assert plot.wanted.count("h") == 4
    assert (plot.most, plot.ticks) == (12, ("index 3", "index 5", "index 6"))


def test_without_expectation_no_class_is_called_wrong() -> None:
    plot = class_plot(ClassCounts((1, 2) + (0,) * 998))
    assert (plot.fewer, plot.more, plot.wanted) == ("", "", "")
    assert len(RECTANGLE.findall(plot.even)) == 2


def test_thousand_classes_take_few_bytes() -> None:
    plot = class_plot(ClassCounts(tuple(range(1000)), tuple(range(1, 1001)), "x"))
    assert len(plot.fewer) + len(plot.wanted) < 60_000
