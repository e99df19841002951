"""Compare a split with that of another data set of any form, image by image, by official name."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ilsvrc.archive.index import numbers, one_chunk
from ilsvrc.check.report import LISTED, Compared, Comparison, Findings, Listed, NotCompared
from ilsvrc.check.sweep import Sweeper, Swept, digests_of
from ilsvrc.errors import UsageError
from ilsvrc.events import Listener, silent
from ilsvrc.files import printable
from ilsvrc.issues import Code, Issue
from ilsvrc.paths import given_location
from ilsvrc.readers.locate import find_splits, nothing_found
from ilsvrc.readers.reader import Found, Int, Reader
from ilsvrc.readers.shards import ShardReader
from ilsvrc.readers.subset import SubsetReader
from ilsvrc.stores.path import Location

Pairs = tuple[Int, Int]
"""Rows of the first data set and of the other, of one length."""

_SOURCES = "sources of images that were made anew"

_OFFICIAL = r"^(?:n\d{8}_\d+|ILSVRC2012_(?:val|test)_\d{8})\.JPEG$"
_NUMBERED = re.compile(r"ILSVRC2012_(val|test)_0*(\d{1,8})\.jpe?g", re.IGNORECASE)
_ENDING = re.compile(r"\.jpe?g", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Other:
    """A split of the data set to compare with.

    images : its reader, with recorded digests where there are any
    origin : what messages call the data set: the name of the file that was given, or the path of the folder
    """

    images: Reader
    origin: str


def open_others(path: Location | str, listener: Listener = silent) -> dict[str, Other]:
    """Return all splits of the data set to compare with.

    Raises
    ------
    UsageError
        If nothing is there.
    """
    root = given_location(path).absolute()
    found = find_splits(root)
    if not found:
        raise nothing_found(root)
    readers = [_opened(one, listener) for one in found.values()]
    origin = printable(str(root) if root.is_dir() else root.name)
    return {reader.split: Other(reader, origin) for reader in readers}


def _opened(found: Found, listener: Listener) -> Reader:
    try:
        return found.open(verify=True, listener=listener)
    except UsageError:  # it has no digests
        return found.open(listener=listener)


def official_names(names: pa.StringArray) -> pa.StringArray:
    """Return the names that the images have in the official archives: `.JPEG`, and eight digits in val and test."""
    odd = pc.invert(pc.match_substring_regex(names, _OFFICIAL))
    if not pc.any(odd).as_py():
        return names
    mended = pa.array([_official(name) for name in names.filter(odd).to_pylist()], names.type)
    return pc.replace_with_mask(names, odd, mended)


def _official(name: str) -> str:
    found = _NUMBERED.fullmatch(name)
    if found:
        return f"ILSVRC2012_{found[1].lower()}_{int(found[2]):08}.JPEG"
    stem, dot, ending = name.rpartition(".")
    return f"{stem}.JPEG" if _ENDING.fullmatch(dot + ending) else name


def compare(reader: Reader, against: Other, swept: Swept | None = None, sweeper: Sweeper | None = None) -> Findings:
    """Compare names and sizes of two splits; and bytes, where those of the first were read.

    Where images were made anew, sizes differ: the digests of their sources are compared, which shards record.

    Parameters
    ----------
    reader
        The split that is checked.
    against
        The same split of the other data set. If it has recorded digests, they are compared; else it is read.
    swept
        What came of reading the first; None to compare names and sizes alone.
    sweeper
        Reads the other.
    """
    other, origin = against.images, against.origin
    here, there = _matched(reader, other)
    sources = _sources(reader)
    anew = np.isin(here, sources.rows)
    unequal = (reader.sizes[here] != other.sizes[there]) & ~anew
    all_anew = len(anew) > 0 and bool(anew.all())
    whats = ["names", *([] if all_anew else ["sizes"])]
    unread = [*([] if all_anew else ["bytes"]), *([_SOURCES] if anew.any() else [])]
    lacking = tuple(NotCompared(what, "add --deep") for what in unread) if swept is None else ()
    compared = [Compared(what, origin) for what in whats]
    if swept is not None and sweeper is not None:
        recorded = bool(len(other)) and other.digest(0) is not None
        compared += [Compared(what, f"{origin}, by its recorded digests" if recorded else origin) for what in unread]
        same = np.flatnonzero(~unequal)
        digests = _digests(against, there[same], sweeper)
        unequal[same] = _unequal_bytes(swept, here[same], digests) & ~sources.equal(swept, here[same], digests)
    pairs = here[unequal], there[unequal]
    found = _findings(reader, against, pairs, (here, there), sources.rows)
    assert found.comparison is not None
    counts = replace(found.comparison, what=whats[-1] if swept is None else "bytes")
    return replace(found, compared=tuple(compared), not_compared=lacking, comparison=counts)


@dataclass(frozen=True, slots=True)
class _Sources:
    """The images of a split that were made anew, when they were prepared.

    rows : their rows, ascending, shape (K,), int64
    digests : xxh3_128 of the files that they were made from, shape (K, 16), uint8
    """

    rows: Int
    digests: npt.NDArray[np.uint8]

    def equal(self, swept: Swept, rows: Int, digests: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
        """Whether each of some rows could be read and was made from the file with this digest."""
        assert swept.read is not None
        found = np.isin(rows, self.rows) & swept.read[rows]
        at = np.searchsorted(self.rows, rows[found])
        found[found] = (self.digests[at] == digests[found]).all(axis=1)
        return found


def _sources(reader: Reader) -> _Sources:
    """Return what the images of a reader were made from, where it records that: in shards."""
    if not isinstance(reader, ShardReader):
        return _Sources(np.empty(0, np.int64), np.empty((0, 16), np.uint8))
    written, sources = reader.digests("xxh3_128"), reader.digests("source")
    rows = np.flatnonzero((written != sources).any(axis=1))
    return _Sources(rows, sources[rows])


def _findings(reader: Reader, against: Other, differing: Pairs, both: Pairs, anew: Int) -> Findings:
    """Return issues and counts: the first LISTED images that differ, and of those that lie on one side alone."""
    other, origin = against.images, against.origin
    alone_here = np.setdiff1d(np.arange(len(reader)), both[0])
    alone_there = np.setdiff1d(np.arange(len(other)), both[1])
    surplus = [Issue(_key(reader, row), Code.SURPLUS_IMAGE, f"it is not in {origin}") for row in _first(alone_here)]
    lost = [
        Issue(printable(other.name(row)), Code.MISSING_IMAGE, f"it is in {origin}") for row in _first(alone_there)
    ]
    pairs = zip(*map(_first, differing), strict=True)
    changed = [_difference(reader, against, *pair, anew=pair[0] in anew) for pair in pairs]
    comparison = Comparison(
        against=origin,
        what="sizes",
        equal=len(both[0]) - len(differing[0]),
        differing=_listed(len(differing[0]), changed),
        only_here=_listed(len(alone_here), surplus),
        only_there=_listed(len(alone_there), lost),
    )
    return Findings((*lost, *surplus, *changed), comparison=comparison)


def _first(rows: Int) -> list[int]:
    found: list[int] = rows[:LISTED].tolist()
    return found


def _matched(reader: Reader, other: Reader) -> Pairs:
    """Return the rows of the images that both have by official name, in pairs: two arrays of shape (M,), int64."""
    at = one_chunk(
        pa.chunked_array([pc.index_in(official_names(reader.names), value_set=official_names(other.names))])
    )
    here = np.flatnonzero(~np.asarray(at.is_null()))
    return here, numbers(at.drop_null()).astype(np.int64)


def _digests(against: Other, rows: Int, sweeper: Sweeper) -> npt.NDArray[np.uint8]:
    """Return xxh3_128 of some rows of the other data set, shape (M, 16), uint8: recorded, else by reading them."""
    other = against.images
    if not len(rows):
        return np.empty((0, 16), np.uint8)
    if other.digest(0) is not None:
        recorded = b"".join(other.digest(row) or bytes(16) for row in rows.tolist())
        return np.frombuffer(recorded, np.uint8).reshape(-1, 16)
    wanted, places = np.unique(rows, return_inverse=True)
    part = other if len(wanted) == len(other) else SubsetReader(other, wanted)
    return digests_of(part, sweeper, f"read {other.split} of {against.origin}")[places]


def _unequal_bytes(swept: Swept, rows: Int, digests: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Whether each of some rows has other bytes, or could not be read."""
    assert swept.digests is not None
    assert swept.read is not None
    unequal: npt.NDArray[np.bool_] = (swept.digests[rows] != digests).any(axis=1) | ~swept.read[rows]
    return unequal


def _difference(reader: Reader, against: Other, here: int, there: int, *, anew: bool) -> Issue:
    size, wanted = reader.sizes.item(here), against.images.sizes.item(there)
    detail = f"its bytes are not those in {against.origin}"
    if anew:
        detail = f"it was not made from the image in {against.origin}"
    elif size != wanted:
        detail = f"{size:,} bytes of {wanted:,}, by {against.origin}"
    return Issue(_key(reader, here), Code.CHANGED_IMAGE, detail)


def _key(reader: Reader, row: int) -> str:
    return printable(reader.where(row).key)


def _listed(count: int, issues: list[Issue]) -> Listed:
    return Listed(count, tuple(issue.key for issue in issues))
