"""`ilsvrc check`: find the faults of a data set."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.filesize import decimal

from ilsvrc.check.check import check as check_path
from ilsvrc.check.report import CheckReport, PartReport
from ilsvrc.cli.app import app
from ilsvrc.cli.output import print_issues, progress, show
from ilsvrc.files import printable
from ilsvrc.issues import damage
from ilsvrc.paths import given_location, given_path
from ilsvrc.web.environment import environment
from ilsvrc.web.report import refuse_place, write_report
from ilsvrc.words import counted

_EXAMPLES = """**Examples**

`ilsvrc check /data/imagenet` -- names, counts and sizes of a tree, in seconds

`ilsvrc check --deep /data/imagenet` -- read, compare and decode every image as well

`ilsvrc check /data/kaggle` -- any other form: archives, Kaggle's download, Hugging Face's files

`ilsvrc check /data/old-tree --against /data/archives` -- names and sizes, image by image, of any two forms

`ilsvrc check --deep /data/old-tree --against /data/archives` -- and bytes

`ilsvrc check /data/imagenet --report report.html` -- plots, thumbnails and all faults in one file
"""


@app.command(epilog=_EXAMPLES)
def check(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A data set of any form, or one split of it.")],
    deep: Annotated[bool, typer.Option("--deep", help="Read and decode every image; compare digests.")] = False,
    against: Annotated[
        Path | None, typer.Option(metavar="OTHER", help="Another data set, of any form, to compare with.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report", metavar="FILE.html", help="Write what was found to one HTML file, to look at or send."
        ),
    ] = None,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", help="Processes; one per processor by default.")] = None,
) -> None:
    """Find the faults of a data set of any form, and name its form.

    Images are compared with those of --against, else with the manifest of a tree, with the digests of files, and with
    the image counts of the devkit or the facts of ILSVRC 2012. The last line says what was compared with what, and
    what was not. The known odd images of the official archives are reported as expected. Exit status 1 if anything
    is wrong.
    """
    target = given_path(report, "--report") if report else None
    if target:
        refuse_place(target)
    with progress() as listener:
        other = given_location(against, "--against") if against else None
        found = check_path(
            given_location(path), deep=deep, against=other, overview=bool(target), jobs=jobs, listener=listener
        )
    document = found.to_dict()
    if target:
        command, where = shlex.join(["ilsvrc", *sys.argv[1:]]), environment()
        write_report(target, found, command=command, environment=where)
        document |= {"report": printable(str(target)), "command": printable(command), "environment": where}
    show(document, lambda console: _print(console, found, target), ok=found.ok)


def _print(console: Console, report: CheckReport, written: Path | None) -> None:
    console.print(f"recognised: {report.recognised}", markup=False)
    for part in report.parts:
        _print_part(console, part)
    if written:
        console.print(f"report: {printable(str(written))}", markup=False)
    console.print(f"{report.path}: {report.verdict}", markup=False)


def _print_part(console: Console, part: PartReport) -> None:
    images = counted(part.images, "image") if part.wanted is None else f"{part.images:,} of {part.wanted:,} images"
    summary = f"{part.split}: {images}, {counted(part.classes, 'class')}, {decimal(part.bytes)}"
    layout = f", layout {part.layout}" if part.layout else ""
    console.print(f"{part.where}: {summary if part.split else 'not readable'}; {part.form}{layout}", markup=False)
    lines = [*part.comparisons]
    lines += [] if part.order in part.warnings else [part.order]
    lines += [f"warning: {text}" for text in part.warnings]
    lines += [f"digest {part.digest} proved"] if part.digest else []
    for line in filter(None, lines):
        console.print(f"  {line}", markup=False)
    odd = [issue for issue in part.issues if not issue.is_damage]
    print_issues(console, "odd in the official archives too, as expected", odd)
    print_issues(console, "wrong", damage(part.issues))
    if part.hint:
        console.print(f"  next: {part.hint}", markup=False)
