"""Paths as users give them."""

from __future__ import annotations

import os
from pathlib import Path

from ilsvrc.errors import UsageError


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
        If the text is empty: mostly a shell variable that isn't set.
    """
    if not os.fspath(path).strip():
        raise UsageError(f"{name} is empty", hint="is a shell variable unset? the current folder is written as .")
    return Path(path).expanduser()
