"""Say what is wrong with a data set: a prepared tree, another tool's tree, or a folder of archives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ilsvrc.archive.find import find_archives
from ilsvrc.archive.sidecar import index
from ilsvrc.check.archive import Depth, check_archive
from ilsvrc.check.report import CheckReport, PartReport
from ilsvrc.check.tree import (
    Reference,
    check_split,
    damaged_manifest,
    deep_issues,
    index_reference,
    manifest_reference,
)
from ilsvrc.errors import UsageError
from ilsvrc.events import Listener, silent
from ilsvrc.files import OWN_FOLDER
from ilsvrc.issues import Code, Issue
from ilsvrc.run.engine import default_jobs, process_engine, refuse_jobs
from ilsvrc.tree.recognise import UNKNOWN
from ilsvrc.tree.scan import SPLIT_FOLDERS, find_splits


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """How to check.

    deep : read and decode every image, and compare digests
    against : folder of the archives that a tree was unpacked from, where no manifest says what it should hold
    jobs : processes; None for one a processor
    """

    deep: bool = False
    against: Path | str | None = None
    jobs: int | None = None

    def __post_init__(self) -> None:
        refuse_jobs(self.jobs)


def check(path: Path | str, options: CheckOptions | None = None, listener: Listener = silent) -> CheckReport:
    """Return what is in a data set and what is wrong with it.

    Trees are compared with their manifest, or with the archives in `options.against`, or with the facts; archives
    with the official ones, or with the devkit beside them. No data is changed; an index is kept as by `index`.

    Parameters
    ----------
    path
        A tree with `train` or `val` in it, one split's folder, a folder of archives, or one archive.
    options
        How deep, against what.
    listener
        Gets progress and notes.

    Raises
    ------
    UsageError
        If there is nothing to check at `path`.
    """
    options, path = options or CheckOptions(), Path(path).absolute()
    depth = Depth(process_engine(options.jobs or default_jobs()) if options.deep else None, listener)
    references = _references(options, listener)
    splits = find_splits(path)
    parts = [_check_tree(folder, split, references.get(split), depth) for split, folder in splits.items()]
    parts += [_lost(path, split) for split in SPLIT_FOLDERS if split not in splits and _was_there(path, split)]
    parts += [check_archive(archive, depth) for archive in _archives(path, needed=not parts)]
    return CheckReport(str(path), options.deep, tuple(parts))


def _check_tree(folder: Path, split: str, reference: Reference | None, depth: Depth) -> PartReport:
    recorded = manifest_reference(folder)
    reference = reference or recorded
    tree, report = check_split(folder, split, reference, depth.listener)
    found = [] if recorded else damaged_manifest(folder)
    if depth.engine:
        found += deep_issues(tree, reference, depth.engine, depth.listener)
    return replace(report, issues=(*report.issues, *found))


def _was_there(path: Path, split: str) -> bool:
    """Whether a tree has the manifest of a split, or the beginning of one."""
    own = path / OWN_FOLDER
    return (own / f"{split}.arrow").exists() or (own / "staging" / split).exists()


def _lost(path: Path, split: str) -> PartReport:
    """Return the report of a split that is not there though `prepare` made it, or began to."""
    staged = (path / OWN_FOLDER / "staging" / split).exists()
    why = "it is unfinished: run `prepare` again" if staged else "its manifest is there, its folder is not"
    issue = Issue(split, Code.MISSING_FILE, why)
    return PartReport(str(path / split), split, UNKNOWN, 0, 0, 0, None, "", None, (issue,))


def _references(options: CheckOptions, listener: Listener) -> dict[str, Reference]:
    """Return what the archives in `against` say of each split."""
    if options.against is None:
        return {}
    return {found.split: index_reference(found) for found in index(options.against, listener)}


def _archives(path: Path, *, needed: bool) -> list[Path]:
    """Return the archives at a path; none is no fault where there is a tree."""
    try:
        return find_archives(path, ("train", "val", "test"))
    except UsageError as error:
        if not needed:
            return []
        hint = f"{error.hint}; a tree has folders train or val" if path.is_dir() else error.hint
        raise UsageError(f"nothing to check: {error.message}", hint=hint) from None
