"""The output of `ilsvrc labels` for people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ilsvrc.facts import ClassList
from ilsvrc.labels.causes import Cause
from ilsvrc.labels.detect import Detection
from ilsvrc.labels.query import Match
from ilsvrc.labels.rewrite import Rewritten
from ilsvrc.labels.verify import Verdict

_IN_FULL = 3
"""Up to this many matches are shown in full, more as a list."""


def print_matches(console: Console, matches: Sequence[Match]) -> None:
    """Print the classes that match a query: few in full, many as a list."""
    if len(matches) <= _IN_FULL:
        for match in matches:
            _print_match(console, match)
        return
    found = Table("index", "wnid", "devkit", "words", "found as", box=None, pad_edge=False)
    for match in matches:
        synset = match.synset
        found.add_row(str(synset.index), synset.wnid, str(synset.devkit_id), synset.words, match.found_as)
    _print_wide(console, found)


def _print_match(console: Console, match: Match) -> None:
    synset = match.synset
    console.print(f"{synset.wnid}  {synset.words}  ({match.found_as})", style="bold", markup=False)
    console.print("  " + ", ".join(f"{name} {label}" for name, label in match.labels.items()), markup=False)
    console.print(f"  {synset.train_images} train images, 50 validation images", markup=False)
    console.print("  " + " > ".join(match.place), markup=False)
    for other in match.namesakes:
        warning = f"  the name is shared: {other.name} is {other.wnid}, index {other.index}; this is {synset.name}"
        console.print(warning, style="yellow", markup=False)


def print_table(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    """Print the mapping in columns."""
    mapping = Table(*rows[0], box=None, pad_edge=False)
    for row in rows:
        mapping.add_row(*map(str, row.values()))
    _print_wide(console, mapping)


def print_lists(console: Console, lists: Sequence[ClassList]) -> None:
    """Print the class lists, one a line."""
    found = Table("name", "classes", "what it is", "source", box=None, pad_edge=False)
    for listed in lists:
        found.add_row(listed.name, str(len(listed.wnids)), listed.title, f"{listed.repository}, {listed.path}")
    _print_wide(console, found)


def print_list(console: Console, listed: ClassList) -> None:
    """Print the classes of one list, and where it comes from."""
    found = Table("index", "wnid", "name", box=None, pad_edge=False)
    for synset in listed.synsets:
        found.add_row(str(synset.index), synset.wnid, synset.name)
    _print_wide(console, found)
    source = f"github.com/{listed.repository}, {listed.path} at commit {listed.commit[:12]}"
    console.print(f"{len(listed.wnids)} classes, {listed.title}: {source}", markup=False)


def _print_wide(console: Console, table: Table) -> None:
    """Print a table without cutting cells off where standard output is no terminal."""
    if not console.is_terminal:
        console.width = 250
    console.print(table, markup=False)


def print_verdict(console: Console, verdict: Verdict) -> None:
    """Print what came of comparing a label file with the truth; of an archive, member by member."""
    for member in verdict.members:
        print_verdict(console, member)
    console.print(f"{verdict.path}: {verdict.form}", style="bold", markup=False)
    if verdict.cause is not Cause.NO_LABELS and not verdict.members:
        whose = f", the images of {verdict.selection}" if verdict.selection else ""
        unit = f"in the scheme {verdict.scheme}" if verdict.scheme else "in the closest scheme"
        console.print(f"  agrees for {verdict.agree:,} of {verdict.total:,}{whose}, {unit}", markup=False)
    if verdict.cause or verdict.members:
        style = "yellow" if verdict.ok or verdict.cause is Cause.NO_LABELS else "red"
        cause = f"{verdict.cause}: " if verdict.cause else ""
        console.print(f"  {cause}{verdict.detail}", style=style if verdict.cause else "", markup=False)
    for d in verdict.differences:
        where = f"line {d.line}, " if d.line else ""
        console.print(f"  {where}{d.subject}: says {d.said}, should be {d.truth or 'absent'}", markup=False)


def print_rewritten(console: Console, done: Rewritten, output: Path | None) -> None:
    """Print a rewritten file, or where it was written."""
    if output is None:
        console.file.write(done.text)
    else:
        console.print(f"{output}: {done.labels:,} labels from {done.source} to {done.target}", markup=False)


def print_detection(console: Console, detection: Detection) -> None:
    """Print a model's accuracy under each scheme, and the verdict."""
    scores = Table("scheme", "top-1", "95 % interval", "top-5", box=None, pad_edge=False)
    for score in sorted(detection.scores, key=lambda s: -s.top1):
        low, high = score.interval
        top5 = "" if score.top5 is None else f"{score.top5:.1%}"
        style = "bold green" if score.scheme == detection.scheme else ""
        scores.add_row(score.scheme, f"{score.top1:.1%}", f"{low:.1%} to {high:.1%}", top5, style=style)
    console.print(scores)
    named = f"{detection.scheme} ({detection.images:,} images)" if detection.scheme else "no scheme is named"
    console.print(f"{named}: {detection.reason}", style="bold", markup=False)
    if detection.equivalents:
        console.print(f"  the classes have the same numbers in {', '.join(detection.equivalents)}", markup=False)
    if detection.scheme is None and detection.needed:
        console.print(f"  about {detection.needed:,} more images would settle it", markup=False)
