"""Find the archives that a user points to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ilsvrc import facts
from ilsvrc.errors import UsageError

DOWNLOADING = (".aria2", ".part", ".crdownload", ".download")
"""Endings of the files that programs keep beside an archive while they fetch it."""

_NAMES = {"train": (facts.TRAIN,), "val": (facts.VAL,), "test": (facts.TEST, "ILSVRC2012_img_test.tar")}


def find_archives(source: Path, splits: Sequence[str] = ("train", "val")) -> list[Path]:
    """Return the image archives in a folder by their official names, or the one archive that `source` is.

    Raises
    ------
    UsageError
        If there is none, or one is still being fetched.
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


def refuse_unfinished(archive: Path) -> Path:
    """Return an archive.

    Raises
    ------
    UsageError
        If a program is still fetching it.
    """
    for ending in DOWNLOADING:
        if archive.with_name(archive.name + ending).exists():
            hint = f"let the download end first; if it was given up, remove {archive.name}{ending} and fetch it again"
            raise UsageError(f"{archive} is still being fetched: {archive.name}{ending} lies beside it", hint=hint)
    return archive


def expected_names(split: str) -> tuple[str, ...]:
    """Return the file names that the archive of a split may have."""
    return _NAMES[split]


def look_alikes(source: Path, found: Sequence[Path]) -> list[str]:
    """Return the names of up to five tars in a folder that are none of the archives found and no devkit."""
    names = {path.name for path in found} | {facts.DEVKIT}
    return sorted(p.name for p in source.iterdir() if ".tar" in p.suffixes and p.name not in names)[:5]


def _others(source: Path) -> str:
    """Say what there is instead."""
    tars = look_alikes(source, ())
    if tars:
        return f"there is {', '.join(tars)}: give an archive by its path if it has another name"
    return "fetch the archives from image-net.org, or make small ones with `ilsvrc mini`"
