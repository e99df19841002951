"""Say what is wrong with a data set: a prepared tree, another tool's tree, or a folder of archives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ilsvrc.archive.folder import find_archives
from ilsvrc.archive.open import index
from ilsvrc.dataset.tree import find_splits
from ilsvrc.errors import UsageError
from ilsvrc.events import Listener, silent
from ilsvrc.pipeline.checkarchive import Depth, check_archive
from ilsvrc.pipeline.checkreport import CheckReport, PartReport
from ilsvrc.pipeline.checktree import check_split
from ilsvrc.pipeline.deep import deep_issues
from ilsvrc.pipeline.engine import default_jobs, process_engine
from ilsvrc.pipeline.reference import Reference, index_reference, manifest_reference


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


def check(path: Path | str, options: CheckOptions | None = None, listener: Listener = silent) -> CheckReport:
    """Return what is in a data set and what is wrong with it.

    Trees are compared with their manifest, or with the archives in `options.against`, or with the facts; archives
    with the official ones, or with the devkit beside them. Nothing is changed.

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
    parts += [check_archive(archive, depth) for archive in _archives(path, needed=not splits)]
    return CheckReport(str(path), options.deep, tuple(parts))


def _check_tree(folder: Path, split: str, reference: Reference | None, depth: Depth) -> PartReport:
    reference = reference or manifest_reference(folder)
    tree, report = check_split(folder, split, reference, depth.listener)
    if not depth.engine:
        return report
    found = deep_issues(tree, reference, depth.engine, depth.listener)
    return replace(report, issues=(*report.issues, *found))


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
