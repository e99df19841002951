"""What `check` found: what was compared with what, what was not, and one verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ilsvrc.issues import Issue, damage

ARCHIVE = "archive"
"""What `PartReport.layout` says of an archive."""


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
class PartReport:
    """What was found in one split of a tree, or in one archive.

    where : folder or archive
    split : train, val or test; empty for an archive that can't be read
    layout : of a tree: wnid, index, padded, flat, a template or unknown; `archive` of an archive
    images, classes, bytes : how many there are
    issues : what is wrong, or unusual
    compared, not_compared : the comparisons that were made, and those that were not
    order : the labels that a reader of sorted folder names gives, in words; empty for archives
    warnings : what is no fault of the data, but would hurt whoever does not know of it
    digest : of an archive: the digest that this check found right; else None
    """

    where: str
    split: str
    layout: str
    images: int = 0
    classes: int = 0
    bytes: int = 0
    issues: tuple[Issue, ...] = ()
    compared: tuple[Compared, ...] = ()
    not_compared: tuple[NotCompared, ...] = ()
    order: str = ""
    warnings: tuple[str, ...] = ()
    digest: str | None = None

    @property
    def name(self) -> str:
        """What a sentence calls it: the archive's file name, or the split."""
        return Path(self.where).name if self.layout == ARCHIVE else self.split

    @property
    def comparisons(self) -> list[str]:
        """What was compared with what and what was not, a line for each thing that it was compared with."""
        return [*_made([self]), *_not_made([self])]


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What `check` found at a path.

    path : what was checked
    deep : whether every image was read and decoded
    parts : one for every split or archive
    """

    path: str
    deep: bool
    parts: tuple[PartReport, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no damage."""
        return not self.damage

    @property
    def damage(self) -> list[Issue]:
        """Every issue that is not merely unusual."""
        return [issue for part in self.parts for issue in damage(part.issues)]

    @property
    def verdict(self) -> str:
        """One sentence: what was found, what was compared with what, and what was not compared."""
        warned = [(text, "warning", part.name) for part in self.parts for text in part.warnings]
        warnings = [f"{word}: {text}" for text, word in _by_first(warned, len(self.parts))]
        details = [*_made(self.parts), *_not_made(self.parts), *warnings]
        return ": ".join(filter(None, (self._finding(), "; ".join(details))))

    def _finding(self) -> str:
        """Say whether anything is wrong, as far as anything said what would be right."""
        count = len(self.damage)
        if count:
            return f"{count:,} fault{'' if count == 1 else 's'}"
        decoded = ", all of which were decoded" if self.deep else ""
        images = f"{sum(part.images for part in self.parts):,} images{decoded}"
        bare = [part.name for part in self.parts if not part.compared]
        if bare:
            return f"no fault was found in {images}, but {_joined(bare)} could be compared with nothing"
        return f"nothing is wrong in {images}"

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, the verdict included."""
        return {"ok": self.ok, "verdict": self.verdict, **asdict(self)}


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
