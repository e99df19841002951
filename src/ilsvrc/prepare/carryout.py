"""Carry a decision out: write a split, finish or repair it, and delete a source that is proved."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ilsvrc.errors import ArchiveError, DamageError, IlsvrcError
from ilsvrc.events import Listener, Note
from ilsvrc.issues import Code, Issue
from ilsvrc.prepare.decision import MOST_LISTED, Action, Decision
from ilsvrc.prepare.report import SplitReport, published_report, split_report
from ilsvrc.prepare.seeking import through_buckets
from ilsvrc.readers.tree import TreeReader
from ilsvrc.run.claim import Hold
from ilsvrc.run.digests import image_digests
from ilsvrc.run.engine import Engine
from ilsvrc.run.journal import Journal
from ilsvrc.run.loop import Machinery, confirm, run, work
from ilsvrc.run.plan import Plan
from ilsvrc.run.proof import HashingProof, NoProof, Proof
from ilsvrc.sinks.comparing import DIFFERENT, AdoptingSink, ComparingSink
from ilsvrc.sinks.folder import FolderSink
from ilsvrc.tree import paths
from ilsvrc.words import counted


@dataclass(frozen=True, slots=True)
class Workers:
    """Who does the work.

    engine : hands it out
    claim : see `Machinery`
    """

    engine: Engine
    claim: Hold | None = None


def changed_images(decision: Decision, workers: Workers, listener: Listener) -> tuple[Issue, ...]:
    """Return an issue for every image of a published split whose bytes are not those that its manifest records.

    Images that are known to be missing are left out. The source is not read.
    """
    plan, missing = decision.plan, [issue.key for issue in decision.state.missing]
    folder = decision.sink.root / plan.split
    assert isinstance(folder, Path)
    manifest = decision.sink.recorded()
    gone = pc.is_in(manifest.column("path"), pa.array(missing, pa.string()))
    rows = np.flatnonzero(~gone.to_numpy())
    recorded = manifest.take(pa.array(rows))
    reader = TreeReader.open(folder, plan.split).part(rows)
    machinery = _machinery(workers, NoProof(), listener, stage=f"compare {plan.split}")
    seen = None if workers.engine.local else paths.own(folder.parent)
    found = image_digests(Plan(reader), machinery, seen).digests
    digests = np.frombuffer(b"".join(recorded.column("xxh3_128").to_pylist()), np.uint8).reshape(found.shape)
    changed = recorded.column("path").take(pa.array(np.flatnonzero((found != digests).any(axis=1)))).to_pylist()
    text = (
        f"{len(rows):,} images compared with their digests in the manifest; {len(changed):,} of them have other bytes"
    )
    listener(Note(f"{plan.split}: {text}"))
    return tuple(
        Issue(path, Code.CHANGED_IMAGE, "its bytes are not those that the manifest records") for path in changed
    )


def make_way(decision: Decision, journal: Journal, listener: Listener) -> None:
    """Remove the work of an interrupted run that can't be resumed, or is not to be."""
    if decision.action in (Action.KEEP, Action.REPAIR, Action.ADOPT):
        decision.sink.clear()
    elif decision.action is Action.START_OVER:
        text = f"{decision.plan.split}: starting over; the work of an earlier run is removed"
        listener(Note(text, warning=True))
        _start_over(decision, journal)


def carry_out(decision: Decision, journal: Journal, workers: Workers, listener: Listener) -> SplitReport:
    """Bring a split to the tree, or find it there; return its report.

    Raises
    ------
    IlsvrcError
        The first fault of the source, or of the machine; nothing is published then.
    """
    sink, state = decision.sink, decision.state
    if decision.action is Action.PUBLISH:
        sink.resume_publishing(state.manifest)
    elif decision.action is Action.REPAIR:
        _repair(decision, workers, listener)
    if decision.action in (Action.KEEP, Action.PUBLISH, Action.REPAIR):
        return _find(decision, journal, listener)
    if decision.action is Action.ADOPT:
        return _adopt(decision, workers, listener)
    if decision.action is Action.WRITE:
        _start_over(decision, journal)
    begun = time.monotonic()
    try:
        plan, machinery = decision.plan, _machinery(workers, _proof(decision, listener), listener, journal=journal)
        if decision.buckets and sink.sweep:
            plan, proof = through_buckets(plan, sink.sweep, machinery)
            machinery = replace(machinery, proof=proof)
        result = run(plan, sink, machinery)
    except ArchiveError as error:
        if error.code in (Code.WRONG_DIGEST, Code.WRONG_FILE):
            _start_over(decision, journal)  # the images came from bytes that are not to be trusted
        raise
    manifest = None if decision.plan.sized else sink.recorded()
    return split_report(decision.plan, result, time.monotonic() - begun, manifest)


def delete_source(decision: Decision, workers: Workers, listener: Listener) -> None:
    """Delete the source's files, once they are proved now and every image of the tree is the one in them.

    No record is believed: the files are hashed again in the same read that compares them with the tree.

    Raises
    ------
    DamageError
        If an image of the tree is another one than in the source, which is kept then.
    ArchiveError
        If a file has not the digest that it should have; it is kept too.
    """
    plan, target, claims = decision.plan, decision.sink.root, decision.to_delete
    proof = HashingProof(claims, listener)
    machinery = _machinery(workers, proof, listener, stage=f"compare {plan.split}")
    result = run(plan, ComparingSink(target), machinery)
    wrong = [issue for receipt in result.receipts for issue in receipt.issues if issue.code in DIFFERENT]
    if wrong:
        detail = f"{plan.reader.path} is kept: {len(wrong):,} images of the tree are not those in it"
        hint = f"see `ilsvrc check --deep {target}`; prepare it again into another folder"
        raise DamageError(detail, wrong[:MOST_LISTED], hint=hint)
    decision.sink.settle()
    plan.reader.require_unchanged()
    for claim in claims:
        path, algorithm = claim.source.path, claim.expected.digest.algorithm
        assert isinstance(path, Path)  # of a store nothing is deleted: `prepare` refuses it before
        path.unlink()
        compared = f"its {algorithm} is right, and every image in {target / plan.split} is the one in it"
        listener(Note(f"deleted {path}: {compared}"))


def _machinery(
    workers: Workers, proof: Proof, listener: Listener, *, journal: Journal | None = None, stage: str = ""
) -> Machinery:
    return Machinery(workers.engine, journal, proof, listener, stage=stage, claim=workers.claim)


def _proof(decision: Decision, listener: Listener) -> Proof:
    return HashingProof(decision.claims, listener) if decision.claims else NoProof(decision.proved)


def _find(decision: Decision, journal: Journal, listener: Listener) -> SplitReport:
    """Return the report of a split that is there."""
    plan, sink = decision.plan, decision.sink
    manifest = sink.recorded()
    sink.restore_lists(manifest)
    sink.clear()
    report = published_report(plan, manifest, journal.issues(plan.split))
    unproved = "" if report.digest else "; it was made without proof of the archive's digest"
    compared = f"{report.images:,} names and sizes compared with {plan.reader.path.name}"
    listener(Note(f"{plan.split}: complete already, {compared}{unproved}", warning=bool(unproved)))
    return report


def _repair(decision: Decision, workers: Workers, listener: Listener) -> None:
    """Write missing and changed images, or shards, again from the source, which is proved as for a first run."""
    sink, missing = decision.sink, decision.state.missing
    sink.refuse_to_mend(missing)
    machinery = _machinery(workers, _proof(decision, listener), listener)
    receipts = work(decision.plan, decision.units, sink.mender(), machinery)
    confirm(decision.plan, machinery)
    sink.mend(receipts, missing, sink.recorded())
    pieces = counted(len(missing), sink.pieces.removesuffix("s"))
    text = f"{decision.plan.split}: {pieces} missing or changed, now written again"
    listener(Note(text))


def _adopt(decision: Decision, workers: Workers, listener: Listener) -> SplitReport:
    """Compare every image of a split without manifest with the source, then write the manifest; return its report."""
    plan, begun = decision.plan, time.monotonic()
    assert isinstance(decision.sink, FolderSink)
    try:
        machinery = _machinery(workers, _proof(decision, listener), listener)
        result = run(plan, AdoptingSink(decision.sink), machinery)
    except IlsvrcError:
        decision.sink.clear()
        raise
    listener(Note(f"{plan.split}: every image is the one in {plan.reader.path.name}; its manifest is written anew"))
    return split_report(plan, result, time.monotonic() - begun)


def _start_over(decision: Decision, journal: Journal) -> None:
    """Throw away what staging holds of a split: it is ours, unfinished, and will not be resumed."""
    decision.sink.start_over(journal.plans(decision.plan.split))
    journal.forget(decision.plan.split)
