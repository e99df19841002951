"""What a command prints: data to standard output, progress and messages to standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import typer
from rich.console import Console

from ilsvrc.cli.progress import Progress
from ilsvrc.errors import MachineError
from ilsvrc.issues import Issue

LISTED = 20
"""Issues printed for people."""


@dataclass(slots=True)
class Settings:
    """The options that stand before every command.

    verbosity : -1 for -q, 0, 1 for -v
    json : standard output is one JSON document
    """

    verbosity: int = 0
    json: bool = False


settings = Settings()
"""Set once by the program's callback; commands read it."""


def progress() -> Progress:
    """Return a listener that shows the events of the library on standard error."""
    return Progress(errors(), quiet=settings.verbosity < 0)


def errors() -> Console:
    """Return the console for messages; made anew so that a redirected standard error is seen."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def show(document: dict[str, Any], text: Callable[[Console], None], *, ok: bool = True) -> None:
    """Print a result: the document with --json, else whatever `text` prints for people.

    The exit status is 1 if the data is not `ok`.
    """
    try:
        if settings.json:
            print_document(document)
        else:
            text(Console(highlight=False, soft_wrap=True))
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read it has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if not ok:
        raise typer.Exit(1)


def print_document(document: dict[str, Any]) -> None:
    """Print one JSON document; where it can't be printed, say so on standard error."""
    try:
        json.dump(document, sys.stdout, indent=2)
        sys.stdout.write("\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        errors().print(f"error: standard output: {error.strerror}", style="bold red")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left goes nowhere
        raise SystemExit(MachineError.exit_status) from None


def print_issues(console: Console, title: str, issues: Sequence[Issue]) -> None:
    """Print the first issues under a title that counts them all; nothing if there are none."""
    if issues:
        console.print(f"  {len(issues):,} {title}:", markup=False)
    listed = len(issues) if settings.verbosity > 0 else LISTED
    for issue in issues[:listed]:
        console.print(f"    {issue}", markup=False)
    if len(issues) > listed:
        console.print(f"    and {len(issues) - listed:,} more: -v lists them all", markup=False)
