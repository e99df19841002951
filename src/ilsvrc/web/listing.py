"""The issues of a check as a page lists them: counted by kind and class, the first of each kind by name."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from ilsvrc import facts
from ilsvrc.check.places import NO_ROW
from ilsvrc.check.report import CheckReport, PartReport
from ilsvrc.errors import DataError
from ilsvrc.facts.names import true_label
from ilsvrc.images.decode import UndecodableError
from ilsvrc.images.thumbnail import thumbnail
from ilsvrc.issues import Issue
from ilsvrc.readers.reader import Place

LISTED = 1_000
"""Issues that a page lists by name."""

PICTURED = 200
"""Issues that it shows a thumbnail of."""

SIDE = 96
"""Pixels of a thumbnail's longer side; a page shows it at half of that, sharp on dense screens too."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An issue in the list.

    issue : the issue
    split : of its part, or where that has none, the name of its file
    place : where its image lies; None if it is about no image that is there
    row : the row of its image; NO_ROW if it is about no image that is there
    class_name : wnid and name of the class that it is about; empty for none
    picture : data URI of a thumbnail; empty where there is none
    undecodable : whether a thumbnail was tried and could not be made
    """

    issue: Issue
    split: str
    place: Place | None
    row: int
    class_name: str
    picture: str = field(default="", repr=False)
    undecodable: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """The issues of one kind.

    code : the kind
    count : how many there are
    classes : how many classes they are about
    listed : how many are listed by name
    """

    code: str
    count: int
    classes: int
    listed: int


@dataclass(frozen=True, slots=True)
class Listing:
    """Issues, counted and listed.

    count : how many there are, those included that a comparison counts and does not name
    kinds : by kind, the most frequent first
    classes : how many issues each class has, the most frequent first
    entries : the issues that are listed
    unpictured : how many of all issues are about an image that is there, and have no thumbnail tried
    """

    count: int
    kinds: tuple[Kind, ...]
    classes: tuple[tuple[str, int], ...]
    entries: tuple[Entry, ...]
    unpictured: int

    @property
    def splits(self) -> list[str]:
        """The splits of the entries, each once."""
        return list(dict.fromkeys(entry.split for entry in self.entries))


Found = tuple[PartReport, int]
"""An issue: its part, and its number in that."""


def list_issues(report: CheckReport, *, known: bool) -> Listing:
    """Return the faults of a report, or what is known to be odd in the official archives too.

    Of every kind the first issues are listed, until LISTED are; of these the first of every kind have thumbnails.
    """
    found = [
        (part, number)
        for part in report.parts
        for number, issue in enumerate(part.issues)
        if issue.is_damage is not known
    ]
    codes = [str(part.issues[number].code) for part, number in found]
    classes = [class_of(part.issues[number]) for part, number in found]
    listed = first_of_each(codes, LISTED)
    pictured = set(first_of_each([codes[at] if _row(found[at]) != NO_ROW else "" for at in listed], PICTURED))
    entries = [_entry(*found[at], classes[at], pictured=order in pictured) for order, at in enumerate(listed)]
    unlisted = 0 if known else sum(part.comparison.unlisted for part in report.parts if part.comparison)
    with_image = sum(_row(one) != NO_ROW for one in found)
    tried = sum(bool(entry.picture) or entry.undecodable for entry in entries)
    return Listing(
        count=len(found) + unlisted,
        kinds=_kinds(codes, classes, [codes[at] for at in listed]),
        classes=tuple(Counter(filter(None, classes)).most_common()),
        entries=tuple(entries),
        unpictured=with_image - tried,
    )


def class_of(issue: Issue) -> str:
    """Return wnid and name of the class that an issue is about, by its key; empty if it names none."""
    name = issue.key.rpartition("/")[2]
    label = true_label(name)
    synset = facts.classes()[label] if label is not None else facts.classes().get(name)
    return f"{synset.wnid} {synset.name}" if synset else ""


def first_of_each(kinds: Sequence[str], most: int) -> list[int]:
    """Return the positions of `most` things, in order: the first of each kind, then the second of each, and so on.

    Things of the kind "" are left out.
    """
    seen = Counter[str]()
    ranks = []
    for at, kind in enumerate(kinds):
        if kind:
            ranks.append((seen[kind], at))
            seen[kind] += 1
    return sorted(at for _, at in sorted(ranks)[:most])


def _kinds(codes: Sequence[str], classes: Sequence[str], listed: Iterable[str]) -> tuple[Kind, ...]:
    named = Counter(listed)
    about: dict[str, set[str]] = {}
    for code, one in zip(codes, classes, strict=True):
        about.setdefault(code, set()).update({one} - {""})
    return tuple(Kind(code, count, len(about[code]), named[code]) for code, count in Counter(codes).most_common())


def _row(found: Found) -> int:
    part, number = found
    return part.overview.rows.item(number) if part.overview else NO_ROW


def _entry(part: PartReport, number: int, class_name: str, *, pictured: bool) -> Entry:
    issue, overview, row = part.issues[number], part.overview, _row((part, number))
    place = overview.place(number) if overview else None
    entry = Entry(issue, part.split or part.name, place, row, class_name)
    if not pictured or overview is None:
        return entry
    try:
        small = thumbnail(overview.images.read(row), SIDE)
    except (DataError, OSError, UndecodableError):
        return replace(entry, undecodable=True)
    return replace(entry, picture=f"data:image/jpeg;base64,{base64.b64encode(small).decode('ascii')}")
