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
    """Images of each class as thin bars, in order of the index: an SVG path for each state, however many classes.

    even : classes with as many images as there should be, or all where nothing says how many
    fewer : classes with fewer
    more : classes with more
    wanted : the outline of what there should be; empty if nothing says so
    most : images at the top of the plot
    """

    even: str
    fewer: str
    more: str
    wanted: str
    most: int


def class_plot(classes: ClassCounts) -> ClassPlot:
    """Return the plot of images per class."""
    wanted = classes.wanted or classes.found
    most = max(*classes.found, *wanted, 1)
    step = WIDTH / len(classes.found)
    pieces: dict[str, list[str]] = {"even": [], "fewer": [], "more": []}
    for number, (found, due) in enumerate(zip(classes.found, wanted, strict=True)):
        state = "even" if found == due else "fewer" if found < due else "more"
        if found:
            pieces[state].append(
                f"M{step * number:g} {HEIGHT}v-{_scaled(found, most)}h{step:g}v{_scaled(found, most)}z"
            )
    outline = [
        f"{'L' if number else 'M'}{step * number:g} {HEIGHT - float(_scaled(due, most)):g}h{step:g}"
        for number, due in enumerate(wanted)
    ]
    paths = {state: "".join(drawn) for state, drawn in pieces.items()}
    return ClassPlot(**paths, wanted="".join(outline) if classes.wanted else "", most=most)


def _scaled(count: int, most: int) -> str:
    return f"{HEIGHT * count / most:.2f}".rstrip("0").rstrip(".")
