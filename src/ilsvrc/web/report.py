"""Write the report of a check as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
import stat
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ilsvrc import facts
from ilsvrc.check.overview import ClassCounts, Histogram
from ilsvrc.check.report import CheckReport, PartReport
from ilsvrc.errors import UsageError
from ilsvrc.files import printable, written_whole
from ilsvrc.readers.reader import Place
from ilsvrc.web import plots
from ilsvrc.web.listing import list_issues
from ilsvrc.web.templating import size, templates, text_of, whole

GENERATOR = '<meta name="generator" content="ilsvrc check">'
"""Tells a report of ours from any other file."""

_HEAD = 1_000
"""Bytes at the beginning of a file in which GENERATOR is looked for."""

_OWN = ("base.css", "report.js")
"""The style and the script of the page."""

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
    templates()
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


Link = Callable[[Place, int], str]
"""Returns the URL of an image's page by its place and row; empty if there is none."""


def _no_link(place: Place, row: int) -> str:  # noqa: ARG001  -- a Link
    return ""


def policy(forms: str = "'none'") -> str:
    """Return the Content-Security-Policy of a report: nothing is loaded, only its own style and script are used.

    Parameters
    ----------
    forms
        Where its forms may be sent.
    """
    style, script = (_hash(text_of(name)) for name in _OWN)
    own = f"style-src {style}; script-src {script}"
    return f"default-src 'none'; img-src data:; {own}; base-uri 'none'; form-action {forms}"


def render(
    report: CheckReport, *, command: str, environment: dict[str, str], link: Link = _no_link, home: str = ""
) -> str:
    """Return a report as HTML; see `write_report`. With `link` and `home` it is a page of a server's.

    Parameters
    ----------
    report, command, environment
        As for `write_report`.
    link
        Where the images of issues are to be seen.
    home
        URL that the page leads back to; empty for none.
    """
    style, script = (text_of(name) for name in _OWN)
    page = (
        templates()
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
            policy=policy("'self'" if home else "'none'"),
            link=link,
            home=home,
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
        made = [Figure("Bytes of a file", "", overview.bytes, plots.histogram(overview.bytes, size))]
        if overview.measures and overview.measures.images:
            found = overview.measures
            made += [
                Figure("Width", "pixels", found.width, plots.histogram(found.width, whole)),
                Figure("Height", "pixels", found.height, plots.histogram(found.height, whole)),
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
            return size(value)
        return whole(value) if self.unit else f"{value:.2f}"


def _tenths(value: float) -> str:
    return f"{value:.1f}"


def _hash(text: str) -> str:
    """Return the expression that lets an inline style or script pass (Content Security Policy Level 3, 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
