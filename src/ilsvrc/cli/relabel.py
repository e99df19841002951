"""`ilsvrc relabel`: give a tree's class folders their right names."""

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

`ilsvrc relabel /data/imagenet --layout wnid` -- what would be renamed

`ilsvrc relabel /data/imagenet --layout wnid --apply` -- rename it
"""


@app.command(epilog=_EXAMPLES)
def relabel(
    tree: Annotated[Path, typer.Argument(metavar="TREE", help="A tree, or one split's folder.")],
    layout: Annotated[str, typer.Option(help="wnid, index, padded, or a template with one folder a class.")],
    apply: Annotated[bool, typer.Option("--apply", help="Rename; without it, say what would be renamed.")] = False,
) -> None:
    """Rename a tree's class folders in place, by the images in them.

    For trees whose folders are devkit ids, count from one, or are mislabelled otherwise. Interrupted, the same
    command goes on. Manifests and lists that `prepare` wrote follow.
    """
    with progress() as listener:
        done = relabel_tree(tree, layout, apply=apply, listener=listener)
    show({"ok": True} | asdict(done), lambda console: _print(console, done))


def _print(console: Console, done: Relabelling) -> None:
    for one in done.renames[:LISTED]:
        console.print(f"{one.folder}: {one.old} -> {one.new}", markup=False)
    if len(done.renames) > LISTED:
        console.print(f"and {len(done.renames) - LISTED:,} more", markup=False)
    state = "renamed" if done.applied else "would be renamed: add --apply to do it"
    text = f"{len(done.renames):,} folders {state}" if done.renames else f"every folder has its name of {done.layout}"
    console.print(text, markup=False)
