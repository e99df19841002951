"""`ilsvrc mini`: write a fake ImageNet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.filesize import decimal

from ilsvrc.cli.app import app
from ilsvrc.cli.output import progress, show
from ilsvrc.testing.faults import FAULTS, parse_faults
from ilsvrc.testing.mini import MiniReport, MiniSpec, write_mini

_DEFAULT = MiniSpec()

_EXAMPLES = """**Examples**

`ilsvrc mini fake` -- all 1000 classes, 3 train images and 1 validation image of each: 440 MB

`ilsvrc mini fake --classes 10 --per-class 20 --mean-bytes 8000` -- for a CI run: 2 MB

`ilsvrc mini broken --faults truncated-image,symlink` -- with two faults

**Faults**

"""

_KINDS = "\n".join(f"- `{fault}`: {spec.description}" for fault, spec in FAULTS.items())


@app.command(epilog=_EXAMPLES + _KINDS)
def mini(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write it.", show_default=False)],
    classes: Annotated[int, typer.Option(help="The first so many of the 1000 classes.")] = _DEFAULT.classes,
    per_class: Annotated[int, typer.Option(help="Train images a class, up to 1300.")] = _DEFAULT.per_class,
    val_per_class: Annotated[int, typer.Option(help="Validation images a class, up to 50.")] = _DEFAULT.val_per_class,
    seed: Annotated[int, typer.Option(help="The same seed gives the same archives.")] = _DEFAULT.seed,
    mean_bytes: Annotated[int, typer.Option(help="Mean size of an image file.")] = _DEFAULT.mean_bytes,
    test_images: Annotated[int, typer.Option(help="Images of the test archive; 0: none.")] = _DEFAULT.test_images,
    faults: Annotated[str, typer.Option(metavar="KIND,...", help="Faults to plant; see below.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace a miniature that is there.")] = False,
) -> None:
    """Write a fake ImageNet: the archives of ILSVRC 2012 in small, with real names, labels and structure.

    Nothing is downloaded: the pictures are made, the labels are the real ones. For tests of whatever reads ImageNet.
    """
    spec = MiniSpec(classes, per_class, val_per_class, seed, mean_bytes, parse_faults(faults), test_images)
    with progress() as listener:
        report = write_mini(folder, spec, listener=listener, force=force)
    show({"ok": True} | report.to_json(), lambda console: _print(console, report))


def _print(console: Console, report: MiniReport) -> None:
    for name, size in report.sizes.items():
        console.print(f"{report.folder / name}: {decimal(size)}", markup=False)
    for planted in report.planted:
        place = f"{planted.archive}: {planted.member}" if planted.member else planted.archive
        console.print(f"planted {planted.fault} in {place}", markup=False)
