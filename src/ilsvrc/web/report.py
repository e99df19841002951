"""Write the report of a check as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ilsvrc import facts
from ilsvrc.check.overview import ClassCounts, Histogram
from ilsvrc.check.report import CheckReport, PartReport
from ilsvrc.errors import MissingExtraError, UsageError
from ilsvrc.files import printable, written_whole
from ilsvrc.web import plots
from ilsvrc.web.environment import without_owner
from ilsvrc.web.listing import list_issues

if TYPE_CHECKING:
    from jinja2 import Environment

GENERATOR = '<meta name="generator" content="ilsvrc check">'
"""Tells a report of ours from any other file."""

_HEAD = 1_000
"""Bytes at the beginning of a file in which GENERATOR is looked for."""

CLASSES_NAMED = 20
"""Classes with the most issues that are named."""


def write_report(path: Path, report: CheckReport, *, command: str, environment: dict[str, str]) -> None:
    """Write a report to a file, whole or not at all; a report of ours that is there is replaced.

    Parameters
    ----------
    path
        The file.
    report
        What the check found, with the overviews of its parts.
    command
        The command line that it was called with, quoted.
    environment
        Versions and the kind of the machine, by name.

    Raises
    ------
    UsageError
        As `refuse_place` does.
    MissingExtraError
        If Jinja2 is not installed.
    """
    refuse_place(path)
    text = render(report, command=command, environment=environment)
    with written_whole(path) as beside:
        beside.write_text(text, encoding="utf-8")


def refuse_place(path: Path) -> None:
    """Refuse a place where no report can be written, before a check takes hours.

    Raises
    ------
    UsageError
        If a folder, a pipe or a file that is no report of ours has the name, or its folder does not exist.
    MissingExtraError
        If Jinja2, which reports are written by, is not installed.
    OSError
        If the folder can't be written to.
    """
    _jinja()
    shown = printable(str(path))
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        folder = path.absolute().parent
        if not folder.is_dir():
            shown = printable(str(path.parent))
            hint = f"make it first: mkdir -p {shlex.quote(shown)}"
            raise UsageError(f"{shown} is no folder, so no report can be written there", hint=hint) from None
        _try_to_write(path)
        return
    except NotADirectoryError:
        hint = "give --report a path whose folder exists, such as --report report.html"
        raise UsageError(f"{shown} lies below a file", hint=hint) from None
    if stat.S_ISDIR(found.st_mode):
        raise UsageError(
            f"{shown} is a folder",
            hint=f"name a file in it: --report {shlex.quote(printable(str(path / 'report.html')))}",
        )
    if not stat.S_ISREG(found.st_mode) or not _is_report(path):
        hint = "give --report another name; nothing was changed"
        raise UsageError(f"{shown} is there and is no report of ilsvrc's, so it is not replaced", hint=hint)


def _try_to_write(path: Path) -> None:
    """Make a file without a name in the folder of a path, which must be possible there."""
    try:
        with tempfile.TemporaryFile(dir=path.absolute().parent):
            pass
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def _is_report(path: Path) -> bool:
    with path.open("rb") as file:
        return GENERATOR.encode() in file.read(_HEAD)


def render(report: CheckReport, *, command: str, environment: dict[str, str]) -> str:
    """Return a report as HTML; see `write_report`."""
    style, script = (_template(name) for name in ("report.css", "report.js"))
    page = (
        _jinja()
        .get_template("report.html")
        .render(
            report=report,
            details=_sentence(report.verdict.removeprefix(report.finding).removeprefix(": ")),
            state=_state(report),
            parts=[PartView(part, report.deep) for part in report.parts],
            damage=list_issues(report, known=False),
            odd=list_issues(report, known=True),
            classes_named=CLASSES_NAMED,
            command=command,
            environment=environment,
            style=style,
            script=script,
            style_hash=_hash(style),
            script_hash=_hash(script),
        )
    )
    return page.replace("\r", "")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _state(report: CheckReport) -> str:
    """Return `faulty`, `open` where something could be compared with nothing, or `sound`."""
    if not report.ok:
        return "faulty"
    return "sound" if all(part.compared for part in report.parts) else "open"


@dataclass(frozen=True)
class PartView:
    """A part of a report, as the page shows it.

    part : the part
    deep : whether every image was read
    """

    part: PartReport
    deep: bool

    @property
    def name(self) -> str:
        """What headings call it."""
        return self.part.split or self.part.name

    @property
    def measured(self) -> str:
        """How many images were measured, in words."""
        found = self.part.overview.measures if self.part.overview else None
        if found is None:
            return ""
        some = "" if found.images == found.read else f", of which {found.images:,} could be measured"
        if found.seed is None:
            return f"all {found.of:,} images{some}"
        return f"a sample of {found.read:,} of {found.of:,} images, drawn by seed {found.seed}{some}"

    @cached_property
    def class_plot(self) -> plots.ClassPlot | None:
        """The plot of images per class."""
        counts = self._counts
        return plots.class_plot(counts) if counts else None

    @property
    def _counts(self) -> ClassCounts | None:
        return self.part.overview.classes if self.part.overview else None

    @cached_property
    def classes(self) -> list[tuple[str, str, int, int | None]]:
        """Wnid, name, images, and images that there should be, of each class that has or should have any."""
        counts = self._counts
        if counts is None:
            return []
        wanted: Sequence[int | None] = counts.wanted or [None] * len(counts.found)
        rows = zip(facts.classes(), counts.found, wanted, strict=True)
        return [(synset.wnid, synset.name, found, due) for synset, found, due in rows if found or due]

    @property
    def differing(self) -> int:
        """How many classes have more or fewer images than they should."""
        return sum(due is not None and found != due for _, _, found, due in self.classes)

    @cached_property
    def figures(self) -> list[Figure]:
        """The plots of bytes, and of pixels where they were measured."""
        overview = self.part.overview
        if overview is None:
            return []
        made = [Figure("Bytes of a file", "", overview.bytes, plots.histogram(overview.bytes, _size))]
        if overview.measures and overview.measures.images:
            found = overview.measures
            made += [
                Figure("Width", "pixels", found.width, plots.histogram(found.width, _whole)),
                Figure("Height", "pixels", found.height, plots.histogram(found.height, _whole)),
                Figure("Width by height", "", found.aspect, plots.histogram(found.aspect, _tenths)),
            ]
        return made


@dataclass(frozen=True, slots=True)
class Figure:
    """A histogram with its title.

    title : of the plot
    unit : of its values; empty for none
    values : what is plotted
    bars : its geometry
    """

    title: str
    unit: str
    values: Histogram
    bars: plots.Bars

    def written(self, value: float) -> str:
        """Return a value of this figure as text."""
        if self.title.startswith("Bytes"):
            return _size(value)
        return _whole(value) if self.unit else f"{value:.2f}"


def _size(value: float) -> str:
    for unit, factor in (("MB", 1e6), ("KB", 1e3)):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.0f} bytes"


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _tenths(value: float) -> str:
    return f"{value:.1f}"


def visible(value: Any) -> Any:
    """Return a value with characters that are not seen, or turn text around, as escapes; Jinja escapes the rest."""
    if not isinstance(value, str) or hasattr(value, "__html__") or value.isprintable():
        return value
    shown = (
        character if character.isprintable() or character == "\n" else f"\\u{ord(character):04x}"
        for character in value
    )
    return "".join(shown)


def _template(name: str) -> str:
    return (files("ilsvrc.web") / "templates" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Return the expression that lets an inline style or script pass (Content Security Policy Level 3, 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"


def _jinja() -> Environment:
    """Return what renders templates: everything is escaped but our own style and script.

    Raises
    ------
    MissingExtraError
        If Jinja2 is not installed.
    """
    try:
        from jinja2 import DictLoader, Environment, StrictUndefined
    except ImportError:
        raise MissingExtraError("Jinja2", "view") from None
    templates = DictLoader({name: _template(name) for name in ("report.html", "plots.html")})
    made = Environment(
        loader=templates,
        autoescape=True,
        undefined=StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"count": _whole, "size": _size, "shown": without_owner}
    return made
