"""Geometry of the plots: plain numbers, which a template turns to SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ilsvrc.check.overview import ClassCounts, Histogram

WIDTH, HEIGHT = 1_000, 100
"""Units of every plot; it is stretched to its place on the page."""

_GAP = 0.12
"""Share of a bar's place that stays free."""

_SEPARATE = 200
"""Classes up to which there is room between their bars."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar, in units of the plot.

    x, y, width, height : its place
    label : what it counts
    count : how many
    """

    x: float
    y: float
    width: float
    height: float
    label: str
    count: int


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars side by side.

    bars : from left to right
    ticks : labels below the plot, at equal distances from its left end to its right end
    """

    bars: tuple[Bar, ...]
    ticks: tuple[str, ...]


def histogram(values: Histogram, written: Callable[[float], str]) -> Bars:
    """Return the bars of a histogram; `written` turns an edge to text."""
    most = max(values.counts, default=1)
    step = WIDTH / max(1, len(values.counts))
    bars = [
        Bar(
            x=round(step * (number + _GAP / 2), 2),
            y=round(HEIGHT * (1 - count / most), 2),
            width=round(step * (1 - _GAP), 2),
            height=round(HEIGHT * count / most, 2),
            label=f"{written(low)} to {written(high)}",
            count=count,
        )
        for number, (count, (low, high)) in enumerate(zip(values.counts, pairwise(values.edges), strict=True))
    ]
    return Bars(tuple(bars), _ticks(values.edges, written))


def _ticks(edges: Sequence[float], written: Callable[[float], str]) -> tuple[str, ...]:
    """Return the labels of the ends and, where bins can be halved, of the middle."""
    if not edges:
        return ()
    middle = [edges[len(edges) // 2]] if len(edges) % 2 and len(edges) > 2 else []
    return tuple(written(edge) for edge in (edges[0], *middle, edges[-1]))


@dataclass(frozen=True, slots=True)
class ClassPlot:
    """Images of each class as bars, in order of the index: an SVG path for each state, however many classes.

    Classes that have no image and should have none have no place in it.

    even : classes with as many images as there should be, or all where nothing says how many
    fewer : classes with fewer
    more : classes with more
    wanted : the outline of what there should be; empty if nothing says so
    most : images at the top of the plot
    ticks : labels below the plot
    """

    even: str
    fewer: str
    more: str
    wanted: str
    most: int
    ticks: tuple[str, ...]


def class_plot(classes: ClassCounts) -> ClassPlot:
    """Return the plot of images per class."""
    wanted = classes.wanted or classes.found
    shown = [index for index, counts in enumerate(zip(classes.found, wanted, strict=True)) if any(counts)]
    most = max(*classes.found, *wanted, 1)
    step = WIDTH / max(1, len(shown))
    width = step * (1 - _GAP if len(shown) <= _SEPARATE else 1)
    paths = dict.fromkeys(("even", "fewer", "more", "wanted"), "")
    for number, index in enumerate(shown):
        found, due, left = classes.found[index], wanted[index], f"{step * number:.5g}"
        state = "even" if found == due else "fewer" if found < due else "more"
        height = _scaled(found, most)
        paths[state] += f"M{left} {HEIGHT}v-{height}h{width:.5g}v{height}z" if found else ""
        if classes.wanted:
            paths["wanted"] += f"{'L' if number else 'M'}{left} {_scaled(most - due, most)}h{step:.5g}"
    ends = [shown[0], shown[len(shown) // 2], shown[-1]] if len(shown) > 2 else shown
    return ClassPlot(**paths, most=most, ticks=tuple(f"index {index}" for index in ends))


def _scaled(count: int, most: int) -> str:
    return f"{HEIGHT * count / most:.2f}".rstrip("0").rstrip(".")
