"""The main job: official archives to verified class folders."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ilsvrc import facts
from ilsvrc.archive.expected import SUMS_FILES, expected
from ilsvrc.archive.find import find_archives
from ilsvrc.archive.sidecar import open_index
from ilsvrc.archive.source import FileSource
from ilsvrc.errors import DamageError, MissingExtraError, UsageError
from ilsvrc.events import Listener, Note, silent
from ilsvrc.fetch.part import unfinished
from ilsvrc.files import OWN_FOLDER, locked, remove_leftovers, write_text
from ilsvrc.labels.verify import read_val_labels
from ilsvrc.prepare.decision import PrepareOptions, Room, SplitWork, State, refuse_full, refuse_twins
from ilsvrc.prepare.report import PrepareReport
from ilsvrc.readers.subset import select_classes
from ilsvrc.readers.units import Wanted
from ilsvrc.run.plan import Plan
from ilsvrc.tree.counts import count_issues, counts_of, expectation
from ilsvrc.tree.layout import TEMPLATES, Layout


def prepare(
    source: Path | str, target: Path | str, options: PrepareOptions | None = None, listener: Listener = silent
) -> PrepareReport:
    """Turn the archives in `source` into class folders below `target`: verified, whole, each split by one rename.

    Run again after any interruption, it goes on where it stopped. Nothing at `target` but its own unfinished work is
    ever overwritten.

    Parameters
    ----------
    source
        The folder that holds the archives, or one archive.
    target
        The folder that gets `train`, `val`, `classes.json`, lists of labels and `.ilsvrc`.
    options
        Layout, classes, verification and so on.
    listener
        Gets progress and notes.

    Raises
    ------
    IlsvrcError
        DataError for archives that are not what they should be, UsageError for a call that makes no sense,
        MachineError for lack of space, of permission, or another run on the same target.
    """
    options, target = options or PrepareOptions(), Path(target).absolute()
    wanted = _wanted(options)
    _refuse_unfinished(Path(source), options.splits)
    archives = find_archives(Path(source), options.splits)
    plans = [_plan(archive, wanted, options.splits, listener) for archive in archives]
    _refuse_target(target)
    target.mkdir(parents=True, exist_ok=True)
    with locked(target / OWN_FOLDER / "lock", what=str(target), wait=False):
        remove_leftovers(target, target / OWN_FOLDER)
        works = [SplitWork(plan, target, options, listener) for plan in plans]
        _admit(works, target)
        report = PrepareReport(str(target), wanted.layout.name, tuple(work.do() for work in works))
        _save(report, target / OWN_FOLDER / "report.json")
        _warn_of_string_order(wanted.layout, listener)
        if options.source == "delete":
            _delete_archives(works, report, listener)
    return report


def _refuse_unfinished(source: Path, splits: Sequence[str]) -> None:
    """Refuse a folder whose archive of one of these splits is still being fetched: its split would be left out."""
    for archive in unfinished(source) if source.is_dir() else []:
        spec = facts.official(archive.name)
        if spec and spec.split in splits:
            others = " ".join(f"--split {split}" for split in splits if split != spec.split)
            hint = "let `ilsvrc fetch` end first" + (f", or add {others} to go on without it" if others else "")
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
        return list(json.loads(path.read_text(encoding="utf-8"))["splits"])
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _wanted(options: PrepareOptions) -> Wanted:
    """Return what the options say of images; labels of a file are compared with the truth first."""
    given = None
    if options.val_labels is not None:
        given = read_val_labels(options.val_labels, trust=options.trust_val_labels).tobytes()
    classes = select_classes(options.classes) if options.classes else None
    return Wanted(Layout.parse(options.layout), classes, given)


def _plan(archive: Path, wanted: Wanted, splits: Sequence[str], listener: Listener) -> Plan:
    """Index an archive and refuse what should not be written."""
    source = FileSource(archive)
    for algorithm in SUMS_FILES:
        expected(source, algorithm)  # a list that contradicts name or size is refused before any work
    plan = Plan(source, open_index(source, listener), wanted)
    if plan.split not in splits:
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
        listener(Note(f"images a class are not compared with the devkit: {error.message}; {error.hint}"))
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
