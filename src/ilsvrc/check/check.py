"""Say what is wrong with a data set, whatever its form."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from ilsvrc.check.against import Other, open_others
from ilsvrc.check.packed import Hashed, check_packed
from ilsvrc.check.report import FOLDERS, CheckReport, PartReport
from ilsvrc.check.shards import check_shards
from ilsvrc.check.sweep import Sweeper
from ilsvrc.check.tree import check_tree
from ilsvrc.errors import MachineError, UsageError
from ilsvrc.events import Listener, Note, silent
from ilsvrc.files import printable
from ilsvrc.issues import Code, Issue
from ilsvrc.paths import given_location
from ilsvrc.readers.locate import find_all, nothing_found, refuse_downloading
from ilsvrc.readers.reader import SHARDS, Found
from ilsvrc.run.engine import process_engine, refuse_jobs
from ilsvrc.run.journal import Journal
from ilsvrc.stores.path import Location, StorePath
from ilsvrc.tree import paths
from ilsvrc.tree.manifest import metadata_of, read_manifest
from ilsvrc.tree.recognise import UNKNOWN
from ilsvrc.tree.scan import SPLIT_FOLDERS


def check(  # noqa: PLR0913  -- a public verb: each is named where it is used
    path: Location | str,
    *,
    deep: bool = False,
    against: Location | str | None = None,
    overview: bool = False,
    jobs: int | None = None,
    listener: Listener = silent,
) -> CheckReport:
    """Return what is in a data set, what is wrong with it, and what it was compared with.

    Every split is checked in every form in which it is there. It is compared with the same split of `against`; else a
    tree with its manifest, files with the digests that are official or lie beside them, and image counts with the
    devkit beside them or the facts of ILSVRC 2012. No data is changed; an index is kept as by `index`.

    Parameters
    ----------
    path
        A data set of any form, one split of it, or a folder at most three levels above.
    deep
        Read and decode every image, and compare digests.
    against
        Another data set, of any form: images are compared by official name; their bytes, if the check is deep.
    overview
        Whether each part has its figures too: images per class, bytes, pixels, formats, the labels that
        loaders give, and the place of each issue's image. Pixels and formats are those of a sample of 2,000 images,
        which are read, or of all images, if the check is deep.
    jobs
        Processes; None for one per processor, or none where there are few images.
    listener
        Gets progress and notes.

    Raises
    ------
    UsageError
        If there is nothing to check at `path`, nothing at `against`, or `jobs` is less than 1.
    """
    refuse_jobs(jobs)
    path = given_location(path).absolute()
    found = find_all(path)
    lost = [_lost(path, split) for split in SPLIT_FOLDERS if _is_lost(path, split, found)]
    if not found and not lost:
        error = nothing_found(path)
        raise UsageError(f"nothing to check: {error.message}", hint=error.hint)
    for one in found:
        if one.path.is_file():
            refuse_downloading(one.path.parent, (one.split,))
    _note_unfinished(path, found, listener)
    others = {} if against is None else open_others(against, listener)
    _note_unmatched(found, others, listener)
    sweeper = Sweeper(process_engine(jobs), listener, overview) if deep else None
    hashed = Hashed()
    parts = []
    for one in found:
        try:
            parts.append(_part(one, others.get(one.split), sweeper, hashed, overview=overview, listener=listener))
        except UsageError:
            if not parts or (one.split, one.path) in [(again.split, again.path) for again in find_all(path)]:
                raise  # else it was taken for a split that it has no image of, as its index tells by now
    return CheckReport(printable(str(path)), deep, (*_in_order(parts, lost),))


def _part(  # noqa: PLR0913  -- as check
    found: Found,
    other: Other | None,
    sweeper: Sweeper | None,
    hashed: Hashed,
    *,
    overview: bool,
    listener: Listener,
) -> PartReport:
    """Check a split in one form."""
    if found.form.endswith(SHARDS):
        return check_shards(found, against=other, sweeper=sweeper, overview=overview, listener=listener)
    if found.form == FOLDERS:
        engine = sweeper.engine if sweeper else None
        return check_tree(found.path, found.split, against=other, engine=engine, overview=overview, listener=listener)
    return check_packed(found, against=other, sweeper=sweeper, hashed=hashed, overview=overview, listener=listener)


def _in_order(parts: list[PartReport], lost: list[PartReport]) -> list[PartReport]:
    """Return trees first, since they are what is trained from, then files; splits in order."""
    found = [*parts, *lost]
    trees = [part for part in found if part.form == FOLDERS]
    trees.sort(key=lambda part: list(SPLIT_FOLDERS).index(part.split))
    return [*trees, *(part for part in found if part.form != FOLDERS)]


def _note_unfinished(path: Location, found: list[Found], listener: Listener) -> None:
    """Warn of official archives that are still being fetched, whose splits are not checked."""
    for split in SPLIT_FOLDERS:
        try:
            if split not in [one.split for one in found]:
                refuse_downloading(path, (split,))
        except UsageError as error:
            listener(Note(f"{split} is not checked: {error.message}; {error.hint}", warning=True))


def _note_unmatched(found: list[Found], others: Mapping[str, Other], listener: Listener) -> None:
    """Say which splits only one of two data sets has."""
    here = {one.split for one in found}
    alone = {
        "not compared with the other data set, which lacks it": [
            split for split in here if others and split not in others
        ],
        "only in the other data set": [split for split in others if split not in here],
    }
    for what, splits in alone.items():
        for split in sorted(filter(None, splits)):
            listener(Note(f"{split} is {what}", warning=True))


def _is_lost(root: Location, split: str, found: list[Found]) -> bool:
    """Whether a tree has the manifest of a split, or the beginning of one, and not its folder."""
    there = any(one.split == split and (one.form == FOLDERS or one.form.endswith(SHARDS)) for one in found)
    return not there and (_is_there(paths.manifest(root, split)) or _is_unfinished(root, split))


def _source_of(root: Location, split: str) -> str:
    """Return the name of the file or folder that a lost split came from, as its manifest tells it."""
    try:
        name = metadata_of(read_manifest(paths.manifest(root, split))).get("archive", "")
    except (OSError, ValueError, MachineError):
        name = ""
    return name or "the/source"


def _is_there(path: Location) -> bool:
    return path.is_file() if isinstance(path, StorePath) else os.path.lexists(path)


def _is_unfinished(root: Location, split: str) -> bool:
    return isinstance(root, Path) and any(
        os.path.lexists(paths.staging(root) / name) for name in (split, f"{split}.shards")
    )


def _lost(root: Location, split: str) -> PartReport:
    """Return the report of a split that is not there though `prepare` made it, or began to."""
    unfinished = _is_unfinished(root, split)
    why = "it is unfinished: run `prepare` again" if unfinished else "its manifest is there, its folder is not"
    issue, folder = Issue(split, Code.MISSING_FILE, why), printable(str(root))
    source = shlex.quote(f"/path/to/{_source_of(root, split)}")
    again = f"ilsvrc prepare {source} {shlex.quote(folder)} --split {split}"
    if not isinstance(root, Path) or not os.path.lexists(paths.staging(root) / f"{split}.shards"):
        return PartReport(printable(str(root / split)), split, FOLDERS, UNKNOWN, issues=(issue,), hint=f"`{again}`")
    chosen = _format_begun(root, split)
    hint = f"`{again} --format {chosen or 'FORMAT'}`, with the other options that it was begun with, resumes it"
    return PartReport(folder, split, f"{chosen or 'unknown'}{SHARDS}", issues=(issue,), hint=hint)


def _format_begun(root: Path, split: str) -> str:
    """Return the format of the shards that a run began, by its journal; empty if it does not tell."""
    begun = Journal(paths.journal(root)).plans(split)
    return str(begun[-1].get("format", "")) if begun else ""
