"""`ilsvrc relabel`: rename a tree's class folders."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ilsvrc.cli.app import app
from ilsvrc.cli.output import LISTED, progress, show
from ilsvrc.heap import Sorting
from ilsvrc.relabel import Relabelling
from ilsvrc.relabel import relabel as relabel_tree

_EXAMPLES = """**Examples**

`ilsvrc relabel /data/imagenet --layout wnid` -- list the folders that would be renamed

`ilsvrc relabel /data/imagenet --layout wnid --apply` -- rename them

`ilsvrc relabel /data/imagenet/val --apply` -- sort validation images into class folders, in place of valprep.sh
"""


@app.command(epilog=_EXAMPLES)
def relabel(
    tree: Annotated[Path, typer.Argument(metavar="TREE", help="A tree, or one split's folder.")],
    layout: Annotated[
        str, typer.Option(help="wnid, index, padded, a template with one folder for each class, or flat.")
    ] = "wnid",
    apply: Annotated[
        bool, typer.Option("--apply", help="Rename; without it, only list what would be renamed.")
    ] = False,
) -> None:
    """Rename a tree's class folders in place, by the images in them, and sort images that lie in no folder.

    For trees whose folders are devkit ids, count from one, or have other wrong names, and for validation images in
    one heap, half sorted or not; --layout flat puts them back into a heap. Without --apply nothing is
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
    for sorting in done.sorted:
        console.print(f"{sorting.folder}: {_sorting(sorting)}", markup=False)
    if done.strays:
        first = ", ".join(done.strays[:LISTED])
        more = ", ..." if len(done.strays) > LISTED else ""
        text = f"files that are no image by their names stay where they are ({len(done.strays):,}): {first}{more}"
        console.print(text, markup=False)
    if done.unrecognised:
        first = ", ".join(done.unrecognised[:LISTED])
        more = ", ..." if len(done.unrecognised) > LISTED else ""
        text = "folders without a recognised image keep their names"
        console.print(f"{text} ({len(done.unrecognised):,}): {first}{more}", markup=False)
    console.print(_outcome(done), markup=False)


def _sorting(sorting: Sorting) -> str:
    """Return one line about the images of a split that move."""
    where = f"out of {sorting.folders:,}" if sorting.into_heap else f"into {sorting.folders:,}"
    return f"{sorting.images:,} images {where} class folders, such as {sorting.old} -> {sorting.new}"


def _outcome(done: Relabelling) -> str:
    """Return one line: the work that was done, or would be."""
    works = [f"{len(done.renames):,} folders {_would(done)}renamed"] if done.renames else []
    images = sum(sorting.images for sorting in done.sorted)
    works += [f"{images:,} images {_would(done)}moved"] if images else []
    if not works and not done.lists:
        return f"every folder with images already has its name in layout {done.layout}"
    works = works or [f"manifest and list of {', '.join(done.lists)} {_would(done)}brought up to date"]
    return ", ".join(works) if done.applied else f"{', '.join(works)}: add --apply to do it"


def _would(done: Relabelling) -> str:
    return "" if done.applied else "would be "
