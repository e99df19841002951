"""The main job: official archives to verified class folders."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ilsvrc import facts
from ilsvrc.archive.expected import SUMS_FILES, expected
from ilsvrc.archive.find import expected_names, find_archives, look_alikes
from ilsvrc.archive.sidecar import open_index
from ilsvrc.archive.source import FileSource
from ilsvrc.errors import DamageError, IlsvrcError, MissingExtraError, UsageError, system_errors
from ilsvrc.events import Listener, Note, silent
from ilsvrc.fetch.part import unfinished
from ilsvrc.files import OWN_FOLDER, locked, read_own, remove_leftovers, write_text
from ilsvrc.labels.verify import read_val_labels
from ilsvrc.paths import given_path
from ilsvrc.prepare.decision import PrepareOptions, Room, SplitWork, State, refuse_full, refuse_twins
from ilsvrc.prepare.report import PrepareReport
from ilsvrc.readers.subset import select_classes
from ilsvrc.readers.units import Wanted
from ilsvrc.run.plan import Plan
from ilsvrc.tree.counts import count_issues, counts_of, expectation
from ilsvrc.tree.layout import TEMPLATES, Layout


@system_errors()
def prepare(  # noqa: PLR0913  -- a public verb: each is named where it is used
    src: Path | str,
    dst: Path | str,
    *,
    splits: Sequence[str] | None = None,
    layout: str = "wnid",
    classes: Sequence[str] | None = None,
    verify: str = "md5",
    source: str = "keep",
    jobs: int | None = None,
    restart: bool = False,
    repair: bool = False,
    val_labels: Path | str | None = None,
    trust_val_labels: bool = False,
    listener: Listener = silent,
) -> PrepareReport:
    """Turn the archives in `src` into class folders below `dst`: verified, whole, each split by one rename.

    Run again after any interruption, it resumes where it stopped. Nothing at `dst` but its own unfinished work is
    ever overwritten.

    Parameters
    ----------
    src
        The folder that holds the archives, or one archive.
    dst
        The folder that gets `train`, `val`, `classes.json`, lists of labels and `.ilsvrc`.
    splits
        Which of train, val and test; each must be there. None for those of train and val that are there.
    layout
        wnid, index, padded, flat, or a template.
    classes
        wnids, indices or words; None for all.
    verify
        Digest to prove: md5, sha256 or none.
    source
        keep the archives, or delete each once it is proved and the tree is compared with it byte for byte.
    jobs
        Processes; None for one per processor.
    restart
        Throw away an unfinished run that was made with other settings.
    repair
        Write images of a published split again that are missing or have another size.
    val_labels
        File with the labels of validation images, in any form; None for the packaged truth.
    trust_val_labels
        Use that file even where it disagrees with the truth.
    listener
        Gets progress and notes.

    Raises
    ------
    IlsvrcError
        DataError for archives that are not what they should be, UsageError for a call that makes no sense,
        MachineError for lack of space, of permission, or another run on the same target.
    """
    options = PrepareOptions(
        None if splits is None else tuple(splits),
        layout,
        None if classes is None else tuple(classes),
        verify,
        source,
        jobs,
        restart,
        repair,
        val_labels,
        trust_val_labels,
    )
    given, target = given_path(src, "SRC"), given_path(dst, "DST").absolute()
    wanted = _wanted(options)
    archives = _archives(given, options, listener)
    plans = [_plan(archive, wanted, options.splits, listener) for archive in archives]
    _refuse_target(target)
    with _claimed(target):
        works = [SplitWork(plan, target, options, listener) for plan in plans]
        _admit(works, target)
        report = PrepareReport(str(target), wanted.layout.name, tuple(work.do() for work in works))
        _save(report, target / OWN_FOLDER / "report.json")
        _warn_of_string_order(wanted.layout, listener)
        if options.source == "delete":
            _delete_archives(works, report, listener)
    return report


@contextlib.contextmanager
def _claimed(target: Path) -> Iterator[None]:
    """Hold the target's lock; a call that is refused before anything is written leaves nothing behind."""
    own = target / OWN_FOLDER
    new = [folder for folder in (own, target) if not folder.exists()]
    try:
        with locked(own / "lock", what=str(target), wait=False):
            remove_leftovers(target, own)
            yield
    except IlsvrcError:
        if new and not (own / "journal.jsonl").exists() and not (own / "staging").exists():
            with contextlib.suppress(OSError):
                (own / "lock").unlink()
                for folder in new:
                    folder.rmdir()
        raise


def _archives(src: Path, options: PrepareOptions, listener: Listener) -> list[Path]:
    """Return the archives to prepare: a split asked for by name must be there, of another one a warning is enough."""
    splits = options.splits or ("train", "val")
    _refuse_unfinished(src, splits)
    archives = find_archives(src, splits)
    if src.is_file():
        return archives
    found = [split for split in splits if any(path.name in expected_names(split) for path in archives)]
    absent = [split for split in splits if split not in found]
    if not absent:
        return archives
    names = " and ".join(expected_names(split)[0] for split in absent)
    others = look_alikes(src, archives)
    if options.splits:
        hint = f"there is {', '.join(others)}: give it by its path, or its official name" if others else ""
        hint = hint or f"fetch it (ilsvrc fetch {absent[0]} --to {src}), or leave out --split {absent[0]}"
        raise UsageError(f"{src} holds no {names}; nothing was written", hint=hint)
    seen = f"; there is {', '.join(others)}" if others else ""
    listener(Note(f"only {' and '.join(found)} is prepared: {src} holds no {names}{seen}", warning=True))
    return archives


def _refuse_unfinished(source: Path, splits: Sequence[str]) -> None:
    """Refuse a folder whose archive of one of these splits is still being fetched: its split would be left out."""
    for archive in unfinished(source) if source.is_dir() else []:
        spec = facts.official(archive.name)
        if spec and spec.split in splits:
            others = " ".join(f"--split {split}" for split in splits if split != spec.split)
            hint = "let `ilsvrc fetch` end first" + (f", or add {others} to prepare without it" if others else "")
            raise UsageError(f"{archive} is still being fetched", hint=hint)


def _refuse_target(target: Path) -> None:
    """Refuse a target that can't be a folder."""
    if os.path.lexists(target) and not target.is_dir():
        raise UsageError(f"{target} is not a folder", hint="give the folder that is to hold train and val")


def _save(report: PrepareReport, path: Path) -> None:
    """Write the report, with what an earlier one says of splits that this one does not speak of."""
    document = report.to_json()
    told = {split.split for split in report.splits}
    kept = [split for split in _reported(path) if split.get("split") not in told]
    write_text(path, json.dumps(document | {"splits": [*document["splits"], *kept]}, indent=2) + "\n")


def _reported(path: Path) -> list[dict[str, Any]]:
    """Return the splits of a report, none if it is not there or can't be read."""
    try:
        splits = json.loads(read_own(path))["splits"]
        return [split for split in splits if isinstance(split, dict)]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def _wanted(options: PrepareOptions) -> Wanted:
    """Return what the options say of images; labels of a file are compared with the truth first."""
    given = None
    if options.val_labels is not None:
        given = read_val_labels(options.val_labels, trust=options.trust_val_labels).tobytes()
    classes = select_classes(options.classes) if options.classes else None
    return Wanted(Layout.parse(options.layout), classes, given)


def _plan(archive: Path, wanted: Wanted, splits: Sequence[str] | None, listener: Listener) -> Plan:
    """Index an archive and refuse what should not be written."""
    source = FileSource(archive)
    for algorithm in SUMS_FILES:
        expected(source, algorithm)  # a list that contradicts name or size is refused before any work
    plan = Plan(source, open_index(source, listener), wanted)
    if splits and plan.split not in splits:
        detail = f"{archive} holds the {plan.split} split, not {' or '.join(splits)}"
        raise UsageError(detail, hint=f"add --split {plan.split}")
    if not plan.units:
        raise UsageError(f"{archive} holds no image of the classes asked for")
    refuse_twins(plan)
    _refuse_counts(plan, listener)
    return plan


def _refuse_counts(plan: Plan, listener: Listener) -> None:
    """Refuse an archive that lacks images: what it would make is no whole split."""
    try:
        wanted = expectation(plan.source, plan.index)
    except MissingExtraError as error:
        listener(Note(f"image counts per class were not compared with the devkit: {error.message}; {error.hint}"))
        return
    issues = count_issues(counts_of(plan.index.labels), wanted) if wanted else []
    if issues:
        hint = f"fetch the archive again; to prepare it as it is, move {facts.DEVKIT} away from it"
        raise DamageError(f"{plan.source.path} does not hold what it should; nothing was written", issues, hint=hint)


def _admit(works: Sequence[SplitWork], target: Path) -> None:
    """Refuse what can't end well, for all splits before the first is begun."""
    for work in works:
        work.admit()
    for work in works:
        work.clear_the_way()
    ahead = [(work.plan, work.done_units()) for work in works if work.state is not State.PUBLISHED]
    refuse_full(ahead, target, Room.of(target))


def _warn_of_string_order(layout: Layout, listener: Listener) -> None:
    """Warn of a layout whose folders sort otherwise as strings than as numbers."""
    if layout.template != TEMPLATES["index"]:
        return
    count = len(facts.classes())
    moved = sum(int(name) != place for place, name in enumerate(sorted(map(str, range(count)))))
    text = (
        "loaders that sort folder names as strings (torchvision's ImageFolder and its like) would give "
        f"{moved} of {count} classes a wrong label; for them, use --layout padded"
    )
    listener(Note(text, warning=True))


def _delete_archives(works: Sequence[SplitWork], report: PrepareReport, listener: Listener) -> None:
    if not report.ok:
        listener(Note("the archives are kept, since there is damage", warning=True))
        return
    for work in works:
        work.delete_archive()
