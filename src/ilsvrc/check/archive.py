"""Check an archive: its structure, its counts, and, deep, its digest and every image in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ilsvrc.archive.expected import OFFICIAL, SUMS_FILES
from ilsvrc.archive.sidecar import Verified, recorded
from ilsvrc.check.report import ARCHIVE, Compared, NotCompared, PartReport
from ilsvrc.errors import ArchiveError, MissingExtraError
from ilsvrc.events import Listener, silent
from ilsvrc.files import printable
from ilsvrc.issues import Issue
from ilsvrc.readers.reader import Found, Reader
from ilsvrc.run.engine import Engine
from ilsvrc.run.loop import Machinery, confirm, work
from ilsvrc.run.plan import Plan
from ilsvrc.run.proof import Claim, HashingProof, NoProof, claims_of
from ilsvrc.sinks.null import NullSink
from ilsvrc.tree.counts import NEEDS_SCIPY, count_issues, counts_of, expectation

COUNTS = "image counts per class"


def check_archive(found: Found, *, engine: Engine | None = None, listener: Listener = silent) -> PartReport:
    """Return what an archive holds and what is wrong with it; a fault of its structure is an issue too.

    Parameters
    ----------
    found
        The archive.
    engine
        Decodes every image; None for a check that is not deep.
    listener
        Gets progress.
    """
    try:
        return _check(found.open(listener=listener), engine, listener)
    except ArchiveError as error:
        size = found.path.stat().st_size
        return PartReport(printable(str(found.path)), "", ARCHIVE, bytes=size, issues=(_issue(error),))


def _check(reader: Reader, engine: Engine | None, listener: Listener) -> PartReport:
    claims = claims_of(reader)
    issues, counted = _count(reader)
    proved: tuple[Verified, ...] = ()
    if engine:
        found, proved = _decode(reader, claims, engine, listener)
        issues += found
    if any(one.against == OFFICIAL for one in proved):
        issues = [replace(issue, known=True) for issue in issues]
    comparisons = [counted, *_digest_comparisons(claims, deep=engine is not None)]
    return PartReport(
        where=printable(str(reader.path)),
        split=reader.split,
        layout=ARCHIVE,
        images=len(reader),
        classes=len(np.unique(reader.labels[reader.labels >= 0])),
        bytes=sum(container.size for container in reader.containers()),
        issues=tuple(issues),
        compared=tuple(made for made in comparisons if isinstance(made, Compared)),
        not_compared=tuple(lack for lack in comparisons if isinstance(lack, NotCompared)),
        digest=", ".join(one.digest for one in proved) or None,
    )


def _count(reader: Reader) -> tuple[list[Issue], Compared | NotCompared]:
    """Compare the images of each class with the count that the facts or a devkit tell."""
    [container] = reader.containers()
    try:
        wanted = expectation(container.path, container.size, reader.split, reader.labels)
    except MissingExtraError:
        return [], NotCompared(COUNTS, f"the devkit beside the archive lists them, but {NEEDS_SCIPY}")
    except ArchiveError as error:  # of the devkit: the archive beside it may be sound
        return [_issue(error)], NotCompared(COUNTS, "the devkit beside the archive can't be read")
    if wanted is None and reader.split == "test":
        return [], NotCompared("image count", "no list says how many images the test split should have")
    if wanted is None:
        classes = len(np.unique(reader.labels[reader.labels >= 0]))
        return [], NotCompared(COUNTS, f"nothing says how many images its {classes:,} classes should have")
    return count_issues(counts_of(reader.labels), wanted), Compared(COUNTS, wanted.origin)


def _digest_comparisons(claims: tuple[Claim, ...] | None, *, deep: bool) -> list[Compared | NotCompared]:
    """Return the comparisons of an archive's bytes that a check makes, and those it does not.

    The record of an earlier proof is mentioned, but proves nothing today.
    """
    pixels = [] if deep else [NotCompared("pixels", "add --deep")]
    if not claims:
        sums = " or ".join(SUMS_FILES.values())
        return [NotCompared("digest", f"none is known: put {sums} beside the archive"), *pixels]
    if deep:
        expected = claims[0].expected
        algorithm = expected.digest.algorithm
        listed = f"the {algorithm} in {expected.against}"
        return [Compared("digest", f"the official {algorithm}" if expected.against == OFFICIAL else listed)]
    before = all(recorded(claim.source.path) for claim in claims)
    earlier = " to hash it again; an earlier run found it right" if before else ""
    return [NotCompared("digest", f"add --deep{earlier}"), *pixels]


def _decode(
    reader: Reader, claims: tuple[Claim, ...] | None, engine: Engine, listener: Listener
) -> tuple[list[Issue], tuple[Verified, ...]]:
    """Hash the archive and decode every image, in one pass; a wrong digest is an issue beside those of the images."""
    plan = Plan(reader)
    machinery = Machinery(engine, None, HashingProof(claims, listener) if claims else NoProof(), listener, deep=True)
    receipts = work(plan, plan.units, NullSink(), machinery)
    issues = [issue for receipt in receipts for issue in receipt.issues]
    try:
        return issues, confirm(plan, machinery)
    except ArchiveError as error:
        return [_issue(error), *issues], ()


def _issue(error: ArchiveError) -> Issue:
    """Return an error about an archive as an issue of it."""
    key = "/".join(part for part in (Path(error.archive).name, error.member) if part)
    place = "" if error.offset is None else f" (byte {error.offset:,})"
    return Issue(printable(key), error.code, f"{error.detail}{place}")
