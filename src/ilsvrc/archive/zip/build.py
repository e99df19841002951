"""Find the images of a zip by its list of members, and compare all that it says of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ilsvrc import facts
from ilsvrc.archive.catalog import SPLITS, UNKNOWN, UNSAID, Images, Small, images_of
from ilsvrc.archive.columns import are_in_order, lie_apart
from ilsvrc.archive.index import numbers, one_chunk
from ilsvrc.archive.names import NO_LABEL
from ilsvrc.archive.source import ByteSource
from ilsvrc.archive.zip.directory import Directory, find_directory
from ilsvrc.archive.zip.entry import (
    DEFLATED,
    ENCRYPTED,
    LARGEST_RATIO,
    LONGEST_HEADER,
    METHODS,
    STORED,
    BadMember,
    Entry,
    unpacked,
)
from ilsvrc.archive.zip.index import LARGEST, SCHEMA, Labels, Splits, open_splits
from ilsvrc.archive.zip.walk import Int, Members, walk
from ilsvrc.errors import ArchiveError, DamageError
from ilsvrc.events import Advanced, Finished, Listener, Started, silent
from ilsvrc.facts.names import val_name, val_number
from ilsvrc.files import printable
from ilsvrc.issues import Code, Issue

SOLUTION = "LOC_val_solution.csv"
"""The file of validation labels in Kaggle's zip: lines of image, comma, then wnid and box, repeated."""

_COLUMNS = {field.name: field.type for field in SCHEMA if field.name not in ("label", "room")}
_SPLIT = 2000
"""What a split is worth in the order of all images, by split and then by label."""

_LARGEST_SOLUTION = 1 << 27
_MOST_ISSUES = 1000
"""Contradictions that an error carries; the others are counted."""


def indexed(source: ByteSource, listener: Listener = silent) -> Splits:
    """Return the images of a zip by split, building and keeping their index first where none that fits is there.

    Raises
    ------
    DataError
        As `build_splits` does.
    """
    return open_splits(source, lambda: build_splits(source, listener))


def build_splits(source: ByteSource, listener: Listener = silent) -> Splits:
    """Return the images of a zip by its list of members; no image is read, nor any local header.

    Raises
    ------
    ArchiveError
        If the zip is damaged, cut short, encrypted, compressed by another method, or unsafe.
    DamageError
        If it contradicts itself or the facts: names and folders, or the validation labels in it.
    """
    directory = find_directory(source)
    listener(Started("index", total_images=directory.entries))
    build = _Build(source)
    for members in walk(source, directory):
        found = images_of(members.paths())
        build.add(members, found)
        listener(Advanced("index", images=len(members.names)))
    splits = build.splits(directory)
    listener(Finished("index"))
    return splits


class _Build:
    """What was found in the members of a zip so far."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._columns: dict[str, list[pa.Array]] = {name: [] for name in (*_COLUMNS, "place")}
        self._offsets: list[Int] = []
        self._extents: list[Int] = []
        self._contradictions: list[Issue] = []
        self._count = 0
        self._solution: Entry | None = None

    def add(self, members: Members, images: Images) -> None:
        """Take in some members, of which these are images."""
        self._offsets.append(members.offsets)
        self._extents.append(members.extents())
        self._find_solution(members)
        self._refuse_unsafe(members, images)
        splits = np.where(images.folder_splits == UNSAID, images.splits, images.folder_splits)
        self._compare(members, images, splits)
        rows = images.rows
        found = {
            "name": images.names,
            "place": splits * _SPLIT + np.where(splits == SPLITS.index("test"), NO_LABEL, images.labels),
            "offset": members.offsets[rows],
            "packed": members.packed[rows],
            "size": members.sizes[rows],
            "crc": members.crcs[rows],
            "method": members.methods[rows],
        }
        for name, column in found.items():
            self._columns[name].append(pa.array(column, _COLUMNS.get(name, pa.int16())))

    def splits(self, directory: Directory) -> Splits:
        """Return all images in catalog order, having compared them with all that the zip says."""
        ends = self._all_offsets(directory)
        self._raise_contradictions()
        names, places = self._column("name"), self._column("place")
        order = None
        if not are_in_order(names, numbers(places)):
            keys = [("place", "ascending"), ("name", "ascending")]
            order = pc.sort_indices(pa.table({"place": places, "name": names}), keys)
            names, places = names.take(order), places.take(order)
        columns = {"name": names}
        for name in ("offset", "packed", "size", "crc", "method"):
            column = self._column(name)
            columns[name] = column if order is None else column.take(order)
        at, packed = numbers(columns["offset"]), numbers(columns["packed"])
        room = np.minimum(ends[np.searchsorted(ends, at, "right")] - at, packed + LONGEST_HEADER)
        labels, counts = _labels(numbers(places))
        columns |= {"room": pa.array(room, pa.int32()), "label": pa.array(labels)}
        found = Splits(pa.Table.from_arrays([columns[field.name] for field in SCHEMA], schema=SCHEMA), counts)
        _refuse_twins(self._source, found, numbers(places))
        if self._solution:
            _compare_solution(self._source, self._solution)
        return found

    def _column(self, name: str) -> pa.Array:
        """Return a column of all images as one array; the parts that it was made of are given up."""
        parts = self._columns.pop(name)
        return pa.concat_arrays(parts or [pa.array([], _COLUMNS.get(name, pa.int16()))])

    def _all_offsets(self, directory: Directory) -> Int:
        """Return where all members begin, rising, and where the directory does; refuse members that share bytes."""
        none = [np.empty(0, np.int64)]
        offsets, extents = np.concatenate(self._offsets + none), np.concatenate(self._extents + none)
        self._offsets, self._extents = [], []
        if not lie_apart(offsets, extents, directory.start):
            raise _overlap(self._source, offsets, extents, directory)
        offsets.sort()
        return np.append(offsets, directory.start)

    def _find_solution(self, members: Members) -> None:
        """Remember where Kaggle's file of validation labels is, if it is among these members."""
        if SOLUTION.encode() not in b"\n".join(members.names):
            return
        for row, name in enumerate(members.names):
            if name.replace(b"\\", b"/").rpartition(b"/")[2] == SOLUTION.encode():
                _refuse_unread(self._source, members, np.array([row]), _LARGEST_SOLUTION)
                packed = members.packed.item(row)
                room = min(packed + LONGEST_HEADER, self._source.state.size - members.offsets.item(row))
                sizes = packed, members.sizes.item(row), members.crcs.item(row), members.methods.item(row)
                self._solution = Entry(members.offsets.item(row), room, *sizes)

    def _refuse_unsafe(self, members: Members, images: Images) -> None:
        rows = images.rows
        for code, wrong, detail in (
            (Code.PATH_TRAVERSAL, images.unsafe, "its name leads out of the folder that it would be unpacked to"),
            (Code.SYMLINK, members.are_links()[rows], "a symbolic link in the place of an image"),
            (Code.DEVICE, members.are_special()[rows], "no regular file, in the place of an image"),
        ):
            if wrong.any():
                raise _at(self._source, members, int(rows[wrong][0]), code, detail, "look at who made this zip")
        if (images.labels == UNKNOWN).any():
            row = int(rows[images.labels == UNKNOWN][0])
            hint = "this may be another release of ImageNet; ilsvrc handles ILSVRC 2012"
            raise _at(self._source, members, row, Code.UNKNOWN_CLASS, "no image of ILSVRC 2012", hint)
        _refuse_unread(self._source, members, rows, LARGEST)

    def _compare(self, members: Members, images: Images, splits: npt.NDArray[np.int16]) -> None:
        """Note images whose folders say another class or split than their names."""
        said = images.folder_labels
        wrong = (said != UNSAID) & (said != images.labels) & (splits != SPLITS.index("test"))
        # the validation images of imagenette have names of train images
        as_val = (images.splits == 0) & (splits == 1)
        foreign = (splits != images.splits) & ~as_val
        for place in np.flatnonzero(wrong | foreign).tolist():
            self._count += 1
            if len(self._contradictions) < _MOST_ISSUES:
                path = printable(members.path(images.rows.item(place)))
                if foreign[place]:
                    named, lies = SPLITS[images.splits[place]], SPLITS[splits[place]]
                    issue = Issue(path, Code.WRONG_FILE, f"its folder says {lies}, its name {named}")
                else:
                    detail = (
                        f"its folder says {_class(said.item(place))}, its name {_class(images.labels.item(place))}"
                    )
                    issue = Issue(path, Code.WRONG_LABEL, detail)
                self._contradictions.append(issue)

    def _raise_contradictions(self) -> None:
        if not self._contradictions:
            return
        first = self._contradictions[0]
        others = f"; so it is with {self._count:,} images in all" if self._count > 1 else ""
        message = f"{self._source.path}: {first.key}: {first.detail}{others} [{first.code}]"
        hint = "find out which is right: unpack the zip, then `ilsvrc check` its folders, or fetch it again"
        raise DamageError(message, self._contradictions, hint=hint)


def _class(label: int) -> str:
    return f"{facts.classes()[label].wnid} (index {label})" if label >= 0 else "a class that ILSVRC 2012 has not"


def _at(  # noqa: PLR0913, PLR0917  -- what, where, what to do
    source: ByteSource, members: Members, row: int, code: Code, detail: str, hint: str
) -> ArchiveError:
    """Return the error about a member."""
    member = printable(members.path(row))
    offset = members.offsets.item(row)
    return ArchiveError(code, detail, source.path, member=member, offset=offset, hint=hint)


def _refuse_unread(source: ByteSource, members: Members, rows: Int, largest: int) -> None:
    """Refuse members that are encrypted, compressed by a method that is not read, or impossibly large."""
    methods, sizes, packed = members.methods[rows], members.sizes[rows], members.packed[rows]
    stored = methods == STORED
    again = "unpack it with 7z, and give ilsvrc the folder"
    encrypted = (members.flags[rows] & ENCRYPTED) > 0
    if encrypted.any():
        detail = "it is encrypted"
        raise _at(
            source, members, int(rows[encrypted][0]), Code.ENCRYPTED, detail, f"{again}; this takes its password"
        )
    strange = ~stored & (methods != DEFLATED)
    if strange.any():
        method = int(methods[strange][0])
        detail = f"it is compressed by method {method} ({METHODS.get(method, 'not a known one')})"
        detail += "; stored and deflated ones are read"
        raise _at(source, members, int(rows[strange][0]), Code.COMPRESSED, detail, again)
    larger = (sizes > largest) | (packed > 2 * largest) | (sizes < 0) | (packed < 0) | (stored & (packed != sizes))
    larger |= sizes > LARGEST_RATIO * packed + LARGEST_RATIO
    if larger.any():
        at = int(np.flatnonzero(larger)[0])
        detail = f"it is said to unpack from {packed[at]:,} to {sizes[at]:,} bytes, which is not believed"
        raise _at(source, members, int(rows[at]), Code.BAD_HEADER, detail, "look at who made this zip")


def _labels(places: Small) -> tuple[Labels, tuple[int, ...]]:
    """Return the label of each image by its place in the order of all, and how many images each split has."""
    splits = (places - NO_LABEL) // _SPLIT
    labels: Labels = places - splits * np.int16(_SPLIT)
    return labels, tuple(np.bincount(splits, minlength=len(SPLITS)).tolist())


def _overlap(source: ByteSource, offsets: Int, extents: Int, directory: Directory) -> ArchiveError:
    """Return the error for members that share bytes, or lie beyond the others."""
    order = np.argsort(offsets, kind="stable")
    starts, stops = offsets[order], (offsets + extents)[order]
    later = np.append(starts[1:], directory.start)
    wrong = np.flatnonzero((starts < 0) | (stops < starts) | (stops > np.minimum(later, directory.start)))
    place = max(int(starts[wrong[0]]), 0) if len(wrong) else 0
    detail = "the member here would share bytes with the next one, or with the list of members"
    return ArchiveError(Code.BAD_HEADER, detail, source.path, offset=place, hint="look at who made this zip")


def _refuse_twins(source: ByteSource, splits: Splits, places: Small) -> None:
    """Refuse two members that stand for the same image."""
    names = one_chunk(splits.table.column("name"))
    if are_in_order(names, places):
        return
    same = pc.and_(pc.equal(names.slice(1), names.slice(0, len(names) - 1)), pa.array(places[1:] == places[:-1]))
    row = pc.index(same, True).as_py()
    first, second = sorted(splits.table.column("offset").slice(row, 2).to_pylist())
    detail = f"it is there twice, first at byte {first:,}"
    hint = "fetch the zip again, or remove one of the two from it"
    name = str(names[row].as_py())
    raise ArchiveError(Code.DUPLICATE_MEMBER, detail, source.path, member=name, offset=second, hint=hint)


def _compare_solution(source: ByteSource, entry: Entry) -> None:
    """Compare the validation labels in the zip with the packaged truth."""
    try:
        text = unpacked(source, entry, lambda name: name.endswith(SOLUTION.encode())).decode("utf-8", "replace")
    except BadMember as fault:
        hint = "fetch the zip again"
        raise ArchiveError(
            fault.code, str(fault), source.path, member=SOLUTION, offset=entry.offset, hint=hint
        ) from None
    issues = []
    for line in text.splitlines():
        image, _, boxes = line.partition(",")
        number = val_number(image)
        said = boxes.partition(" ")[0]
        if number is None or not said:
            continue  # the line of titles
        true = facts.classes()[int(facts.val_labels()[number - 1])]
        if said != true.wnid:
            detail = f"{SOLUTION} says {said}, the devkit {true.wnid} (index {true.index})"
            issues.append(Issue(val_name(number), Code.WRONG_LABEL, detail))
    if issues:
        first = issues[0]
        message = f"{source.path}: {first.key}: {first.detail}; {len(issues):,} labels differ in all [{first.code}]"
        hint = "this is not the file that Kaggle serves: fetch the zip again"
        raise DamageError(message, issues[:_MOST_ISSUES], hint=hint)
