"""Say what is wrong with a data set: a prepared tree, another tool's tree, or a folder of archives."""

from __future__ import annotations

import os
from pathlib import Path

from ilsvrc.archive.find import find_archives
from ilsvrc.archive.sidecar import index
from ilsvrc.check.archive import check_archive
from ilsvrc.check.reference import Reference, archive_reference
from ilsvrc.check.report import CheckReport, PartReport
from ilsvrc.check.tree import check_tree
from ilsvrc.errors import UsageError
from ilsvrc.events import Listener, silent
from ilsvrc.files import printable
from ilsvrc.issues import Code, Issue
from ilsvrc.readers.archive import recognise
from ilsvrc.readers.reader import Found
from ilsvrc.run.engine import default_jobs, process_engine, refuse_jobs
from ilsvrc.tree import paths
from ilsvrc.tree.recognise import UNKNOWN
from ilsvrc.tree.scan import SPLIT_FOLDERS, split_folders


def check(
    path: Path | str,
    *,
    deep: bool = False,
    against: Path | str | None = None,
    jobs: int | None = None,
    listener: Listener = silent,
) -> CheckReport:
    """Return what is in a data set, what is wrong with it, and what it was compared with.

    Trees are compared with their manifest, or with the archives in `against`, or with the facts; archives with the
    official ones, or with what lies beside them: MD5SUMS or SHA256SUMS, and the devkit. No data is changed; an index
    is kept as by `index`.

    Parameters
    ----------
    path
        A tree with `train`, `val` or `test` in it, one split's folder, a folder of archives, or one archive.
    deep
        Read and decode every image, and compare digests.
    against
        The folder of the archives that a tree was unpacked from.
    jobs
        Processes; None for one per processor.
    listener
        Gets progress and notes.

    Raises
    ------
    UsageError
        If there is nothing to check at `path`, or `jobs` is less than 1.
    """
    refuse_jobs(jobs)
    path = Path(path).absolute()
    engine = process_engine(jobs or default_jobs()) if deep else None
    references = _references(against, listener)
    splits = split_folders(path)
    parts = [
        check_tree(folder, split, against=references.get(split), engine=engine, listener=listener)
        for split, folder in splits.items()
    ]
    parts += [_lost(path, split) for split in SPLIT_FOLDERS if split not in splits and _was_there(path, split)]
    archives = _archives(path, needed=not parts)
    parts += [check_archive(found, engine=engine, listener=listener) for found in archives]
    return CheckReport(printable(str(path)), deep, tuple(parts))


def _references(against: Path | str | None, listener: Listener) -> dict[str, Reference]:
    """Return what the archives in `against` say of each split."""
    if against is None:
        return {}
    return {found.split: archive_reference(found) for found in index(against, listener)}


def _was_there(root: Path, split: str) -> bool:
    """Whether a tree has the manifest of a split, or the beginning of one."""
    return os.path.lexists(paths.manifest(root, split)) or _is_unfinished(root, split)


def _is_unfinished(root: Path, split: str) -> bool:
    return os.path.lexists(paths.staging(root) / split)


def _lost(root: Path, split: str) -> PartReport:
    """Return the report of a split that is not there though `prepare` made it, or began to."""
    unfinished = "it is unfinished: run `prepare` again"
    why = unfinished if _is_unfinished(root, split) else "its manifest is there, its folder is not"
    issue = Issue(split, Code.MISSING_FILE, why)
    return PartReport(printable(str(root / split)), split, UNKNOWN, issues=(issue,))


def _archives(path: Path, *, needed: bool) -> list[Found]:
    """Return the archives at a path; none is no fault where there is a tree."""
    try:
        find_archives(path, ("train", "val", "test"))
    except UsageError as error:
        if not needed:
            return []
        hint = f"{error.hint}; a tree has folders train, val or test" if path.is_dir() else error.hint
        raise UsageError(f"nothing to check: {error.message}", hint=hint) from None
    return recognise(path)
