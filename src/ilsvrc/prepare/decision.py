"""One split on its way from an archive to a tree."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import cached_property
from pathlib import Path

import numpy as np

from ilsvrc.archive.expected import SUMS_FILES, Expected, expected
from ilsvrc.archive.sidecar import Verified, recorded
from ilsvrc.errors import ArchiveError, DamageError, MachineError, UsageError
from ilsvrc.events import Listener, Note
from ilsvrc.files import OWN_FOLDER, make_own_folder, printable, refuse_foreign_folder, sync_filesystem
from ilsvrc.issues import Code, Issue
from ilsvrc.prepare.report import SplitReport, published_report, split_report
from ilsvrc.readers.units import Unit
from ilsvrc.run.engine import default_jobs, process_engine, refuse_jobs
from ilsvrc.run.journal import Journal
from ilsvrc.run.loop import Machinery, run, work
from ilsvrc.run.plan import Plan
from ilsvrc.run.proof import HashingProof, NoProof, Proof
from ilsvrc.sinks.comparing import ComparingSink
from ilsvrc.sinks.folder import FolderSink, class_index_json
from ilsvrc.tree.layout import refuse_collisions
from ilsvrc.tree.manifest import differences, metadata_of, read_manifest
from ilsvrc.tree.scan import lacking

VERIFY = ("md5", "sha256", "none")
SOURCE = ("keep", "delete")
MOST_LISTED = 20
"""Images that an error lists; it says how many there are."""

_DIFFERENT = (Code.MISSING_IMAGE, Code.CHANGED_IMAGE)


@dataclass(frozen=True, slots=True)
class PrepareOptions:
    """How to prepare.

    splits : which of train, val and test: every one named must be there; None for train and val, where they are there
    layout : wnid, index, padded, flat, or a template
    classes : wnids, indices or words; None for all
    verify : md5, sha256 or none
    source : keep the archives, or delete each once its split is durable and checked
    jobs : processes; None for one a processor
    restart : throw away an unfinished run that was made with other settings
    repair : write images of a published split again that are missing or have another size
    val_labels : file with the labels of validation images, in any form; None for the packaged truth
    trust_val_labels : take that file at its word where it disagrees with the truth
    """

    splits: tuple[str, ...] | None = None
    layout: str = "wnid"
    classes: tuple[str, ...] | None = None
    verify: str = "md5"
    source: str = "keep"
    jobs: int | None = None
    restart: bool = False
    repair: bool = False
    val_labels: Path | str | None = None
    trust_val_labels: bool = False

    def __post_init__(self) -> None:
        for name, allowed in (("verify", VERIFY), ("source", SOURCE)):
            if getattr(self, name) not in allowed:
                raise UsageError(f"{name} can't be {getattr(self, name)!r}", hint=f"use one of {', '.join(allowed)}")
        if self.splits is not None:
            object.__setattr__(self, "splits", tuple(dict.fromkeys(self.splits)))
            if not set(self.splits) <= {"train", "val", "test"} or not self.splits:
                raise UsageError(f"there is no split {', '.join(self.splits)!r}", hint="use train, val or test")
        refuse_jobs(self.jobs)
        if self.source == "delete" and (self.verify == "none" or self.classes):
            hint = "archives are deleted only after all of them was verified and unpacked: leave out the other option"
            raise UsageError("source='delete' does not go with verify='none' or with some classes only", hint=hint)


OVERHEAD = 300
"""Bytes for an image in manifests and lists, with room."""


@dataclass(frozen=True, slots=True)
class Room:
    """Space on a file system.

    bytes : free for this user
    inodes : free for this user, or None where the file system does not count them
    block : bytes of its smallest piece
    """

    bytes: int
    inodes: int | None
    block: int

    @classmethod
    def of(cls, folder: Path) -> Room:
        """Return the room on the file system of a folder, or of its nearest parent that exists."""
        while not folder.exists():
            folder = folder.parent
        found = os.statvfs(folder)
        return cls(found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None, found.f_frsize)


def needed(plan: Plan, done: Iterable[str], block: int) -> tuple[int, int]:
    """Return the bytes and inodes that the units of a plan not yet done will take, in whole blocks."""
    skip = set(done)
    ranges = [plan.catalog.rows[unit.start : unit.stop] for unit in plan.units if unit.id not in skip]
    rows = np.concatenate(ranges) if ranges else np.empty(0, np.int64)
    sizes = plan.index.sizes[rows]
    folders = len({ref.key.rpartition("/")[0] for ref in plan.catalog.refs()})
    return int((-(-sizes // block) * block).sum()) + OVERHEAD * len(sizes), len(sizes) + folders + len(plan.units)


def refuse_full(plans: Sequence[tuple[Plan, set[str]]], target: Path, room: Room) -> None:
    """Refuse to begin what the target's file system has no room for.

    Raises
    ------
    MachineError
        Saying what is needed and what there is.
    """
    needs = [needed(plan, done, room.block) for plan, done in plans]
    size, inodes = sum(n[0] for n in needs), sum(n[1] for n in needs)
    if size > room.bytes:
        detail = f"{target} needs {size:,} bytes and its file system has {room.bytes:,} free"
        raise MachineError(detail, hint="free some space, or choose another folder; nothing was written")
    if room.inodes is not None and inodes > room.inodes:
        detail = f"{target} needs {inodes:,} inodes (files and folders) and its file system has {room.inodes:,} free"
        raise MachineError(detail, hint="choose a file system with more inodes; nothing was written")


def refuse_twins(plan: Plan) -> None:
    """Refuse a layout under which two images of a plan would get one path."""
    refuse_collisions(plan.wanted.layout, (ref.key for ref in plan.catalog.refs()))


class State(Enum):
    """Where a split stands."""

    FRESH = auto()
    """Nothing is there."""
    UNFINISHED = auto()
    """An interrupted run of this very plan: go on."""
    STALE = auto()
    """An interrupted run with these settings, from an archive that has changed since: its work can't be trusted."""
    OTHER = auto()
    """An interrupted run with other settings."""
    HALF_PUBLISHED = auto()
    """The folder has its name, and was staged by this plan; its lists or its manifest are still to be published."""
    PUBLISHED = auto()
    """The split is there, and its manifest says that it was made from this archive with these settings."""
    OCCUPIED = auto()
    """Something else has the split's name."""
    OCCUPIED_LIST = auto()
    """Something else has the name of a list that goes beside the split."""


def provenance(plan: Plan) -> tuple[tuple[str, str], ...]:
    """Return what the manifest of a split says of its making, by which a later run knows it again."""
    return (
        ("archive", printable(plan.source.path.name)),
        ("index", plan.index.identity),
        ("settings", json.dumps(plan.settings, sort_keys=True)),
    )


def state_of(plan: Plan, sink: FolderSink, journal: Journal) -> State:
    """Return where the split of a plan stands in a target."""
    if os.path.lexists(sink.root / plan.split):
        if _made_by(plan, sink):
            return State.PUBLISHED
        return State.HALF_PUBLISHED if _was_staged(plan, sink) else State.OCCUPIED
    for folder in (sink.staging, sink.staging / plan.split):
        refuse_foreign_folder(folder)
    begun = journal.plans(plan.split)
    if not begun or not (sink.staging / plan.split).exists():
        return State.FRESH if _lists_are_ours(plan, sink) else State.OCCUPIED_LIST
    if begun[-1].get("plan") == plan.digest:
        return State.UNFINISHED
    same_settings = all(begun[-1].get(key) == value for key, value in plan.settings.items())
    return State.STALE if same_settings else State.OTHER


def refuse_state(state: State, plan: Plan, sink: FolderSink) -> None:
    """Refuse to touch what this plan has no business with.

    Raises
    ------
    UsageError
        Saying what is there and what to do.
    """
    if state is State.OCCUPIED:
        detail = f"{sink.root / plan.split} already exists and was not prepared from this archive in this layout"
        raise UsageError(detail, hint="choose another folder, or move it away; nothing was changed")
    if state is State.OCCUPIED_LIST:
        detail = f"{sink.root} has a {sink.labels.name} or {sink.classes.name} that ilsvrc did not write"
        raise UsageError(detail, hint="choose another folder, or move it away; nothing was changed")
    if state is State.OTHER:
        detail = f"{sink.root} holds an unfinished {plan.split} with other settings"
        hint = "run it again with the settings it was begun with, or add --restart to throw its work away"
        raise UsageError(detail, hint=hint)


def _made_by(plan: Plan, sink: FolderSink) -> bool:
    """Whether the split's manifest says that it was made by this plan, whatever was proved of the archive then."""
    try:
        return dict(provenance(plan)).items() <= metadata_of(read_manifest(sink.manifest)).items()
    except (OSError, ValueError):
        return False


def _was_staged(plan: Plan, sink: FolderSink) -> bool:
    """Whether the folder that has the split's name is the one that an interrupted run of this plan staged."""
    table = sink.interrupted_publishing()
    if table is None or (sink.staging / plan.split).exists() or differences(table, plan.images()):
        return False
    return not lacking(sink.root, plan.images())


def _lists_are_ours(plan: Plan, sink: FolderSink) -> bool:
    """Whether the lists beside the split are not there, or an interrupted run of this plan wrote them."""
    classes = sink.classes
    if os.path.lexists(classes) and not (classes.is_file() and classes.read_bytes() == class_index_json().encode()):
        return False
    return not os.path.lexists(sink.labels) or _made_by(plan, sink)


@dataclass(frozen=True)
class SplitWork:
    """A plan, the tree it is for, and the user's choices.

    plan : what to write
    target : the tree's folder
    options : the user's choices
    listener : gets progress and notes
    """

    plan: Plan
    target: Path
    options: PrepareOptions
    listener: Listener

    @cached_property
    def sink(self) -> FolderSink:
        """What writes the tree."""
        return FolderSink(self.target, self.plan.split, provenance(self.plan))

    @cached_property
    def journal(self) -> Journal:
        """What remembers finished units."""
        return Journal(self.target / OWN_FOLDER / "journal.jsonl")

    @cached_property
    def state(self) -> State:
        """Where the split stood when this run began."""
        return state_of(self.plan, self.sink, self.journal)

    @cached_property
    def proved_before(self) -> Verified | None:
        """What was proved of the archive before, by the algorithm asked for."""
        proved = recorded(self.plan.source.path) if self.options.verify != "none" else None
        return proved if proved and proved.digest.startswith(f"{self.options.verify}:") else None

    @cached_property
    def expected(self) -> Expected | None:
        """The digest to prove, or None where it is proved already or must not be."""
        if self.options.verify == "none" or self.proved_before:
            return None
        return self._digest_to_prove()

    def admit(self) -> None:
        """Refuse what can't be done, before anything is written.

        Raises
        ------
        IlsvrcError
            If the target holds something else, the archive has no digest to prove, or must not be deleted.
        """
        state = self.state
        if state is not State.OTHER or not self.options.restart:
            refuse_state(state, self.plan, self.sink)
        if self.options.source == "delete":
            self._refuse_to_delete()
        if self.gone and not self.options.repair:
            raise self._gutted()
        if state is not State.PUBLISHED or self.gone:
            _ = self.expected

    @cached_property
    def gone(self) -> list[Issue]:
        """The images of a published split that are missing or have another size; one look at each."""
        return lacking(self.target, self.plan.images()) if self.state is State.PUBLISHED else []

    def _gutted(self) -> DamageError:
        kept = f"; {self.plan.source.path} is kept" if self.options.source == "delete" else ""
        detail = (
            f"{self.target / self.plan.split} was complete once; now {len(self.gone):,} of "
            f"{self.plan.catalog.images:,} images are missing or have another size{kept}"
        )
        hint = "add --repair to write them again from the archive"
        return DamageError(detail, self.gone[:MOST_LISTED], hint=hint)

    def clear_the_way(self) -> None:
        """Throw away the work of an interrupted run that can't be gone on with, or is not to be."""
        if self.state is State.PUBLISHED:
            self.sink.clear()
        elif self.state is State.HALF_PUBLISHED:
            return
        elif self.state in (State.STALE, State.OTHER) or (self.state is State.UNFINISHED and self.options.restart):
            self.listener(
                Note(f"{self.plan.split}: starting over; what an earlier run had done is removed", warning=True)
            )
            self._start_over()

    def done_units(self) -> set[str]:
        """Return the units that need no space any more."""
        if self.state is State.HALF_PUBLISHED:
            return {unit.id for unit in self.plan.units}
        if self.state is State.PUBLISHED:
            return {unit.id for unit in self.plan.units} - {unit.id for unit in self._units_to_mend()}
        going_on = self.state is State.UNFINISHED and not self.options.restart
        return self.journal.done_units(self.plan.digest) if going_on else set()

    def do(self) -> SplitReport:
        """Bring the split to the tree, or find it there; return its report."""
        if self.state is State.HALF_PUBLISHED:
            table = self.sink.interrupted_publishing()
            assert table is not None
            self.sink.resume_publishing(table)
            return self._find()
        if self.state is State.PUBLISHED:
            if self.gone:
                self._mend()
            return self._find()
        if self.state is State.FRESH:
            self._start_over()
        begun = time.monotonic()
        try:
            result = run(self.plan, self.sink, self._machinery())
        except ArchiveError as error:
            if error.code in (Code.WRONG_DIGEST, Code.WRONG_FILE):
                self._start_over()  # what was written came from bytes that are not to be trusted
            raise
        return split_report(self.plan, result, time.monotonic() - begun)

    def _find(self) -> SplitReport:
        """Return the report of a split that is there already."""
        manifest = read_manifest(self.sink.manifest)
        self.sink.restore_lists(manifest)
        self.sink.clear()
        report = published_report(self.plan, manifest, self.journal.issues(self.plan.split))
        unproved = "" if report.digest else "; it was made without proof of the archive's digest"
        compared = f"{report.images:,} names and sizes compared with {self.plan.source.path.name}"
        text = f"{self.plan.split}: complete already, {compared}{unproved}"
        self.listener(Note(text, warning=bool(unproved)))
        return report

    def _units_to_mend(self) -> list[Unit]:
        """Return the units of which images are gone."""
        gone = {issue.key for issue in self.gone}
        keys = [ref.key in gone for ref in self.plan.catalog.refs()] if gone else []
        return [unit for unit in self.plan.units if any(keys[unit.start : unit.stop])]

    def _mend(self) -> None:
        """Write the images that are gone again, from the archive, proved as for a first run."""
        self.sink.refuse_to_mend(self.gone)
        machinery = replace(self._machinery(), journal=None)
        result = work(self.plan, self._units_to_mend(), self.sink, machinery)
        self.sink.mend(result.receipts, self.gone, read_manifest(self.sink.manifest))
        text = f"{self.plan.split}: {len(self.gone):,} images were missing or changed, and are written again"
        self.listener(Note(text))

    def delete_archive(self) -> None:
        """Remove the archive, once it is proved now and every image of the tree is the one in it, byte for byte.

        No record is believed: the archive is hashed again in the same read that compares it with the tree.

        Raises
        ------
        DamageError
            If an image of the tree is another one than in the archive; the archive is kept then.
        ArchiveError
            If the archive has not the digest that it should have; it is kept too.
        """
        path, algorithm = self.plan.source.path, self.options.verify
        proof = HashingProof(self.plan.source, self._digest_to_prove(), self.listener)
        machinery = replace(self._machinery(), journal=None, proof=proof, stage=f"compare {self.plan.split}")
        result = run(self.plan, ComparingSink(self.target), machinery)
        wrong = [issue for receipt in result.receipts for issue in receipt.issues if issue.code in _DIFFERENT]
        if wrong:
            detail = f"{path} is kept: {len(wrong):,} images of the tree are not those in it"
            hint = f"see `ilsvrc check --deep {self.target}`; prepare it again into another folder"
            raise DamageError(detail, wrong[:MOST_LISTED], hint=hint)
        sync_filesystem(self.target)
        sync_filesystem(self.target / self.plan.split)
        self.plan.source.refuse_replaced()
        path.unlink()
        compared = f"its {algorithm} is right, and every image in {self.target / self.plan.split} is the one in it"
        self.listener(Note(f"deleted {path}: {compared}"))

    def _digest_to_prove(self) -> Expected:
        """Return the digest that the archive must have.

        Raises
        ------
        ArchiveError
            If nobody says which.
        """
        found = expected(self.plan.source, self.options.verify)
        if found is None:
            path, sums = self.plan.source.path, SUMS_FILES[self.options.verify]
            detail = (
                f"not the official archive, and no {sums} beside it says what its {self.options.verify} should be"
            )
            hint = f"put {sums} beside it (`{self.options.verify}sum {path.name} > {sums}`), or use --verify none"
            raise ArchiveError(Code.NO_DIGEST, detail, path, hint=hint)
        return found

    def _machinery(self) -> Machinery:
        engine = process_engine(self.options.jobs or default_jobs())
        return Machinery(engine, self.journal, self._proof(), self.listener)

    def _proof(self) -> Proof:
        if self.expected:
            return HashingProof(self.plan.source, self.expected, self.listener)
        return NoProof(self.proved_before)

    def _refuse_to_delete(self) -> None:
        """Refuse to delete what nothing proved, and what is not the archive itself."""
        path = self.plan.source.path
        if path.is_symlink():
            detail = f"{path} is a link: deleting it would leave the archive where it is"
            raise UsageError(detail, hint="give the folder that holds the archive itself; nothing was changed")
        if self.state is State.PUBLISHED and "digest" not in metadata_of(read_manifest(self.sink.manifest)):
            detail = f"{self.target / self.plan.split} was made without proof of the archive's digest: {path} is kept"
            raise UsageError(detail, hint="prepare it again into another folder, with --verify md5")

    def _start_over(self) -> None:
        """Throw away what staging holds of the split: it is ours, unfinished, and not to be gone on with."""
        self.sink.clear()
        self.sink.manifest.unlink(missing_ok=True)  # of a split that is gone: it must not vouch for the new one
        self.journal.forget(self.plan.split)
        make_own_folder(self.sink.staging / self.plan.split)
