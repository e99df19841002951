"""Build the index of an archive from its headers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ilsvrc import facts
from ilsvrc.archive.apart import InnerWalks
from ilsvrc.archive.expected import is_official
from ilsvrc.archive.index import SCHEMA, Index
from ilsvrc.archive.names import RefusedName, flat_image, inner_label, split_of, train_name
from ilsvrc.archive.source import ArchiveSource
from ilsvrc.archive.tar import Extent, Members
from ilsvrc.archive.walk import inner_walks, walk, walk_all
from ilsvrc.errors import ArchiveError
from ilsvrc.events import Advanced, Finished, Listener, Started, silent
from ilsvrc.issues import Code

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Tar:
    """The members of one tar and its place in the archive, so that an error about a member names its place."""

    source: ArchiveSource
    members: Members
    inner: str = ""

    def read_names(self, read: Callable[[str], T]) -> list[T]:
        """Return `read(name)` for every member, in archive order."""
        found = []
        for name in self.members.names:
            try:
                found.append(read(name))
            except RefusedName as fault:
                raise self._at(len(found), fault) from None
        return found

    def refuse_twins(self, keys: Sequence[object]) -> None:
        """Refuse two members that stand for the same image or class: one would overwrite the other."""
        if len(set(keys)) == len(keys):
            return
        seen: dict[object, int] = {}
        for at, key in enumerate(keys):
            if key in seen:
                detail = f"it is there twice, first at byte {self.members.offsets[seen[key]]:,}"
                fault = RefusedName(Code.DUPLICATE_MEMBER, detail, "fetch the official archive")
                raise self._at(at, fault)
            seen[key] = at

    def _at(self, at: int, fault: RefusedName) -> ArchiveError:
        """Return the error for the member at this position."""
        member = "/".join(part for part in (self.inner, self.members.names[at]) if part)
        return fault.at(self.source.path, member, int(self.members.offsets[at]))


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of an index in catalog order: those of one class, or of a flat archive."""

    names: pa.StringArray  # a million Python strings would take a hundred megabytes
    labels: npt.NDArray[np.int16]
    offsets: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]


def build_index(source: ArchiveSource, listener: Listener = silent) -> Index:
    """Return the index of an ILSVRC 2012 image archive, having proved its structure.

    Many inner archives are walked at once, each bounded by its size in the outer one. No image is read.

    Raises
    ------
    ArchiveError
        If a member is unsafe, damaged or unknown; the message names archive, member and byte offset.
    """
    with inner_walks(source) as inner:
        outer = walk(source, Extent(0, source.state.size), inner)
        split = _split(outer, source)
        train = split == "train"
        parts = _train_rows(source, outer, inner, listener) if train else [_flat_rows(source, outer, split)]
    columns = [
        pa.concat_arrays([part.names for part in parts]),
        *(pa.array(np.concatenate([getattr(part, c) for part in parts])) for c in ("labels", "offsets", "sizes")),
    ]
    return Index(source.path.name, split, pa.Table.from_arrays(columns, schema=SCHEMA))


def _split(outer: Members, source: ArchiveSource) -> str:
    """Return the split of an archive by its first member; refuse an archive whose file name is of another split."""
    split = split_of(outer.names[0]) if outer.names else None
    if split is None:
        first = f"its first member is {outer.names[0]}" if outer.names else "it has no members"
        again = "it is an empty tar, or a download that only reserved its room: fetch the archive again"
        hint = "give the archive of a split" if outer.names else again
        raise ArchiveError(Code.WRONG_FILE, f"not an image archive of ILSVRC 2012: {first}", source.path, hint=hint)
    official = facts.official(source.path.name)
    if official and official.split != split:
        named = official.split or official.contents
        hint = "give the archive its right name, or fetch the right one"
        raise ArchiveError(
            Code.WRONG_FILE, f"named as {named}, but it holds the {split} split", source.path, hint=hint
        )
    return split


def _train_rows(source: ArchiveSource, outer: Members, inner: InnerWalks | None, listener: Listener) -> list[_Rows]:
    """Walk the archives of all classes; return their rows by label."""
    tar = _Tar(source, outer)
    labels = tar.read_names(inner_label)
    tar.refuse_twins(labels)
    official = sum(s.train_images for s in facts.classes()) if is_official(source.path, source.state.size) else 0
    listener(Started("index", total_images=official))
    starts, stops = outer.offsets.tolist(), (outer.offsets + outer.sizes).tolist()
    extents = [Extent(*bounds) for bounds in zip(starts, stops, outer.names, strict=True)]
    parts: dict[int, _Rows] = {}
    for extent, label, members in zip(extents, labels, walk_all(source, extents, inner), strict=True):
        parts[label] = _class_rows(_Tar(source, members, extent.inner), label)
        listener(Advanced("index", images=len(members.names)))
    listener(Finished("index"))
    return [parts[label] for label in sorted(parts)]


def _class_rows(tar: _Tar, label: int) -> _Rows:
    """Return the rows of one class's archive."""
    names = tar.read_names(partial(train_name, wnid=facts.classes()[label].wnid))
    tar.refuse_twins(names)
    return _sorted_rows(names, np.full(len(names), label, np.int16), tar.members)


def _flat_rows(source: ArchiveSource, outer: Members, split: str) -> _Rows:
    """Read the names of the val or test archive."""
    tar = _Tar(source, outer)
    images = tar.read_names(partial(flat_image, split=split))
    tar.refuse_twins([image.number for image in images])
    labels = np.array([image.label for image in images], np.int16)
    return _sorted_rows([image.name for image in images], labels, outer)


def _sorted_rows(names: list[str], labels: npt.NDArray[np.int16], members: Members) -> _Rows:
    order = np.lexsort((np.array(names), labels))
    ordered = pa.array([names[i] for i in order], pa.string())
    return _Rows(ordered, labels[order], members.offsets[order], members.sizes[order])
