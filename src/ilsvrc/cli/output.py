"""Print results to standard output, and progress and messages to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import typer
from rich.console import Console

from ilsvrc.cli.event_lines import EventLines
from ilsvrc.cli.progress import Progress
from ilsvrc.issues import Issue

LISTED = 20
"""Issues printed for people."""


@dataclass(slots=True)
class Settings:
    """The options common to all commands.

    verbosity : -1 for -q, 0, 1 for -v
    json : standard output is one JSON document
    events : standard error has one JSON object a line for each event
    command : the command that is called
    """

    verbosity: int = 0
    json: bool = False
    events: bool = False
    command: str = ""


_ANSWERS = ("labels", "ls")
"""Commands that print the data asked for, not a summary of work."""

settings = Settings()
"""Set once by the program's callback; commands read it."""


def progress() -> Progress | EventLines:
    """Return a listener that shows the events of the library on standard error."""
    if settings.events:
        return EventLines()
    return Progress(errors(), quiet=settings.verbosity < 0)


def errors() -> Console:
    """Return the console for messages; made anew so that a redirected standard error is seen."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def nowhere() -> Console:
    """Return a console that shows nothing."""
    return Console(quiet=True)


def show(document: dict[str, Any], text: Callable[[Console], None], *, ok: bool = True) -> None:
    """Print a result: the document with --json, else whatever `text` prints for people.

    With -q, a summary of work that went well is not printed. The exit status is 1 if the data is not `ok`.
    """
    if settings.json:
        print_document(document)
    elif settings.verbosity >= 0 or not ok or settings.command in _ANSWERS:
        text(Console(highlight=False, soft_wrap=True))
    sys.stdout.flush()
    if not ok:
        raise typer.Exit(1)


def print_document(document: dict[str, Any]) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
    sys.stdout.flush()


def print_issues(console: Console, title: str, issues: Sequence[Issue]) -> None:
    """Print the first issues under a title that counts them all; nothing if there are none."""
    if issues:
        console.print(f"  {len(issues):,} {title}:", markup=False)
    listed = len(issues) if settings.verbosity > 0 else LISTED
    for issue in issues[:listed]:
        console.print(f"    {issue}", markup=False)
    if len(issues) > listed:
        console.print(f"    and {len(issues) - listed:,} more: -v lists them all", markup=False)
