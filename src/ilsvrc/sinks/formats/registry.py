"""The shard formats by name; the module of one is imported when it is asked for."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from ilsvrc.errors import MissingExtraError, UsageError
from ilsvrc.sinks.formats.base import Format

FOLDERS = "folders"
"""The format that has no shards."""

FORMATS = {
    "tfrecord": "tfrecord:TFRecord",
    "array_record": "array_record:ArrayRecord",
    "webdataset": "webdataset:WebDataset",
    "parquet": "parquet:Parquet",
    "edm": "edm:Edm",
    "mds": "mds:MDS",
    "litdata": "litdata:LitData",
    "lmdb": "lmdb:Lmdb",
    "ffcv": "ffcv:Ffcv",
    "squashfs": "squashfs:SquashFs",
}
"""Module and class of every shard format."""

_NEEDED = {
    "tfrecord": ("google_crc32c", "google-crc32c"),
    "array_record": ("array_record", "array_record"),
}
"""Module and package that writing a format needs; the extra that installs it has the format's name."""


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


def refuse_missing_extra(name: str) -> None:
    """Refuse to write a format whose package is not installed; reading and checking need none.

    Raises
    ------
    MissingExtraError
        If it is not.
    """
    module, package = _NEEDED.get(name, ("", ""))
    if module and find_spec(module) is None:
        raise MissingExtraError(package, name)
