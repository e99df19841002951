"""The main job: official archives to verified class folders."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ilsvrc import facts
from ilsvrc.archive.find import expected_names, look_alikes
from ilsvrc.archive.names import NO_LABEL
from ilsvrc.errors import DamageError, IlsvrcError, MissingExtraError, UsageError, system_errors
from ilsvrc.events import Listener, Note, silent
from ilsvrc.facts.names import val_number
from ilsvrc.files import locked, printable, read_own, remove_leftovers, write_text
from ilsvrc.labels.verify import read_val_labels
from ilsvrc.paths import given_path
from ilsvrc.prepare.carryout import carry_out, delete_source, make_way
from ilsvrc.prepare.decision import Decision, Destination, decide
from ilsvrc.prepare.options import Options
from ilsvrc.prepare.report import Estimate, PrepareReport, SplitReport
from ilsvrc.prepare.room import Need, Room, hashing_rate, refuse_full, writing_rate
from ilsvrc.readers.locate import find_splits, nothing_found, refuse_downloading
from ilsvrc.readers.reader import Found, Reader
from ilsvrc.readers.subset import SubsetReader, relabelled, select_classes
from ilsvrc.run.engine import Engine, PoolEngine, default_jobs, process_engine, refuse_rerun_script
from ilsvrc.run.plan import Plan
from ilsvrc.tree import paths
from ilsvrc.tree.counts import NEEDS_SCIPY, count_issues, counts_of, expectation
from ilsvrc.tree.layout import TEMPLATES, Layout, refuse_collisions


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
    dry_run: bool = False,
    engine: Engine | Executor | None = None,
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
    dry_run
        Decide what would be done, with room and time, and do nothing.
    engine
        Does the work in place of `jobs` processes: any `concurrent.futures.Executor`, which stays its owner's.
    listener
        Gets progress and notes.

    Raises
    ------
    IlsvrcError
        DataError for archives that are not what they should be, UsageError for a call that makes no sense,
        MachineError for lack of space, of permission, or another run on the same target.
    """
    options = Options(
        splits=None if splits is None else tuple(splits),
        layout=layout,
        classes=None if classes is None else tuple(classes),
        verify=verify,
        source=source,
        jobs=jobs,
        restart=restart,
        repair=repair,
        val_labels=val_labels,
        trust_val_labels=trust_val_labels,
    )
    given, target = given_path(src, "SRC"), given_path(dst, "DST").absolute()
    workers = _engine(engine, jobs)
    plans = _plans(given, options, listener)
    _refuse_target(target)
    to = Destination.of(target, durable=not workers.local)
    if dry_run:
        decisions = [decide(plan, to, options) for plan in plans]
        estimate = _estimate(decisions, target, options)
        return _report(target, options, decisions, dry_run=True, estimate=estimate)
    with _claimed(target):
        decisions = [decide(plan, to, options) for plan in plans]
        for decision in decisions:
            make_way(decision, to.journal, listener)
        refuse_full(_need(decisions), target, Room.of(target))
        done = tuple(carry_out(decision, to.journal, workers, listener) for decision in decisions)
        report = _report(target, options, decisions, done)
        _save(report, paths.report(target))
        _warn_of_string_order(Layout.parse(layout), listener)
        if source == "delete":
            _delete_sources(decisions, report, workers, listener)
    return report


def _engine(given: Engine | Executor | None, jobs: int | None) -> Engine:
    """Return the engine that does the work."""
    refuse_rerun_script()
    if given is None:
        return process_engine(jobs or default_jobs())
    return PoolEngine(given, jobs) if isinstance(given, Executor) else given


def _report(  # noqa: PLR0913  -- the parts of a report
    target: Path,
    options: Options,
    decisions: Sequence[Decision],
    splits: tuple[SplitReport, ...] = (),
    *,
    dry_run: bool = False,
    estimate: Estimate | None = None,
) -> PrepareReport:
    decided = tuple(decision.to_dict() for decision in decisions)
    layout = Layout.parse(options.layout).name
    return PrepareReport(printable(str(target)), layout, splits, decided, dry_run, estimate)


def _need(decisions: Sequence[Decision]) -> Need:
    return sum((decision.need for decision in decisions), Need())


def _estimate(decisions: Sequence[Decision], target: Path, options: Options) -> Estimate:
    """Return the room and the time that decisions need; the time by a second of hashing and one of writing."""
    need, room = _need(decisions), Room.of(target)
    seconds: float | None = 0.0
    for decision in decisions:
        found = _seconds(decision, target, options.jobs or default_jobs())
        seconds = None if seconds is None or found is None else seconds + found
    return Estimate(need.bytes, need.inodes, room.bytes, room.inodes, seconds)


def _seconds(decision: Decision, target: Path, jobs: int) -> float | None:
    """Return the seconds that a decision takes: hashing and writing go on side by side."""
    hashing = sum(
        claim.source.size / hashing_rate(claim.source, claim.expected.digest.algorithm)
        for claim in decision.claims[:1]
    )
    hashing *= len(decision.claims) or 1
    if not decision.units:
        return 0.0
    rate = writing_rate(decision.plan, target)
    return None if rate is None else max(hashing, decision.bytes / (rate * jobs))


@contextlib.contextmanager
def _claimed(target: Path) -> Iterator[None]:
    """Hold the target's lock; a call that is refused before anything is written leaves nothing behind."""
    own = paths.own(target)
    new = [folder for folder in (own, target) if not folder.exists()]
    try:
        with locked(paths.lock(target), what=str(target), wait=False):
            remove_leftovers(target, own)
            yield
    except IlsvrcError:
        if new and not paths.journal(target).exists() and not paths.staging(target).exists():
            with contextlib.suppress(OSError):
                paths.lock(target).unlink()
                for folder in new:
                    folder.rmdir()
        raise


def _plans(src: Path, options: Options, listener: Listener) -> list[Plan]:
    """Return a plan for each split to prepare, once its source is indexed and nothing speaks against it."""
    layout, labels = Layout.parse(options.layout), _val_labels(options)
    classes = select_classes(options.classes) if options.classes else None
    plans = []
    for found in _sources(src, options, listener):
        reader = _opened(found, options, listener)
        if options.splits and reader.split not in options.splits:
            detail = f"{reader.path} holds the {reader.split} split, not {' or '.join(options.splits)}"
            raise UsageError(detail, hint=f"add --split {reader.split}")
        reader.containers()  # a list that contradicts the name or size of a file is refused before any work
        _refuse_counts(reader, listener)
        plans.append(_plan(reader, layout, classes, labels))
    return plans


def _opened(found: Found, options: Options, listener: Listener) -> Reader:
    """Open a split; images in files of their own are compared with their recorded digests as they are read."""
    reader = found.open(listener=listener)
    recorded = not reader.containers() and reader.digest(0) is not None
    return found.open(verify=True, listener=listener) if recorded and options.verify != "none" else reader


def _plan(
    reader: Reader, layout: Layout, classes: frozenset[int] | None, val_labels: npt.NDArray[np.int16] | None
) -> Plan:
    """Return the plan of one split."""
    given = val_labels if reader.split == "val" else None
    chosen = {
        "classes": None if classes is None else sorted(classes),
        "val_labels": None if given is None else hashlib.sha256(given.tobytes()).hexdigest(),
    }
    images = reader if given is None else relabelled(reader, _labels_by_number(reader, given))
    rows = None if classes is None else np.flatnonzero(np.isin(images.labels, sorted(classes)))
    if rows is not None and not len(rows):
        raise UsageError(f"{reader.path} holds no image of the classes asked for")
    plan = Plan(images if rows is None else SubsetReader(images, rows), layout, chosen)
    refuse_collisions(layout, (path for path, _ in plan.images()))
    return plan


def _labels_by_number(reader: Reader, given: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    """Return the label of every row of the val split, -1 where the list is too short.

    Parameters
    ----------
    reader
        The val split.
    given
        The label of image n at position n - 1, shape (M,), int16.
    """
    numbers = np.array([val_number(name) for name in reader.names.to_pylist()], np.int64)
    listed = numbers <= len(given)
    return np.where(listed, given[np.where(listed, numbers, 1) - 1], np.int16(NO_LABEL))


def _sources(src: Path, options: Options, listener: Listener) -> list[Found]:
    """Return the splits to prepare: one asked for by name must be there, of another one a warning is enough."""
    splits = options.splits or ("train", "val")
    _refuse_unfinished(src, splits)
    there = find_splits(src)
    if not there:
        raise nothing_found(src, splits)
    found = [there[split] for split in splits if split in there]
    if src.is_file():
        return list(there.values())
    absent = [split for split in splits if split not in there]
    if not found:
        hint = f"add --split {next(iter(there))}"
        raise UsageError(f"{src} holds no {' or '.join(splits)}, only {' and '.join(there)}", hint=hint)
    if not absent:
        return found
    names = " and ".join(expected_names(split)[0] for split in absent)
    others = look_alikes(src, [one.path for one in found])
    if options.splits:
        hint = f"there is {', '.join(others)}: give it by its path, or its official name" if others else ""
        hint = hint or f"fetch it (ilsvrc fetch {absent[0]} --to {src}), or leave out --split {absent[0]}"
        raise UsageError(f"{src} holds no {names}; nothing was written", hint=hint)
    seen = f"; there is {', '.join(others)}" if others else ""
    prepared = " and ".join(one.split for one in found)
    listener(Note(f"only {prepared} is prepared: {src} holds no {names}{seen}", warning=True))
    return found


def _refuse_unfinished(source: Path, splits: Sequence[str]) -> None:
    """Refuse a folder whose archive of one of these splits is still being fetched: its split would be left out."""
    others = {split: " ".join(f"--split {other}" for other in splits if other != split) for split in splits}
    for split in splits:
        otherwise = f"; or add {others[split]} to prepare without it" if others[split] else ""
        refuse_downloading(source, (split,), otherwise=otherwise)


def _refuse_target(target: Path) -> None:
    """Refuse a target that can't be a folder."""
    if os.path.lexists(target) and not target.is_dir():
        raise UsageError(f"{target} is not a folder", hint="give the folder that is to hold train and val")


def _save(report: PrepareReport, path: Path) -> None:
    """Write the report, with what an earlier one says of splits that this one does not speak of."""
    document = report.to_dict()
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


def _val_labels(options: Options) -> npt.NDArray[np.int16] | None:
    """Return the labels of the user's file, compared with the truth first; None without a file."""
    if options.val_labels is None:
        return None
    return read_val_labels(options.val_labels, trust=options.trust_val_labels)


def _refuse_counts(reader: Reader, listener: Listener) -> None:
    """Refuse an archive that lacks images: a split made of it would lack them too."""
    for container in reader.containers()[:1]:
        try:
            wanted = expectation(container.path, container.size, reader.split, reader.labels)
        except MissingExtraError:
            listener(Note(f"image counts per class were not compared with the devkit: {NEEDS_SCIPY}"))
            return
        issues = count_issues(counts_of(reader.labels), wanted) if wanted else []
        if issues:
            hint = f"fetch the archive again; to prepare it as it is, move {facts.DEVKIT} away from it"
            raise DamageError(f"{reader.path} does not hold what it should; nothing was written", issues, hint=hint)


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


def _delete_sources(decisions: Sequence[Decision], report: PrepareReport, engine: Engine, listener: Listener) -> None:
    if not report.ok:
        listener(Note("the archives are kept, since there is damage", warning=True))
        return
    for decision in decisions:
        delete_source(decision, engine, listener)
