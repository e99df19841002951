"""Paths as users give them."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from ilsvrc.errors import UsageError
from ilsvrc.stores.path import Location, StorePath
from ilsvrc.stores.url import is_url, parse_url


def given_path(path: Path | str, name: str = "the path") -> Path:
    """Return a path that a user gave, with `~` expanded.

    An empty text is refused: `Path` would take it for the current folder.

    >>> given_path("/data/imagenet").name
    'imagenet'

    Parameters
    ----------
    path
        A path, or its text.
    name
        What the path is called in the message.

    Raises
    ------
    UsageError
        If the text is empty: mostly a shell variable that isn't set. If it is the address of an object in a store.
    """
    location = given_location(path, name)
    if isinstance(location, StorePath):
        hint = f"give a path of this machine; `ilsvrc prepare {shlex.quote(str(location))} FOLDER` brings images here"
        raise UsageError(f"{location} lies in an object store, and {name} must be a path of this machine", hint=hint)
    return location


def given_location(location: Location | str, name: str = "the path") -> Location:
    """Return a path, or the address of an object in a store, that a user gave.

    >>> given_location("s3://bucket/imagenet/"), given_location(Path("s3://bucket/imagenet"))
    (StorePath('s3://bucket/imagenet'), StorePath('s3://bucket/imagenet'))

    Parameters
    ----------
    location
        A path, an address, or its text.
    name
        What it is called in the message.

    Raises
    ------
    UsageError
        If the text is empty, or is an address that can't be used.
    """
    if isinstance(location, StorePath):
        return location
    text = os.fspath(location)
    if not text.strip():
        raise UsageError(f"{name} is empty", hint="is a shell variable unset? the current folder is written as .")
    return StorePath(parse_url(text)) if is_url(text) else Path(location).expanduser()
