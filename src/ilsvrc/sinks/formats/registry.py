"""The shard formats by name; the module of one is imported when it is asked for."""

from __future__ import annotations

from importlib import import_module

from ilsvrc.errors import UsageError
from ilsvrc.sinks.formats.base import Format

FOLDERS = "folders"
"""The format that has no shards."""

FORMATS = {
    "webdataset": "webdataset:WebDataset",
    "lmdb": "lmdb:Lmdb",
    "ffcv": "ffcv:Ffcv",
}
"""Module and class of every shard format."""


def format_of(name: str) -> Format:
    """Return a format by its name.

    Raises
    ------
    UsageError
        If there is none of this name.
    """
    if name not in FORMATS:
        raise UsageError(f"there is no format {name!r}", hint=f"use one of {', '.join((FOLDERS, *FORMATS))}")
    module, _, kind = FORMATS[name].partition(":")
    made: Format = getattr(import_module(f"ilsvrc.sinks.formats.{module}"), kind)()
    return made
