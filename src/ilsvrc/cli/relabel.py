"""`ilsvrc relabel`: rename a tree's class folders."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ilsvrc.cli.app import app
from ilsvrc.cli.output import LISTED, progress, show
from ilsvrc.relabel import Relabelling
from ilsvrc.relabel import relabel as relabel_tree

_EXAMPLES = """**Examples**

`ilsvrc relabel /data/imagenet --layout wnid` -- list the folders that would be renamed

`ilsvrc relabel /data/imagenet --layout wnid --apply` -- rename them
"""


@app.command(epilog=_EXAMPLES)
def relabel(
    tree: Annotated[Path, typer.Argument(metavar="TREE", help="A tree, or one split's folder.")],
    layout: Annotated[
        str, typer.Option(help="wnid, index, padded, or a template with one folder for each class.")
    ] = "wnid",
    apply: Annotated[
        bool, typer.Option("--apply", help="Rename; without it, only list what would be renamed.")
    ] = False,
) -> None:
    """Rename a tree's class folders in place, by the images in them.

    For trees whose folders are devkit ids, count from one, or have other wrong names. Without --apply nothing is
    written. If it was interrupted, run it again: it resumes. The manifests and lists of `prepare` are updated too.
    """
    with progress() as listener:
        done = relabel_tree(tree, layout=layout, apply=apply, listener=listener)
    show({"ok": True} | asdict(done), lambda console: _print(console, done))


def _print(console: Console, done: Relabelling) -> None:
    for one in done.renames[:LISTED]:
        console.print(f"{one.folder}: {one.old} -> {one.new}", markup=False)
    if len(done.renames) > LISTED:
        console.print(f"and {len(done.renames) - LISTED:,} more", markup=False)
    if done.unrecognised:
        first = ", ".join(done.unrecognised[:LISTED])
        more = ", ..." if len(done.unrecognised) > LISTED else ""
        text = "folders without a recognised image keep their names"
        console.print(f"{text} ({len(done.unrecognised):,}): {first}{more}", markup=False)
    console.print(_outcome(done), markup=False)


def _outcome(done: Relabelling) -> str:
    """Return one line: the work that was done, or would be."""
    if not done.renames and not done.lists:
        return f"every folder with images already has its name in layout {done.layout}"
    folders = f"{len(done.renames):,} folders" if done.renames else f"manifest and list of {', '.join(done.lists)}"
    state = "renamed" if done.renames else "brought up to date"
    return f"{folders} {state}" if done.applied else f"{folders} would be {state}: add --apply to do it"
