"""Check a split that lies packed in files: its structure, its counts, and, deep, digests and every image in it."""

from __future__ import annotations

import shlex
import warnings
from dataclasses import dataclass, field, replace

import numpy as np

from ilsvrc.archive.expected import OFFICIAL, SUMS_FILES
from ilsvrc.archive.find import SPLITS, expected_names
from ilsvrc.archive.sidecar import Verified, recorded
from ilsvrc.archive.source import State
from ilsvrc.check.against import Other, compare
from ilsvrc.check.counts import count_packed, issues_of
from ilsvrc.check.overview import overview_of
from ilsvrc.check.report import ARCHIVE, Compared, Findings, NotCompared, PartReport
from ilsvrc.check.solution import compare_solution
from ilsvrc.check.sweep import Sweeper, Swept, sweep
from ilsvrc.errors import DataError
from ilsvrc.events import Listener, silent
from ilsvrc.files import printable
from ilsvrc.issues import Code, Issue
from ilsvrc.readers.reader import Found, Reader
from ilsvrc.run.proof import Claim, HashingProof, NoProof, claims_of
from ilsvrc.stores.path import Location, fetch_folder, size_of


@dataclass(frozen=True, slots=True)
class Hashed:
    """The files that a check has hashed: splits that share a file have it hashed once.

    verified : what was proved of each file, by its path and state
    """

    verified: dict[tuple[Location, State], Verified] = field(default_factory=dict)

    def of(self, claims: tuple[Claim, ...]) -> tuple[Verified, ...] | None:
        """Return what was proved of some files, None if one of them was not hashed."""
        keys = [(claim.source.path, claim.source.state) for claim in claims]
        return tuple(self.verified[key] for key in keys) if all(key in self.verified for key in keys) else None

    def add(self, claims: tuple[Claim, ...], proved: tuple[Verified, ...]) -> None:
        """Note what was proved of some files."""
        for claim, one in zip(claims, proved, strict=True):
            self.verified[claim.source.path, claim.source.state] = one


def check_packed(  # noqa: PLR0913  -- the choices of `check`, each with its name
    found: Found,
    *,
    against: Other | None = None,
    sweeper: Sweeper | None = None,
    hashed: Hashed | None = None,
    overview: bool = False,
    listener: Listener = silent,
) -> PartReport:
    """Return what a packed split holds and what is wrong with it; a fault of its structure is an issue too.

    Parameters
    ----------
    found
        The split.
    against
        The same split of another data set, which it is compared with image by image.
    sweeper
        Reads every image; None for a check that is not deep.
    hashed
        The files that this check has hashed so far.
    overview
        Whether the report has the figures of the split.
    listener
        Gets progress.
    """
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            reader = found.open(listener=listener)
        warned = tuple(printable(str(warning.message)) for warning in caught)
        return _check(reader, warned, against, sweeper, hashed or Hashed(), overview=overview, listener=listener)
    except DataError as error:
        split = "" if found.form == ARCHIVE else found.split
        size = size_of(found.path) if found.path.is_file() else 0
        issues = tuple(issues_of(error))
        fetched = fetch_command(found.form, found.split, found.path)
        lacking = all(issue.code is Code.MISSING_FILE for issue in issues)
        hint = fetched if lacking or "`" not in error.hint else error.hint
        return PartReport(printable(str(found.path)), split, found.form, bytes=size, issues=issues, hint=hint)


def _check(  # noqa: PLR0913  -- as check_packed
    reader: Reader,
    warned: tuple[str, ...],
    against: Other | None,
    sweeper: Sweeper | None,
    hashed: Hashed,
    *,
    overview: bool,
    listener: Listener,
) -> PartReport:
    claims = claims_of(reader)
    counted = count_packed(reader, compared=against is not None)
    issues, proved, swept = list(counted.issues), tuple[Verified, ...](), None
    if sweeper:
        found, proved, swept = _decode(reader, claims, sweeper, hashed, wanted=against is not None)
        issues += found
    if proved and all(one.against == OFFICIAL for one in proved):
        issues = [replace(issue, known=True) for issue in issues]
    findings = [counted, _digest_comparisons(claims, deep=sweeper is not None), compare_solution(reader)]
    findings += [compare(reader, against, swept, sweeper)] if against is not None else []
    issues += [issue for one in findings[1:] for issue in one.issues]
    made = None
    if overview:
        records = swept.records if swept else None
        made = overview_of(reader, issues, records=records, expected=counted.expected, listener=listener)
    return PartReport(
        where=printable(str(reader.path)),
        split=reader.split,
        form=reader.form,
        images=len(reader),
        classes=len(np.unique(reader.labels[reader.labels >= 0])),
        bytes=_bytes(reader),
        issues=tuple(issues),
        compared=tuple(made for one in findings for made in one.compared),
        not_compared=tuple(lack for one in findings for lack in one.not_compared),
        comparison=findings[-1].comparison,
        wanted=counted.wanted,
        unproved=not claims,
        digest=_digest(proved),
        warnings=warned,
        hint=_next_step(reader, counted, warned=bool(warned)),
        overview=made,
    )


def _bytes(reader: Reader) -> int:
    """Return the bytes of the files that hold a split; of its images where files hold other splits too."""
    containers = sum(container.size for container in reader.containers())
    return containers if reader.form == ARCHIVE else int(reader.sizes.sum())


def _digest(proved: tuple[Verified, ...]) -> str | None:
    """Return the digests that were found right, for people: one in full, of many their number."""
    digests = [str(one.digest) for one in proved]
    if len(digests) > 3:
        return f"{digests[0].partition(':')[0]} of {len(digests):,} files"
    return ", ".join(digests) or None


def _digest_comparisons(claims: tuple[Claim, ...] | None, *, deep: bool) -> Findings:
    """Return the comparisons of the bytes of files that a check makes, and those it does not.

    The record of an earlier proof is mentioned, but proves nothing today.
    """
    pixels = [] if deep else [NotCompared("pixels", "add --deep")]
    if not claims:
        sums = " or ".join(SUMS_FILES.values())
        lacking = NotCompared("digest", f"none is known: put {sums} beside the archive")
        return Findings(not_compared=(lacking, *pixels))
    if deep:
        kinds = dict.fromkeys((claim.expected.digest.algorithm, claim.expected.against) for claim in claims)
        told = (f"the official {kind}" if by == OFFICIAL else f"the {kind} in {by}" for kind, by in kinds)
        return Findings(compared=tuple(Compared("digest", against) for against in told))
    before = all(recorded(claim.source.path) for claim in claims)
    earlier = " to hash it again; an earlier run found it right" if before else ""
    return Findings(not_compared=(NotCompared("digest", f"add --deep{earlier}"), *pixels))


def _decode(
    reader: Reader, claims: tuple[Claim, ...] | None, sweeper: Sweeper, hashed: Hashed, *, wanted: bool
) -> tuple[list[Issue], tuple[Verified, ...], Swept]:
    """Hash the files and decode every image, in one pass; a wrong digest is an issue beside those of the images."""
    before = hashed.of(claims) if claims else None
    hashing = HashingProof(claims, sweeper.listener) if claims and before is None else None
    swept = sweep(reader, sweeper, proof=hashing or NoProof(before or ()), hashed=wanted)
    try:
        proved = (hashing or NoProof(before or ())).confirm()
        reader.require_unchanged()
    except DataError as error:
        return [*issues_of(error), *swept.issues], (), swept
    if claims and hashing:
        hashed.add(claims, proved)
    return swept.issues, proved, swept


def _next_step(reader: Reader, counted: Findings, *, warned: bool) -> str:
    """Name the command for a split that lacks images, or of which something was warned; else nothing."""
    if counted.issues:
        return fetch_command(reader.form, reader.split, reader.path)
    if not warned:
        return ""
    source, target = (shlex.quote(printable(f"{reader.path}{end}")) for end in ("", "-prepared"))
    return f"`ilsvrc prepare {source} {target} --split {reader.split}` writes a tree of the images that were counted"


def fetch_command(form: str, split: str, path: Location) -> str:
    """Name the command that fetches a split anew, in the same form where it is one that can be fetched."""
    folder = path if path.is_dir() else path.parent
    if form.startswith(_OF_HUGGING_FACE):
        folder, what = folder.parent if folder.name == "data" else folder, f"--hf --split {split}"
    elif path.name.startswith(_OF_KAGGLE):
        what = "--kaggle"
    else:
        folder = folder.parent if path.is_dir() and folder.name == split else folder
        what = split or next((name for name in SPLITS if path.name in expected_names(name)), "")
    return f"`ilsvrc fetch {what} --to {printable(fetch_folder(folder))}` fetches it" if what else ""


_OF_HUGGING_FACE = ("Parquet", "Hugging Face")
"""How the forms begin in which Hugging Face has the data set."""

_OF_KAGGLE = ("imagenet-object-localization", "imagenet_object_localization")
"""How the names of the files begin in which Kaggle has it."""
