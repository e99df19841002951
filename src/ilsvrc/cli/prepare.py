"""`ilsvrc prepare`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.filesize import decimal

from ilsvrc.cli.app import app
from ilsvrc.cli.output import print_issues, progress, show
from ilsvrc.prepare.decision import SOURCE, VERIFY
from ilsvrc.prepare.prepare import prepare as prepare_tree
from ilsvrc.prepare.report import PrepareReport, SplitReport
from ilsvrc.readers.subset import read_selection

_EXAMPLES = """**Examples**

`ilsvrc prepare /data/archives /data/imagenet` -- folders named by wnid, as torchvision and timm read them

`ilsvrc prepare /data/archives /data/imagenet --layout padded` -- folders 0000 to 0999

`ilsvrc prepare /data/archives /data/dogs --classes n02085620,n02085782,pug` -- some classes

`ilsvrc prepare /data/archives /data/imagenette --classes imagenette` -- a class list: see `ilsvrc labels list`

`ilsvrc prepare /data/archives /data/imagenet --layout '{split}/{wnid}_{word}/{name}'` -- a template of your own

Interrupted? Give the same command again: it resumes where it stopped.
"""


@app.command(epilog=_EXAMPLES)
def prepare(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Folder of the archives, or one archive.")],
    target: Annotated[Path, typer.Argument(metavar="DST", help="Folder that gets train and val.")],
    split: Annotated[list[str] | None, typer.Option(help="train, val or test; again for more.")] = None,
    layout: Annotated[str, typer.Option(help="wnid, index, padded, flat, or a template.")] = "wnid",
    classes: Annotated[
        str | None, typer.Option(metavar="FILE|LIST", help="Only these: wnids, indices, words, class lists.")
    ] = None,
    verify: Annotated[str, typer.Option(help=f"Digest to prove: {', '.join(VERIFY)}.")] = "md5",
    archives: Annotated[
        str, typer.Option("--source", help=f"What becomes of archives: {', '.join(SOURCE)}.")
    ] = "keep",
    val_labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Labels of validation images; compared with the built-in ones."),
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust-val-labels", help="Use that file even where it disagrees with the truth.")
    ] = False,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", help="Processes; one per processor by default.")] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Throw away an unfinished run of other settings.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Write images again that a finished tree lacks or has at another size.")
    ] = False,
) -> None:
    """Turn the official archives into verified class folders.

    The digest is checked in the same pass that unpacks; no inner archive is written; a split appears by one rename
    when all of it is durable. Archives without an official digest are checked against MD5SUMS beside them.
    """
    labels = tuple(map(str, sorted(read_selection(classes)))) if classes is not None else None
    with progress() as listener:
        report = prepare_tree(
            source,
            target,
            splits=split,
            layout=layout,
            classes=labels,
            verify=verify,
            source=archives,
            jobs=jobs,
            restart=restart,
            repair=repair,
            val_labels=val_labels,
            trust_val_labels=trust,
            listener=listener,
        )
    show(report.to_json(), lambda console: print_prepared(console, report), ok=report.ok)


def print_prepared(console: Console, report: PrepareReport) -> None:
    """Print what became of a tree."""
    for split in report.splits:
        console.print(_line(split), markup=False)
    known = [issue for split in report.splits for issue in split.issues if not issue.is_damage]
    print_issues(console, "known, as expected", known)
    print_issues(console, "damaged in the archive itself", report.damage)
    console.print(f"{report.tree} is ready, layout {report.layout}", markup=False)


def _line(split: SplitReport) -> str:
    """Return one line for a split: what there is of it, and what was proved."""
    proof = f"{split.digest} as {split.against}" if split.digest else "digest not verified"
    size, rate = decimal(split.bytes), f" in {split.seconds:.1f} s" if split.seconds else ""
    return f"{split.split}: {split.images:,} images, {split.classes:,} classes, {size}{rate}; {proof}"
