"""Find a split of the data set at a path: in an archive, or in a folder tree."""

from __future__ import annotations

import shlex
from pathlib import Path

from ilsvrc.archive.find import find_archives
from ilsvrc.archive.sidecar import open_index
from ilsvrc.archive.source import FileSource
from ilsvrc.errors import UsageError
from ilsvrc.paths import given_path
from ilsvrc.readers.archive import ArchiveReader
from ilsvrc.readers.reader import Reader
from ilsvrc.readers.tree import TreeReader
from ilsvrc.tree.scan import SPLIT_FOLDERS, find_splits


def open_reader(root: Path | str, split: str, *, verify: bool = False) -> Reader:
    """Return the reader of a split: of its archive if it is there, else of its folder.

    Parameters
    ----------
    root
        A folder of archives, one archive, a tree with `train` or `val` in it, or one split's folder.
    split
        Train, val or test.
    verify
        Compare every image that is read with its recorded digest.

    Raises
    ------
    IlsvrcError
        UsageError if the split is not there; ArchiveError for an archive that can't be trusted.
    """
    if split not in SPLIT_FOLDERS:
        raise UsageError(f"there is no split {split!r}", hint=f"use {', '.join(SPLIT_FOLDERS)}")
    root = given_path(root).absolute()
    try:
        archive = find_archives(root, (split,))[0]
    except UsageError as error:
        folder = find_splits(root).get(split)
        if folder is None:
            others = _splits_in(root)
            hint = f"`ilsvrc ls {shlex.quote(str(root))}` lists {' and '.join(others)}, which are there"
            message = f"no {split} split: {error.message}, nor a folder {split}"
            raise UsageError(message, hint=hint if others else error.hint) from None
        return TreeReader.open(folder, split, verify=verify)
    reader = ArchiveReader.open(FileSource(archive), verify=verify)
    if reader.split != split:
        raise UsageError(f"{archive} holds the {reader.split} split, not {split}", hint=f"use split={reader.split!r}")
    return reader


def splits_at(root: Path | str) -> list[str]:
    """Return the splits that are at a path.

    Raises
    ------
    UsageError
        If none is.
    """
    root = given_path(root).absolute()
    if root.is_file():
        return [open_index(FileSource(root)).split]
    there = _splits_in(root)
    if not there:
        raise UsageError(
            f"{root} holds no split of ILSVRC 2012", hint="give the folder of the archives, or of a tree"
        )
    return there


def _splits_in(root: Path) -> list[str]:
    folders = find_splits(root)
    return [split for split in SPLIT_FOLDERS if split in folders or _has_archive(root, split)]


def _has_archive(root: Path, split: str) -> bool:
    try:
        return bool(find_archives(root, (split,)))
    except UsageError:
        return False
