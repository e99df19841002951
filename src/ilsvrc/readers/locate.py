"""Find the splits of the data set at a path, whatever their form."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from ilsvrc import facts
from ilsvrc.archive.find import SPLITS, find_archives
from ilsvrc.errors import UsageError
from ilsvrc.paths import given_path
from ilsvrc.readers import archive, parquet, tree
from ilsvrc.readers import zip as zips
from ilsvrc.readers.reader import Found, Reader
from ilsvrc.readers.tars import recognise as tars
from ilsvrc.tree.scan import split_of

FORMS = (archive, zips, parquet, tars, tree)
"""The modules of the forms. Where a split is there in two forms, the first counts."""

DEEPEST = 3
"""Levels of folders below a path that are looked at."""

MOST_FOLDERS = 100
"""Folders of one level that are looked at."""


def recognise(root: Path) -> list[Found]:
    """Return every split in every form at a path: splits in order, and for each the form that counts first.

    A file whose name is no official archive's is looked at as every other form first: to look for an archive's
    members takes a walk over it.
    """
    others = [form for form in FORMS if form is not archive]
    unnamed = root.is_file() and facts.official(root.name) is None
    found = [split for form in (others if unnamed else FORMS) for split in form.recognise(root)]
    if unnamed and not found:
        found = archive.recognise(root)
    return sorted(found, key=lambda split: (*SPLITS, "").index(split.split))


def find_splits(root: Path | str) -> dict[str, Found]:
    """Return the splits at a path, by split; none if nothing there is of a known form.

    Where nothing is at the path itself, the folders in it are looked at, level by level: Kaggle's images lie in
    `ILSVRC/Data/CLS-LOC`, those of Hugging Face in `data`.

    Parameters
    ----------
    root
        A folder of archives, one archive, a tree with `train` or `val` in it, or one split's folder.
    """
    path = given_path(root).absolute()
    found: dict[str, Found] = {}
    for split in recognise(path) or _below(path):
        found.setdefault(split.split, split)
    return found


def _below(root: Path) -> list[Found]:
    """Return the splits in the nearest folder below a path that has any."""
    level = [root]
    for _ in range(DEEPEST):
        level = [folder for parent in level for folder in _folders(parent)][:MOST_FOLDERS]
        for folder in level:
            found = [split for split in recognise(folder) if split.split and _has_images(split)]
            if found:
                return found
    return []


def _folders(parent: Path) -> list[Path]:
    """Return the folders in a folder that may hold a data set: none that is hidden, and none of a class."""
    try:
        entries = sorted(entry.name for entry in os.scandir(parent) if entry.is_dir())
    except OSError:
        return []
    return [parent / name for name in entries if not name.startswith(".") and facts.classes().get(name) is None]


def _has_images(found: Found) -> bool:
    """Whether a folder holds an image: annotations and lists lie in folders of the same names."""
    return found.path.is_file() or not found.path.is_dir() or split_of(found.path) is not None


def open_reader(root: Path | str, split: str, *, verify: bool = False) -> Reader:
    """Return the reader of a split: of its archive if it is there, else of its folder.

    Parameters
    ----------
    root
        As for `find_splits`.
    split
        Train, val or test.
    verify
        Compare every image that is read with its recorded digest.

    Raises
    ------
    IlsvrcError
        UsageError if the split is not there; DataError for data that can't be trusted.
    """
    if split not in SPLITS:
        raise UsageError(f"there is no split {split!r}", hint=f"use {', '.join(SPLITS)}")
    path = given_path(root).absolute()
    found = find_splits(path)
    if split in found:
        return found[split].open(verify=verify)
    if path.is_file():
        [other] = found.values()
        holds = other.open().split
        raise UsageError(f"{path} holds the {holds} split, not {split}", hint=f"use split={holds!r}")
    raise _absent(path, split, list(found))


def splits_at(root: Path | str) -> list[str]:
    """Return the splits that are at a path.

    Raises
    ------
    IlsvrcError
        UsageError if none is there; DataError for a file that can't be read.
    """
    found = find_splits(root)
    if not found:
        hint = "give the folder of the archives, or of a tree"
        raise UsageError(f"{given_path(root).absolute()} holds no split of ILSVRC 2012", hint=hint)
    return [split or found[split].open().split for split in found]


def _absent(root: Path, split: str, others: list[str]) -> UsageError:
    """Return the error that a split is not there."""
    try:
        find_archives(root, (split,))
    except UsageError as error:
        hint = error.hint
        if others:
            hint = f"`ilsvrc ls {shlex.quote(str(root))}` lists {' and '.join(others)}, which are there"
        return UsageError(f"no {split} split: {error.message}, nor a folder {split}", hint=hint)
    raise AssertionError(f"{root} has an archive of {split} that was not recognised")
