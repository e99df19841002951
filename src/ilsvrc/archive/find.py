"""Find the archives that a user points to."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ilsvrc import facts
from ilsvrc.errors import UsageError
from ilsvrc.stores.path import Location, StorePath

DOWNLOADING = (".aria2", ".part", ".crdownload", ".download")
"""Endings of the files that programs keep beside an archive while they fetch it."""

SPLITS = ("train", "val", "test")

_KAGGLE = re.compile(r"imagenet[-_]object[-_]localization")
"""What the names of Kaggle's zip and of its tar.gz begin with."""

_WORDS = re.compile(r"[a-z]+")
_SYNONYMS = {"val": "validation"}

_NAMES = {"train": (facts.TRAIN,), "val": (facts.VAL,), "test": (facts.TEST, "ILSVRC2012_img_test.tar")}


def find_archives(source: Location, splits: Sequence[str] = ("train", "val")) -> list[Location]:
    """Return the image archives with official names in a folder, or `source` itself if it is a file.

    Raises
    ------
    UsageError
        If there is no archive, or one of them is still being fetched.
    """
    if source.is_file():
        return [refuse_unfinished(source)]
    if not source.is_dir():
        raise UsageError(f"{source} does not exist", hint="give the folder that holds the archives, or one archive")
    there = [[source / name for name in _NAMES[split] if (source / name).is_file()] for split in splits]
    found = [archives[0] for archives in there if archives]  # of two test archives the newer
    if not found:
        raise UsageError(
            f"{source} holds no {' or '.join(n for s in splits for n in _NAMES[s])}", hint=_others(source)
        )
    return [refuse_unfinished(archive) for archive in found]


def refuse_unfinished(archive: Location) -> Location:
    """Return an archive.

    Raises
    ------
    UsageError
        If a program is still fetching it.
    """
    for ending in () if isinstance(archive, StorePath) else DOWNLOADING:  # an object is whole, or not there
        if archive.with_name(archive.name + ending).exists():
            hint = f"let the download end first; if you gave it up, remove {archive.name}{ending} and fetch it again"
            raise UsageError(f"{archive} is still being fetched: {archive.name}{ending} lies beside it", hint=hint)
    return archive


def unfinished(folder: Location) -> list[Location]:
    """Return the files in a folder, by their final paths, that some program is still fetching."""
    if isinstance(folder, StorePath):
        return []
    found = (path for ending in DOWNLOADING for path in folder.glob(f"*{ending}") if not path.name.startswith("."))
    return sorted({path.with_name(_without(path.name)) for path in found})


def _without(name: str) -> str:
    """Return a file name without the endings of downloads: `a.tar.part.aria2` is `a.tar`."""
    while name.endswith(DOWNLOADING):
        name = name.rpartition(".")[0]
    return name


def splits_named(name: str) -> tuple[str, ...]:
    """Return the splits that the name of a file speaks of; those of Kaggle's downloads hold both train and val."""
    if _KAGGLE.match(name):
        return "train", "val"
    words = set(_WORDS.findall(name.lower()))
    return tuple(split for split in SPLITS if words & {split, _SYNONYMS.get(split, split)})


def expected_names(split: str) -> tuple[str, ...]:
    """Return the file names that the archive of a split may have."""
    return _NAMES[split]


def look_alikes(source: Location, found: Sequence[Location]) -> list[str]:
    """Return the names of up to five tars in a folder, besides the archives found and the devkit."""
    names = {path.name for path in found} | {facts.DEVKIT}
    return sorted(p.name for p in source.iterdir() if ".tar" in p.suffixes and p.name not in names)[:5]


def _others(source: Location) -> str:
    """Return a hint: the tars in the folder that have other names, or the commands that make archives."""
    tars = look_alikes(source, ())
    if tars:
        return f"it holds {', '.join(tars)}: if an archive has another name, give its path"
    return "fetch the archives with `ilsvrc fetch`, or make small ones with `ilsvrc mini`"
