"""`ilsvrc index`: find every image of a data set, in any form."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.filesize import decimal

from ilsvrc.archive.index import Index
from ilsvrc.cli.app import app
from ilsvrc.cli.output import progress, show
from ilsvrc.digests import record_digests
from ilsvrc.events import Listener
from ilsvrc.files import printable
from ilsvrc.paths import given_location
from ilsvrc.readers.archive import ArchiveReader
from ilsvrc.readers.locate import find_splits, nothing_found
from ilsvrc.readers.reader import Reader
from ilsvrc.words import counted

_EXAMPLES = """**Examples**

`ilsvrc index /data/imagenet` -- every archive in the folder

`ilsvrc index /data/imagenet/ILSVRC2012_img_val.tar` -- one archive

`ilsvrc index --digests /data/imagenet` -- record a digest of every image, for `ImageNet(..., verify=True)`
"""


@app.command(epilog=_EXAMPLES)
def index(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="The data set, in any form: a folder, or one file.")],
    digests: Annotated[bool, typer.Option("--digests", help="Read every image and record its xxh3 digest.")] = False,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", help="Processes; one per processor by default.")] = None,
) -> None:
    """Find every image by the headers of archives alone, and prove their structure.

    Nothing is unpacked, and no image is read without --digests, save out of compressed files. The index is kept in
    SRC/.ilsvrc, where the other commands find it. --digests is for the official archives.
    """
    with progress() as listener:
        if digests:
            found = [_document(one.archive, one) for one in record_digests(source, jobs=jobs, listener=listener)]
        else:
            found = [_document(one.path.name, one, one.form) for one in _opened(source, listener)]
    show({"ok": True, "archives": found}, lambda console: _print(console, found))


def _opened(source: Path, listener: Listener) -> list[Reader]:
    """Open every split at a path, in whatever form; this indexes it, where no index is kept that fits."""
    path = given_location(source).absolute()
    found = find_splits(path)
    if not found:
        raise nothing_found(path)
    return [split.open(listener=listener) for split in found.values()]


def _document(name: str, one: Index | Reader, form: str = ArchiveReader.form) -> dict[str, Any]:
    return {
        "archive": printable(name),
        "form": form,
        "split": one.split,
        "images": len(one),
        "classes": len(np.unique(one.labels[one.labels >= 0])),
        "bytes": int(one.sizes.sum()),
        "fingerprint": one.identity,
    }


def _print(console: Console, found: list[dict[str, Any]]) -> None:
    for one in found:
        form = "" if one["form"] == ArchiveReader.form else f" ({one['form']})"
        counts = f"{counted(one['images'], 'image')}, {counted(one['classes'], 'class')}, {decimal(one['bytes'])}"
        console.print(f"{one['archive']}{form}: {one['split']}, {counts}", markup=False)
