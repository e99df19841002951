"""What a run proved, for people, programs and the tree's own record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ilsvrc.archive.expected import OFFICIAL
from ilsvrc.files import printable
from ilsvrc.issues import Issue, damage
from ilsvrc.run.loop import Result
from ilsvrc.run.plan import Plan
from ilsvrc.sinks.base import Receipt
from ilsvrc.sinks.staging import proof_of
from ilsvrc.tree.manifest import metadata_of


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """The part of one worker in a split.

    worker : its host and process
    units, images, bytes : its share of the source
    seconds : time that it was at work
    bytes_per_second : bytes of the source by these seconds
    """

    worker: str
    units: int
    images: int
    bytes: int
    seconds: float
    bytes_per_second: int


@dataclass(frozen=True, slots=True)
class SplitReport:
    """What became of one split.

    split, archive : which, from where
    images, classes, bytes : what the tree holds of it
    seconds : time that this run took for it, 0.0 where it was complete already
    digest : the archive's verified digest such as md5:29b2..., or None
    against : who says that the digest is right: official, MD5SUMS; or None
    issues : what was found in its images
    workers : the part of each worker in this run, by name; none of a split that was complete already
    """

    split: str
    archive: str
    images: int
    classes: int
    bytes: int
    seconds: float
    digest: str | None
    against: str | None
    issues: tuple[Issue, ...]
    workers: tuple[WorkerReport, ...] = ()


@dataclass(frozen=True, slots=True)
class Estimate:
    """Room and time that a run needs, and the room there is.

    needs_bytes, needs_inodes : space that will be taken
    free_bytes, free_inodes : space on the target's file system; inodes are None where it does not count them
    seconds : how long the run will take, by a second of hashing and of writing; None if they could not be measured
    folder : whose file system that is: the target, or that of temporary files for one in a bucket
    """

    needs_bytes: int
    needs_inodes: int
    free_bytes: int
    free_inodes: int | None
    seconds: float | None
    folder: str = ""


@dataclass(frozen=True, slots=True)
class PrepareReport:
    """What `prepare` made, or in a dry run will make.

    tree : the folder
    layout : name or template
    splits : one report each; none of a dry run
    decisions : what was decided about each split before anything was written, in plain values
    dry_run : whether nothing was done
    estimate : room and time, of a dry run
    format : folders, or the name of a shard format
    """

    tree: str
    layout: str
    splits: tuple[SplitReport, ...]
    decisions: tuple[dict[str, Any], ...] = ()
    dry_run: bool = False
    estimate: Estimate | None = None
    format: str = "folders"

    @property
    def ok(self) -> bool:
        """Whether no image is damaged."""
        return not self.damage

    @property
    def damage(self) -> list[Issue]:
        """Every issue that is not merely unusual."""
        return [issue for split in self.splits for issue in damage(split.issues)]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {"ok": self.ok, **asdict(self)}


def split_report(plan: Plan, result: Result, seconds: float, manifest: pa.Table | None = None) -> SplitReport:
    """Return the report of a split that was written by this run, or by it and interrupted ones before it.

    Receipts count images and bytes of the source: where these are made anew, the manifest tells what was written.
    """
    receipts = result.receipts
    totals = sum(r.samples for r in receipts), sum(r.bytes for r in receipts)
    totals = totals if manifest is None else _totals(manifest)
    issues = [issue for receipt in result.receipts for issue in receipt.issues]
    proof = proof_of(result.proved)
    report = _report(plan, totals, proof, issues)
    return replace(report, seconds=round(seconds, 3), workers=worker_reports(receipts))


def worker_reports(receipts: Sequence[Receipt]) -> tuple[WorkerReport, ...]:
    """Return the part of each worker that is named in receipts, by name."""
    by_worker: dict[str, list[Receipt]] = {}
    for receipt in receipts:
        if receipt.worker:
            by_worker.setdefault(receipt.worker, []).append(receipt)
    return tuple(_part(worker, by_worker[worker]) for worker in sorted(by_worker))


def _part(worker: str, receipts: Sequence[Receipt]) -> WorkerReport:
    images, size = sum(r.samples for r in receipts), sum(r.bytes for r in receipts)
    seconds = sum(r.seconds for r in receipts)
    rate = round(size / max(seconds, 1e-6))
    return WorkerReport(worker, len(receipts), images, size, round(seconds, 3), rate)


def published_report(plan: Plan, manifest: pa.Table, issues: Sequence[Issue]) -> SplitReport:
    """Return the report of a split that was complete already, with what its manifest says was proved then."""
    return _report(plan, _totals(manifest), metadata_of(manifest), issues)


def _totals(manifest: pa.Table) -> tuple[int, int]:
    return manifest.num_rows, int(pc.sum(manifest.column("size")).as_py() or 0)


def _report(plan: Plan, totals: tuple[int, int], proof: Mapping[str, str], issues: Sequence[Issue]) -> SplitReport:
    """In an archive proved to be the official one, nothing that is odd is damage: it was published so."""
    if proof.get("against") == OFFICIAL:
        issues = [replace(issue, known=True) for issue in issues]
    labels = plan.reader.labels
    return SplitReport(
        split=plan.split,
        archive=printable(plan.reader.path.name),
        images=totals[0],
        classes=len(np.unique(labels[labels >= 0])),
        bytes=totals[1],
        seconds=0.0,
        digest=proof.get("digest"),
        against=proof.get("against"),
        issues=tuple(issues),
    )
