"""What a run proved, for people, programs and the tree's own record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ilsvrc.issues import Issue, damage
from ilsvrc.run.loop import Result
from ilsvrc.run.plan import Plan
from ilsvrc.tree.manifest import metadata_of


@dataclass(frozen=True, slots=True)
class SplitReport:
    """What became of one split.

    split, archive : which, from where
    images, classes, bytes : what the tree holds of it
    seconds : time that this run took for it, 0.0 where it was complete already
    digest : the archive's verified digest such as md5:29b2..., or None
    against : who says that the digest is right: official, MD5SUMS; or None
    issues : what was found in its images
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


@dataclass(frozen=True, slots=True)
class PrepareReport:
    """What `prepare` made.

    tree : the folder
    layout : name or template
    splits : one report each
    """

    tree: str
    layout: str
    splits: tuple[SplitReport, ...]

    @property
    def ok(self) -> bool:
        """Whether no image is damaged."""
        return not self.damage

    @property
    def damage(self) -> list[Issue]:
        """Every issue that is not merely unusual."""
        return [issue for split in self.splits for issue in damage(split.issues)]

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {"ok": self.ok, **asdict(self)}


def split_report(plan: Plan, result: Result, seconds: float) -> SplitReport:
    """Return the report of a split that was written by this run, or by it and interrupted ones before it."""
    totals = sum(r.samples for r in result.receipts), sum(r.bytes for r in result.receipts)
    issues = [issue for receipt in result.receipts for issue in receipt.issues]
    proof = (result.proved.digest, result.proved.against) if result.proved else (None, None)
    return replace(_report(plan, totals, proof, issues), seconds=round(seconds, 3))


def published_report(plan: Plan, manifest: pa.Table, issues: Sequence[Issue]) -> SplitReport:
    """Return the report of a split that was complete already, with what its manifest says was proved then."""
    told = metadata_of(manifest)
    totals = manifest.num_rows, int(pc.sum(manifest.column("size")).as_py() or 0)
    return _report(plan, totals, (told.get("digest"), told.get("against")), issues)


def _report(
    plan: Plan, totals: tuple[int, int], proof: tuple[str | None, str | None], issues: Sequence[Issue]
) -> SplitReport:
    """In an archive proved to be the official one, nothing that is odd is damage: it was published so."""
    if proof[1] == "official":
        issues = [replace(issue, known=True) for issue in issues]
    labels = plan.catalog.labels[plan.catalog.rows]
    return SplitReport(
        split=plan.split,
        archive=plan.source.path.name,
        images=totals[0],
        classes=len(set(labels[labels >= 0].tolist())),
        bytes=totals[1],
        seconds=0.0,
        digest=proof[0],
        against=proof[1],
        issues=tuple(issues),
    )
