"""What `check` found: what was compared with what, what was not, and one verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ilsvrc.check.overview import Overview
from ilsvrc.issues import Issue, damage
from ilsvrc.paths import given_location
from ilsvrc.tree.counts import Expectation
from ilsvrc.words import counted

ARCHIVE = "archive"
"""The form of an official archive."""

FOLDERS = "class folders"
"""The form of a tree."""

SCHEMA = "ilsvrc.check/1"
"""Names the form of the document; the number grows when a field changes its meaning or goes away."""

LISTED = 20
"""Images of each kind that a comparison lists by name."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison that was made.

    what : what was compared, such as `names and sizes`
    against : what it was compared with, such as `the manifest`
    """

    what: str
    against: str


@dataclass(frozen=True, slots=True)
class NotCompared:
    """A comparison that was not made.

    what : what was not compared, such as `digests`
    reason : why, or what to do so that it is
    """

    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Listed:
    """Some images.

    count : how many there are
    first : the first LISTED of them, by their keys
    """

    count: int = 0
    first: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """A split compared with that of another data set, image by image, by official name.

    against : the other data set's file or folder
    what : what was compared of images with one name: `sizes` or `bytes`
    equal : images that are equal
    differing : images that are in both and differ
    only_here : images that the other data set lacks
    only_there : images that the other data set has and this one lacks
    """

    against: str
    what: str
    equal: int
    differing: Listed
    only_here: Listed
    only_there: Listed

    @property
    def unlisted(self) -> int:
        """How many images differ or lie on one side alone, and are not listed by name."""
        return sum(kind.count - len(kind.first) for kind in (self.differing, self.only_here, self.only_there))

    def __str__(self) -> str:
        counts = f"{self.equal:,} equal, {self.differing.count:,} differing"
        sides = f"{self.only_here.count:,} only here, {self.only_there.count:,} only there"
        return f"image by image with {self.against}, by {self.what}: {counts}, {sides}"


@dataclass(frozen=True, slots=True)
class Findings:
    """What one kind of comparison of a split found.

    issues : what is wrong
    compared, not_compared : what was compared, and what was not
    comparison : the counts, where it was compared with another data set
    expected : how many images each class should have, where counts were compared
    wanted : how many images there should be, where counts were compared
    """

    issues: tuple[Issue, ...] = ()
    compared: tuple[Compared, ...] = ()
    not_compared: tuple[NotCompared, ...] = ()
    comparison: Comparison | None = None
    expected: Expectation | None = None
    wanted: int | None = None


@dataclass(frozen=True, slots=True)
class PartReport:
    """What was found in one split.

    where : the file or folder that holds it
    split : train, val or test; empty for a file that can't be read
    form : the form that was recognised: `class folders`, `archive`, `zip`
    layout : of class folders: wnid, index, padded, flat, a template or unknown; else empty
    images, classes, bytes : how many there are
    wanted : how many images there should be, by the origin of the counts; None if counts were not compared
    issues : what is wrong, or unusual
    compared, not_compared : the comparisons that were made, and those that were not
    comparison : the comparison with another data set, or None
    unproved : whether nothing tells the digests of its bytes
    order : the labels that a reader of sorted folder names gives, in words; empty where there are no folders
    warnings : what is no fault of the data, but would hurt whoever does not know of it
    digest : of packed images: the digest that this check found right; else None
    hint : what to do next, with the command; empty if nothing is left to do
    overview : its figures, if they were asked for and it can be read
    """

    where: str
    split: str
    form: str
    layout: str = ""
    images: int = 0
    classes: int = 0
    bytes: int = 0
    issues: tuple[Issue, ...] = ()
    compared: tuple[Compared, ...] = ()
    not_compared: tuple[NotCompared, ...] = ()
    comparison: Comparison | None = None
    wanted: int | None = None
    unproved: bool = False
    order: str = ""
    warnings: tuple[str, ...] = ()
    digest: str | None = None
    hint: str = ""
    overview: Overview | None = None

    @property
    def name(self) -> str:
        """What a sentence calls it: an official archive's file name, or the split."""
        return Path(self.where).name if self.form == ARCHIVE or not self.split else self.split

    @property
    def faults(self) -> int:
        """How many faults there are, those included that are counted and not listed."""
        return len(damage(self.issues)) + (self.comparison.unlisted if self.comparison else 0)

    @property
    def comparisons(self) -> list[str]:
        """What was compared with what and what was not, a line for each thing that it was compared with."""
        return [*_made([self]), *([str(self.comparison)] if self.comparison else []), *_not_made([self])]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values; each issue with the place of its image, where there is an overview."""
        overview = self.overview
        places = [overview.place(number) if overview else None for number in range(len(self.issues))]
        issues = [
            asdict(issue) | {"place": asdict(place) if place else None}
            for issue, place in zip(self.issues, places, strict=True)
        ]
        plain = asdict(replace(self, issues=(), overview=None))
        return plain | {"issues": issues, "overview": overview.to_dict() if overview else None}


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What `check` found at a path.

    path : what was checked
    deep : whether every image was read and decoded
    parts : one for every split in every form that it is there in
    """

    path: str
    deep: bool
    parts: tuple[PartReport, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no damage."""
        return not any(part.faults for part in self.parts)

    @property
    def damage(self) -> list[Issue]:
        """Every issue that is not merely unusual."""
        return [issue for part in self.parts for issue in damage(part.issues)]

    @property
    def recognised(self) -> str:
        """One line: which form was recognised, of which splits, and where."""
        groups: dict[tuple[str, str], list[str]] = {}
        for part in self.parts:
            beside = len(self.parts) > 1 and part.form == FOLDERS
            where = str(given_location(part.where).parent) if beside else part.where
            groups.setdefault((part.form, where), []).append(part.split or "not readable")
        return "; ".join(f"{form} ({', '.join(splits)}) at {where}" for (form, where), splits in groups.items())

    @property
    def verdict(self) -> str:
        """One sentence: what was found, what was compared with what, what was not compared, and what is unproved."""
        warned = [(text, "warning", part.name) for part in self.parts for text in part.warnings]
        warnings = [f"{word}: {text}" for text, word in _by_first(warned, len(self.parts))]
        details = [*_made(self.parts), *_unproved(self.parts, deep=self.deep), *_not_made(self.parts), *warnings]
        return ": ".join(filter(None, (self.finding, "; ".join(details))))

    @property
    def finding(self) -> str:
        """The beginning of the verdict: whether anything is wrong, as far as anything said what would be right."""
        count = sum(part.faults for part in self.parts)
        if count:
            return counted(count, "fault")
        decoded = ", all of which were decoded" if self.deep else ""
        images = f"{counted(sum(part.images for part in self.parts), 'image')}{decoded}"
        bare = [part.name for part in self.parts if not part.compared]
        if bare:
            return f"no fault was found in {images}, but {_joined(bare)} could be compared with nothing"
        return f"nothing is wrong in {images}"

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, the verdict included."""
        said = {"ok": self.ok, "verdict": self.verdict, "recognised": self.recognised}
        parts = [part.to_dict() for part in self.parts]
        return {"schema": SCHEMA, **said, "path": self.path, "deep": self.deep, "parts": parts}


def _unproved(parts: Sequence[PartReport], *, deep: bool) -> list[str]:
    """Say of which parts no digest is known, and what was compared instead."""
    groups: dict[str, list[str]] = {}
    for part in (part for part in parts if part.unproved and part.images):
        made = list(dict.fromkeys(made.what for made in part.compared))
        instead = [f"{_joined(made)} were compared"] if made else []
        instead += ["every image was decoded"] if deep else []
        told = f"unproved, as no digest is known{', but ' if instead else ''}{' and '.join(instead)}"
        groups.setdefault(told, []).append(part.name)
    return [
        told if len(names) == len(parts) else f"{_joined(names)} {'is' if len(names) == 1 else 'are'} {told}"
        for told, names in groups.items()
    ]


def _made(parts: Sequence[PartReport]) -> list[str]:
    """Say what was compared, in a clause for each thing that it was compared with."""
    found = [(made.against, made.what, part.name) for part in parts for made in part.compared]
    return [f"{whats} compared with {against}" for against, whats in _by_first(found, len(parts))]


def _not_made(parts: Sequence[PartReport]) -> list[str]:
    """Say what was not compared, in a clause for each reason."""
    found = [(lack.reason, lack.what, part.name) for part in parts for lack in part.not_compared]
    return [f"{whats} not compared: {reason}" for reason, whats in _by_first(found, len(parts))]


def _by_first(found: Iterable[tuple[str, str, str]], parts: int) -> list[tuple[str, str]]:
    """Group (reason, what, part) by reason: each reason with the list of what it is about, in words.

    A thing that is not of all parts is followed by the names of its parts.
    """
    groups: dict[str, dict[str, list[str]]] = {}
    for reason, what, name in found:
        groups.setdefault(reason, {}).setdefault(what, []).append(name)

    def listed(names_of: dict[str, list[str]]) -> str:
        return _joined(
            what if len(names) == parts else f"{what} ({', '.join(names)})" for what, names in names_of.items()
        )

    return [(reason, listed(names_of)) for reason, names_of in groups.items()]


def _joined(words: Iterable[str]) -> str:
    """Return words as a list in a sentence: `a, b and c`."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
