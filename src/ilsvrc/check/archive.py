"""Check an archive: its structure, its counts, and, deep, its digest and every image in it."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import replace
from pathlib import Path

from ilsvrc.archive.expected import SUMS_FILES, Expected, expected
from ilsvrc.archive.sidecar import Verified, open_index, recorded
from ilsvrc.archive.source import FileSource
from ilsvrc.check.report import ARCHIVE, Compared, NotCompared, PartReport
from ilsvrc.errors import ArchiveError, MissingExtraError
from ilsvrc.events import Listener, silent
from ilsvrc.files import printable
from ilsvrc.issues import Issue
from ilsvrc.readers.units import Unit, Wanted
from ilsvrc.run.engine import Engine
from ilsvrc.run.loop import Machinery, run
from ilsvrc.run.plan import Plan
from ilsvrc.run.proof import HashingProof, NoProof, Proof
from ilsvrc.sinks.null import NullSink
from ilsvrc.tree.counts import NEEDS_SCIPY, count_issues, counts_of, expectation
from ilsvrc.tree.layout import Layout

COUNTS = "image counts per class"


def check_archive(path: Path, *, engine: Engine | None = None, listener: Listener = silent) -> PartReport:
    """Return what an archive holds and what is wrong with it; a fault of its structure is an issue too.

    Parameters
    ----------
    path
        The archive.
    engine
        Decodes every image; None for a check that is not deep.
    listener
        Gets progress.
    """
    try:
        return _check(FileSource(path), engine, listener)
    except ArchiveError as error:
        return PartReport(printable(str(path)), "", ARCHIVE, bytes=path.stat().st_size, issues=(_issue(error),))


def _check(source: FileSource, engine: Engine | None, listener: Listener) -> PartReport:
    should = expected(source, "md5") or expected(source, "sha256")
    index = open_index(source, listener)
    plan = Plan(source, index, Wanted(Layout.parse("flat")))
    issues, counted = _count(plan)
    proved = None
    if engine:
        found, proved = _decode(plan, should, engine, listener)
        issues += found
    if proved and proved.against == "official":
        issues = [replace(issue, known=True) for issue in issues]
    comparisons = [counted, *_digest_comparisons(source, should, deep=engine is not None)]
    return PartReport(
        where=printable(str(source.path)),
        split=index.split,
        layout=ARCHIVE,
        images=len(index),
        classes=len(set(index.labels[index.labels >= 0].tolist())),
        bytes=source.size,
        issues=tuple(issues),
        compared=tuple(made for made in comparisons if isinstance(made, Compared)),
        not_compared=tuple(lack for lack in comparisons if isinstance(lack, NotCompared)),
        digest=proved.digest if proved else None,
    )


def _count(plan: Plan) -> tuple[list[Issue], Compared | NotCompared]:
    """Compare the images of each class with what should be there, if something says."""
    try:
        wanted = expectation(plan.source, plan.index)
    except MissingExtraError:
        return [], NotCompared(COUNTS, f"the devkit beside the archive lists them, but {NEEDS_SCIPY}")
    except ArchiveError as error:  # of the devkit: the archive beside it may be sound
        return [_issue(error)], NotCompared(COUNTS, "the devkit beside the archive can't be read")
    if wanted is None and plan.split == "test":
        return [], NotCompared("image count", "no list says how many images the test split should have")
    if wanted is None:
        classes = len(set(plan.index.labels[plan.index.labels >= 0].tolist()))
        return [], NotCompared(COUNTS, f"nothing says how many images its {classes:,} classes should have")
    return count_issues(counts_of(plan.index.labels), wanted), Compared(COUNTS, wanted.origin)


def _digest_comparisons(source: FileSource, should: Expected | None, *, deep: bool) -> list[Compared | NotCompared]:
    """Return what a check compares of an archive's bytes, and what it does not.

    A record of an earlier proof is told, but proves nothing today.
    """
    pixels = [] if deep else [NotCompared("pixels", "add --deep")]
    if should is None:
        sums = " or ".join(SUMS_FILES.values())
        return [NotCompared("digest", f"none is known: put {sums} beside the archive"), *pixels]
    if deep:
        algorithm = should.digest.algorithm
        against = (
            f"the official {algorithm}" if should.against == "official" else f"the {algorithm} in {should.against}"
        )
        return [Compared("digest", against)]
    before = recorded(source.path)
    earlier = " to hash it again; an earlier run found it right" if before else ""
    return [NotCompared("digest", f"add --deep{earlier}"), *pixels]


def _decode(
    plan: Plan, should: Expected | None, engine: Engine, listener: Listener
) -> tuple[list[Issue], Verified | None]:
    """Hash the archive and decode every image, in one pass: prepare it into a sink that keeps nothing."""
    proof = _NotedProof(HashingProof(plan.source, should, listener) if should else NoProof())
    result = run(plan, NullSink(), Machinery(engine, None, proof, listener, decode=True))
    return proof.issues + [issue for receipt in result.receipts for issue in receipt.issues], result.proved


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
    return Issue(printable(key), error.code, f"{error.detail}{place}")
