"""Check an archive: its structure, its counts, and, deep, its digest and every image in it."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ilsvrc.archive.expected import expected
from ilsvrc.archive.sidecar import Verified, open_index, recorded
from ilsvrc.archive.source import FileSource
from ilsvrc.check.report import PartReport
from ilsvrc.errors import ArchiveError, MissingExtraError
from ilsvrc.events import Listener, Note
from ilsvrc.issues import Issue
from ilsvrc.readers.units import Unit, Wanted
from ilsvrc.run.engine import Engine
from ilsvrc.run.loop import Machinery, run
from ilsvrc.run.plan import Plan
from ilsvrc.run.proof import HashingProof, NoProof, Proof
from ilsvrc.sinks.null import NullSink
from ilsvrc.tree.counts import count_issues, counts_of, expectation
from ilsvrc.tree.layout import Layout


@dataclass(frozen=True, slots=True)
class Depth:
    """How a deep check works: who does the work, and who listens; engine None for a check that is not deep."""

    engine: Engine | None
    listener: Listener


def check_archive(path: Path, depth: Depth) -> PartReport:
    """Return what an archive holds and what is wrong with it; a fault of its structure is an issue too."""
    try:
        return _check(FileSource(path), depth)
    except ArchiveError as error:
        return PartReport(str(path), "", "archive", 0, 0, path.stat().st_size, None, "", None, (_issue(error),))


def _check(source: FileSource, depth: Depth) -> PartReport:
    should = expected(source, "md5")
    index = open_index(source, depth.listener)
    plan = Plan(source, index, Wanted(Layout.parse("flat")))
    issues, origin = _count(plan, depth.listener)
    if depth.engine:
        issues += _decode(plan, depth)
    proved = recorded(source.path)
    if proved and proved.against == "official":
        issues = [replace(issue, known=True) for issue in issues]
    return PartReport(
        where=str(source.path),
        split=index.split,
        layout="archive",
        images=len(index),
        classes=len(set(index.labels[index.labels >= 0].tolist())),
        bytes=source.size,
        against=origin or (f"{should.against}, if its digest holds" if should else None),
        order="",
        digest=proved.digest if proved else None,
        issues=tuple(issues),
    )


def _count(plan: Plan, listener: Listener) -> tuple[list[Issue], str | None]:
    """Compare the images a class with what should be there, if something says."""
    try:
        wanted = expectation(plan.source, plan.index)
    except MissingExtraError as error:
        listener(Note(f"images a class are not compared with the devkit: {error.message}; {error.hint}"))
        return [], None
    return (count_issues(counts_of(plan.index.labels), wanted), wanted.origin) if wanted else ([], None)


def _decode(plan: Plan, depth: Depth) -> list[Issue]:
    """Hash the archive and decode every image, in one pass: an export to a sink that keeps nothing."""
    assert depth.engine is not None
    should = None if recorded(plan.source.path) else expected(plan.source, "md5")
    proof = _NotedProof(HashingProof(plan.source, should, depth.listener) if should else NoProof())
    machinery = Machinery(depth.engine, None, proof, depth.listener, decode=True)
    result = run(plan, NullSink(), machinery)
    return proof.issues + [issue for receipt in result.receipts for issue in receipt.issues]


class _NotedProof:
    """A proof whose failure is noted, so that the damaged images are named beside it."""

    def __init__(self, proof: Proof) -> None:
        self._proof = proof
        self.issues: list[Issue] = []

    def release(self, units: Iterable[Unit]) -> Generator[Unit, None, None]:
        """Yield each unit when the proof does."""
        return self._proof.release(units)

    def confirm(self) -> Verified | None:
        """Note what the proof finds wrong."""
        try:
            return self._proof.confirm()
        except ArchiveError as error:
            self.issues.append(_issue(error))
            return None


def _issue(error: ArchiveError) -> Issue:
    """Return an error about an archive as an issue of it."""
    key = "/".join(part for part in (Path(error.archive).name, error.member) if part)
    place = "" if error.offset is None else f" (byte {error.offset:,})"
    return Issue(key, error.code, f"{error.detail}{place}")
