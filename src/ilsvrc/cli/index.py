"""`ilsvrc index`: find every image in the archives."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.filesize import decimal

from ilsvrc.archive.index import Index
from ilsvrc.archive.sidecar import index as index_archives
from ilsvrc.cli.app import app
from ilsvrc.cli.output import progress, show
from ilsvrc.digests import record_digests

_EXAMPLES = """**Examples**

`ilsvrc index /data/imagenet` -- every archive in the folder

`ilsvrc index /data/imagenet/ILSVRC2012_img_val.tar` -- one archive

`ilsvrc index --digests /data/imagenet` -- record a digest of every image, for `ImageNet(..., verify=True)`
"""


@app.command(epilog=_EXAMPLES)
def index(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Folder of the archives, or one archive.")],
    digests: Annotated[bool, typer.Option("--digests", help="Read every image and record its xxh3 digest.")] = False,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", help="Processes; one per processor by default.")] = None,
) -> None:
    """Find every image in the archives by their headers alone, and prove their structure.

    Nothing is unpacked, and no image is read without --digests. The index is kept in SRC/.ilsvrc, where the other
    commands find it.
    """
    with progress() as listener:
        found = record_digests(source, jobs=jobs, listener=listener) if digests else index_archives(source, listener)
    show({"ok": True, "archives": [_document(one) for one in found]}, lambda console: _print(console, found))


def _document(one: Index) -> dict[str, object]:
    return {
        "archive": one.archive,
        "split": one.split,
        "images": len(one),
        "classes": len(set(one.labels[one.labels >= 0].tolist())),
        "bytes": int(one.sizes.sum()),
        "fingerprint": one.identity,
    }


def _print(console: Console, found: list[Index]) -> None:
    for one in found:
        classes, size = _document(one)["classes"], decimal(int(one.sizes.sum()))
        line = f"{one.archive}: {one.split}, {len(one):,} images, {classes:,} classes, {size}"
        console.print(line, markup=False)
