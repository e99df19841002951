"""`ilsvrc mini`: write a fake ImageNet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.filesize import decimal

from ilsvrc.cli.app import app
from ilsvrc.cli.output import progress, show
from ilsvrc.testing.faults import FAULTS, parse_faults
from ilsvrc.testing.mini import MiniReport, MiniSpec, write_mini
from ilsvrc.testing.spec import FORMS, STATES, StateSpec

_DEFAULT = MiniSpec()

_EXAMPLES = """**Examples**

`ilsvrc mini fake` -- all 1000 classes, 3 train images and 1 validation image of each: 440 MB

`ilsvrc mini fake --classes 10 --per-class 20 --mean-bytes 8000` -- for a CI run: 2 MB

`ilsvrc mini broken --faults truncated-image,symlink` -- with two faults

`ilsvrc mini kaggle --form kaggle --state half-valprep` -- as Kaggle gives it, with valprep.sh stopped half-way
"""


def _forms(spec: StateSpec) -> str:
    return "every form" if len(spec.forms) == len(FORMS) else ", ".join(spec.forms)


def _listed(title: str, meanings: Mapping[str, str]) -> str:
    return f"\n**{title}**\n\n" + "\n".join(f"- `{name}`: {meaning}" for name, meaning in meanings.items()) + "\n"


_EPILOG = (
    _EXAMPLES
    + _listed("Forms", {str(form): text for form, text in FORMS.items()})
    + _listed("States", {state: f"{spec.description} ({_forms(spec)})" for state, spec in STATES.items()})
    + _listed("Faults", {fault: spec.description for fault, spec in FAULTS.items()})
)


@app.command(epilog=_EPILOG)
def mini(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write to.", show_default=False)],
    form: Annotated[str, typer.Option(metavar="FORM", help="The form of the data; see below.")] = _DEFAULT.form,
    state: Annotated[
        str, typer.Option(metavar="STATE", help="How far its owner has come; see below.")
    ] = _DEFAULT.state,
    classes: Annotated[int, typer.Option(help="How many of the 1000 classes, by wnid.")] = _DEFAULT.classes,
    per_class: Annotated[int, typer.Option(help="Train images per class, up to 1300.")] = _DEFAULT.per_class,
    val_per_class: Annotated[
        int, typer.Option(help="Validation images per class, up to 50.")
    ] = _DEFAULT.val_per_class,
    seed: Annotated[int, typer.Option(help="The same seed gives the same images.")] = _DEFAULT.seed,
    mean_bytes: Annotated[int, typer.Option(help="Mean size of an image file.")] = _DEFAULT.mean_bytes,
    test_images: Annotated[int, typer.Option(help="Images of the test split; 0 for none.")] = _DEFAULT.test_images,
    layout: Annotated[
        str, typer.Option(help="Class folders of --form tree: wnid, index, padded, flat or a template.")
    ] = _DEFAULT.layout,
    compressed: Annotated[
        bool, typer.Option("--compressed", help="Deflate kaggle-zip, gzip tree-tar.")
    ] = _DEFAULT.compressed,
    faults: Annotated[str, typer.Option(metavar="KIND,...", help="Faults to plant; see below.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace files of a miniature; never folders.")] = False,
) -> None:
    """Write a fake ImageNet in any form, small, with the real names, labels and structure of ILSVRC 2012.

    Nothing is downloaded: the pictures are generated, the labels are real. For tests of programs that read ImageNet.
    """
    spec = MiniSpec(
        classes=classes,
        per_class=per_class,
        val_per_class=val_per_class,
        seed=seed,
        mean_bytes=mean_bytes,
        faults=parse_faults(faults),
        test_images=test_images,
        form=form,
        state=state,
        layout=layout,
        compressed=compressed,
    )
    with progress() as listener:
        report = write_mini(folder, spec, listener=listener, force=force)
    show({"ok": True} | report.to_json(), lambda console: _print(console, report))


def _print(console: Console, report: MiniReport) -> None:
    for name, size in report.sizes.items():
        console.print(f"{report.folder / name}: {decimal(size)}", markup=False)
    for planted in report.planted:
        place = f"{planted.archive}: {planted.member}" if planted.member else planted.archive
        console.print(f"planted {planted.fault} in {place}", markup=False)
