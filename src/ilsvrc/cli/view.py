"""`ilsvrc view`: look at a data set in a browser."""

from __future__ import annotations

import contextlib
import threading
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from ilsvrc.cli.app import app
from ilsvrc.cli.output import progress, show
from ilsvrc.errors import MissingExtraError
from ilsvrc.paths import given_location

_EXAMPLES = """**Examples**

`ilsvrc view /data/archives` -- then open the address that it prints; Ctrl-C ends it

`ilsvrc view /data/imagenet --open` -- any form: archives, trees, zips, Parquet, shards; opens the browser

`ilsvrc view s3://bucket/archives` -- from where the data set lies

`ilsvrc view /data/archives --host 0.0.0.0` -- for other machines: the address has a token that they must know
"""


@app.command(epilog=_EXAMPLES)
def view(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A data set of any form, or one split of it.")],
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65_535, help="Port; 0 for any. 8012 or the next free one by default."),
    ] = None,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen at; by default only this machine asks.")
    ] = "127.0.0.1",
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="A further host name of the page, such as a proxy's; may be repeated."),
    ] = None,
    browser: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Look at a data set of any form in a browser, straight from where it lies.

    Classes, the WordNet tree, every image with all that is known of it, comparisons, the report of a check, labels.
    Nothing is unpacked or changed; an index is kept as by `index`. Ctrl-C ends it.
    """
    try:
        from ilsvrc.web.view.collection import open_collection
        from ilsvrc.web.view.server import bind, serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("starlette", "uvicorn", "anyio"):
            raise MissingExtraError("Starlette and uvicorn", "view") from None
        raise
    from ilsvrc.web.templating import require_form_parser, templates

    templates()
    require_form_parser()
    location = given_location(path)
    address = bind(host, port)
    with progress() as listener:
        collection = open_collection(location, listener)
    splits = {split.name: len(split) for split in collection}
    show(
        {"ok": True, "url": address.url, "path": str(collection.path), "splits": splits},
        lambda console: console.print(f"{address.url}   Ctrl-C ends it", markup=False),
    )
    if browser:
        threading.Thread(target=webbrowser.open, args=(address.url,), daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again once the last answer is sent
        serve(collection, address, names=name or ())
