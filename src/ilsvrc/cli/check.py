"""`ilsvrc check`: find the faults of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.filesize import decimal

from ilsvrc.check.check import check as check_path
from ilsvrc.check.report import CheckReport, PartReport
from ilsvrc.cli.app import app
from ilsvrc.cli.output import print_issues, progress, show
from ilsvrc.issues import damage
from ilsvrc.paths import given_path

_EXAMPLES = """**Examples**

`ilsvrc check /data/imagenet` -- names, counts and sizes of a tree, in seconds

`ilsvrc check --deep /data/imagenet` -- read, compare and decode every image as well

`ilsvrc check /data/archives` -- the archives

`ilsvrc check /data/old-tree --against /data/archives` -- a tree that another tool unpacked from these archives
"""


@app.command(epilog=_EXAMPLES)
def check(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A tree, a split's folder, or archives.")],
    deep: Annotated[bool, typer.Option("--deep", help="Read and decode every image; compare digests.")] = False,
    against: Annotated[Path | None, typer.Option(metavar="SRC", help="Archives that the tree came from.")] = None,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", help="Processes; one per processor by default.")] = None,
) -> None:
    """Find the faults of a data set: a prepared tree, another tool's tree, or archives.

    A tree is compared with its manifest, with the archives of --against, or with the facts of ILSVRC 2012; an archive
    with its digest and the devkit. The last line says what was compared with what, and what was not. The known odd
    images of the official archives are reported as expected. Exit status 1 if anything is wrong.
    """
    with progress() as listener:
        source = given_path(against, "--against") if against else None
        report = check_path(given_path(path), deep=deep, against=source, jobs=jobs, listener=listener)
    show(report.to_dict(), lambda console: _print(console, report), ok=report.ok)


def _print(console: Console, report: CheckReport) -> None:
    for part in report.parts:
        _print_part(console, part)
    console.print(f"{report.path}: {report.verdict}", markup=False)


def _print_part(console: Console, part: PartReport) -> None:
    summary = f"{part.split}: {part.images:,} images, {part.classes:,} classes, {decimal(part.bytes)}"
    layout = "" if part.layout == "archive" else f"; layout {part.layout}"
    console.print(f"{part.where}: {summary if part.split else 'not readable'}{layout}", markup=False)
    lines = [*part.comparisons]
    lines += [] if part.warnings else [part.order]
    lines += [f"warning: {text}" for text in part.warnings]
    lines += [f"digest {part.digest} proved"] if part.digest else []
    for line in filter(None, lines):
        console.print(f"  {line}", markup=False)
    print_issues(
        console,
        "odd in the official archives too, as expected",
        [issue for issue in part.issues if not issue.is_damage],
    )
    print_issues(console, "wrong", damage(part.issues))
