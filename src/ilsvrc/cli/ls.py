"""`ilsvrc ls` and `ilsvrc cat`: list and read images without unpacking the archives."""

from __future__ import annotations

import contextlib
import shlex
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ilsvrc.cli.app import app
from ilsvrc.cli.output import errors, settings, show
from ilsvrc.dataset.filesystem import Browser, Entry
from ilsvrc.errors import UsageError
from ilsvrc.paths import given_location

Source = Annotated[Path, typer.Argument(metavar="SRC", help="Folder of the archives, one archive, or a tree.")]

_LS_EXAMPLES = """**Examples**

`ilsvrc ls /data/archives` -- the splits

`ilsvrc ls /data/archives val/n01751748` -- the images of a class, with their sizes
"""

_CAT_EXAMPLES = """**Examples**

`ilsvrc cat /data/archives val/n01751748/ILSVRC2012_val_00000001.JPEG > snake.jpg`
"""


@app.command(epilog=_LS_EXAMPLES)
def ls(
    source: Source,
    path: Annotated[str, typer.Argument(metavar="PATH", help="split, split/wnid or split/wnid/name.")] = "",
) -> None:
    """List the images in the archives, or in a tree of any layout, as split/wnid/name.

    An image is listed with its bytes, a folder with the number of its images.
    """
    with _browser(source) as browser:
        entries = list(browser.entries(path))
    document = [
        {"path": e.path, "folder": e.is_folder, "images" if e.is_folder else "bytes": e.size} for e in entries
    ]
    show({"ok": True, "entries": document}, lambda console: _print(console, entries))


@app.command(epilog=_CAT_EXAMPLES)
def cat(
    source: Source,
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Images as split/wnid/name.")],
) -> None:
    """Write images to standard output, byte for byte."""
    if settings.json:
        raise UsageError("cat writes the images themselves, not JSON", hint="`ilsvrc --json ls` lists their sizes")
    with _browser(source) as browser:
        for path in paths:
            sys.stdout.buffer.write(browser.read(path))


@contextlib.contextmanager
def _browser(source: Path) -> Iterator[Browser]:
    """Yield a browser of a source; print the library's warnings, and refuse a path that does not exist."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield Browser(source)
        except (FileNotFoundError, IsADirectoryError) as error:
            command = f"ilsvrc ls {shlex.quote(str(given_location(source)))}"
            hint = f"`{command}` lists the splits, then their classes and images"
            raise UsageError(str(error), hint=hint) from None
        finally:
            for warning in caught:
                errors().print("warning:", str(warning.message), style="yellow", markup=False)


def _print(console: Console, entries: list[Entry]) -> None:
    for entry in entries:
        console.print(f"{entry.size:>12,}  {entry.path}{'/' if entry.is_folder else ''}", markup=False)
