"""Everything that is known of one image."""

from __future__ import annotations

from dataclasses import dataclass

import xxhash

from ilsvrc import facts
from ilsvrc.errors import ArchiveError, DamageError, DataError
from ilsvrc.facts import Synset
from ilsvrc.facts.names import val_number
from ilsvrc.images.exif import exif_of
from ilsvrc.images.inspect import ending_in, ending_of, examine
from ilsvrc.images.measure import Measure, measure
from ilsvrc.issues import Code, Issue
from ilsvrc.labels.query import Match
from ilsvrc.readers.reader import Place
from ilsvrc.web.view.collection import Split


@dataclass(frozen=True, slots=True)
class About:
    """What is known of an image.

    name : official file name
    row : its number in the split
    place : where it lies
    size : bytes
    match : its class with the labels of every scheme; None without a label
    measure : what its header says; None if it is no image
    digest : xxh3_128 of the bytes that were read, in hex; empty if they can't be read
    recorded : the digest that was recorded, in hex; empty if none was
    issue : its fault or oddity, after decoding all of it
    blacklisted : whether ILSVRC 2014 left it out of the validation set
    exif : EXIF fields, by name
    before, after : rows of the neighbours in its class; None at the ends
    """

    name: str
    row: int
    place: Place
    size: int
    match: Match | None
    measure: Measure | None
    digest: str
    recorded: str
    issue: Issue | None
    blacklisted: bool
    exif: dict[str, str]
    before: int | None
    after: int | None

    @property
    def synset(self) -> Synset | None:
        """Its class."""
        return self.match.synset if self.match else None


def about(split: Split, row: int) -> About:
    """Read an image, decode it, and return all that is known of it; an image that can't be read has an issue."""
    reader = split.reader
    name, place = reader.name(row), reader.where(row)
    label = int(reader.labels[row])
    synset = facts.classes()[label] if label >= 0 else None
    recorded = reader.digest(row)
    data, issue = b"", None
    try:
        data = reader.read(row)
        issue = examine(name, data, ending_in(data, ending_of(place.key)))
        split.measures.keep(row, data)
    except DataError as error:
        issue = _issue_of(error, name)
    siblings = split.rows(synset)
    return About(
        name=name,
        row=row,
        place=place,
        size=int(reader.sizes[row]),
        match=Match(synset, "") if synset else None,
        measure=measure(data) if data else None,
        digest=xxhash.xxh3_128_hexdigest(data) if data else "",
        recorded=recorded.hex() if recorded else "",
        issue=issue,
        blacklisted=val_number(name) in facts.val_blacklist(),
        exif=exif_of(data) if data else {},
        before=row - 1 if row > siblings[0] else None,
        after=row + 1 if row < siblings[-1] else None,
    )


def _issue_of(error: DataError, name: str) -> Issue:
    if isinstance(error, ArchiveError):
        return Issue(name, error.code, error.message)
    if isinstance(error, DamageError) and error.issues:
        return error.issues[0]
    return Issue(name, Code.UNREADABLE, error.message)
