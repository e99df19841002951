"""A data set as pages show it: its splits, the images of each class, in an order and filtered."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ilsvrc import facts
from ilsvrc.errors import DataError, IlsvrcError, UsageError
from ilsvrc.events import Listener, Note, silent
from ilsvrc.facts import Synset
from ilsvrc.facts.names import true_label, val_name
from ilsvrc.images.measure import KINDS
from ilsvrc.paths import given_location
from ilsvrc.readers.locate import find_splits, nothing_found
from ilsvrc.readers.reader import Int, Reader
from ilsvrc.stores.path import Location
from ilsvrc.web.measures import Measures

UNLABELLED = "unlabelled"
"""Stands for a wnid where images have no label: the test split."""

SORTS = {
    "name": "name",
    "bytes": "smallest file",
    "-bytes": "largest file",
    "pixels": "fewest pixels",
    "-pixels": "most pixels",
    "aspect": "narrowest",
    "-aspect": "widest",
}
"""Orders of images, by the name that a URL has for each."""

SHAPES = {
    "": "any",
    "portrait": "portrait",
    "square": "square, within 2 %",
    "landscape": "landscape",
    "extreme": "3:1 or more",
}
"""Filters by width and height."""

SIZES = {"": "any", "small": "under 20 KB", "medium": "20 to 300 KB", "large": "300 KB or more"}
"""Filters by bytes of the file."""

_SIZES = {"small": (0, 20_000), "medium": (20_000, 300_000), "large": (300_000, 1 << 62)}

ODDITIES = {
    "": "any",
    "odd": "known oddity",
    "blacklist": "on the 2014 blacklist",
    **{kind: kind for kind in KINDS},
    "none": "not readable",
}
"""Filters by what is known of an image, or by its format."""

_ENDING = ".JPEG"
_SQUARE = 0.02
_EXTREME = 3.0
_MEASURED = frozenset({"pixels", "-pixels", "aspect", "-aspect"})


@dataclass(frozen=True, slots=True)
class Arrangement:
    """An order of images, and which of them are wanted.

    sort : a key of SORTS
    shape : a key of SHAPES
    size : a key of SIZES
    oddity : a key of ODDITIES
    """

    sort: str = "name"
    shape: str = ""
    size: str = ""
    oddity: str = ""

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Arrangement:
        """Return the arrangement that a URL asks for; what it does not know is as if it were not said."""
        return cls(
            sort=values["sort"] if values.get("sort") in SORTS else "name",
            shape=values["shape"] if values.get("shape") in SHAPES else "",
            size=values["size"] if values.get("size") in SIZES else "",
            oddity=values["oddity"] if values.get("oddity") in ODDITIES else "",
        )

    @property
    def needs_measures(self) -> bool:
        """Whether the headers of all images of the class must be read."""
        return self.sort in _MEASURED or bool(self.shape) or self.oddity in (*KINDS, "none")


class Split:
    """A split as pages show it.

    Parameters
    ----------
    reader
        Its reader, whose rows are in catalog order.
    """

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.name = reader.split
        self._bounds = np.searchsorted(reader.labels, np.arange(-1, len(facts.classes()) + 1, dtype=np.int16))
        self.counts: Int = np.diff(self._bounds[1:])
        self.measures = Measures(reader)
        seen = f"{reader.identity} {reader.state}"
        self.version = hashlib.sha256(seen.encode()).hexdigest()[:12]
        """Part of the URLs of images, which browsers keep: another one once the data has changed."""

    def __len__(self) -> int:
        return len(self.reader)

    @property
    def unlabelled(self) -> int:
        """Images without a label."""
        return int(self._bounds[1] - self._bounds[0])

    def rows(self, synset: Synset | None) -> Int:
        """Return the rows of a class, or of the images without a label; int64."""
        at = synset.index + 1 if synset else 0
        return np.arange(self._bounds[at], self._bounds[at + 1])

    def arranged(self, synset: Synset | None, arrangement: Arrangement) -> Int:
        """Return the rows of a class that are wanted, in the order wanted; only measured ones where it takes that."""
        rows = self.rows(synset)
        if arrangement.needs_measures:
            rows = rows[self.measures.known[rows]]
        rows = rows[self._wanted(rows, arrangement)]
        if arrangement.sort == "name":
            return rows
        keys = self._keys(rows, arrangement.sort.removeprefix("-"))
        return rows[np.argsort(-keys if arrangement.sort.startswith("-") else keys, kind="stable")]

    def _keys(self, rows: Int, sort: str) -> npt.NDArray[np.float64]:
        """Return what to sort by; nan for images that can't be read, which come last in every order of pixels."""
        if sort == "bytes":
            return self.reader.sizes[rows].astype(np.float64)
        width, height = self._pixels(rows)
        keys = width * height if sort == "pixels" else width / np.maximum(height, 1)
        return np.where(keys > 0, keys, np.nan)

    def _pixels(self, rows: Int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        found = self.measures.records[rows]
        return found["width"].astype(np.float64), found["height"].astype(np.float64)

    def _wanted(self, rows: Int, arrangement: Arrangement) -> npt.NDArray[np.bool_]:
        wanted = np.ones(len(rows), np.bool_)
        if arrangement.shape:
            width, height = self._pixels(rows)
            near = np.abs(width - height) <= _SQUARE * np.maximum(width, height)
            wanted &= {
                "portrait": (height > width) & ~near,
                "square": near & (width > 0),
                "landscape": (width > height) & ~near,
                "extreme": np.maximum(width, height) >= _EXTREME * np.maximum(np.minimum(width, height), 1),
            }[arrangement.shape]
        if arrangement.size:
            least, most = _SIZES[arrangement.size]
            sizes = self.reader.sizes[rows]
            wanted &= (least <= sizes) & (sizes < most)
        if arrangement.oddity in KINDS:
            wanted &= self.measures.records["kind"][rows] == KINDS.index(arrangement.oddity) + 1
        elif arrangement.oddity == "none":
            wanted &= self.measures.records["kind"][rows] == 0
        elif arrangement.oddity:
            wanted &= self._named(rows, _names(arrangement.oddity))
        return wanted

    def _named(self, rows: Int, names: pa.Array) -> npt.NDArray[np.bool_]:
        if not len(rows):
            return np.zeros(0, np.bool_)
        found = pc.is_in(self.reader.names.take(pa.array(rows)), value_set=names)
        return np.asarray(found.to_numpy(zero_copy_only=False), np.bool_)

    def row_of(self, name: str) -> int | None:
        """Return the row of an image by its file name, with or without folder and ending; None if it is not there."""
        stem = name.rpartition("/")[2].partition(".")[0]
        label = true_label(stem) if stem.isascii() else None
        rows = self.rows(facts.classes()[label] if label is not None else None)
        if not len(rows):
            return None
        first = rows.item(0)
        at = pc.index(self.reader.names.slice(first, len(rows)), pa.scalar(f"{stem}{_ENDING}")).as_py()
        return first + int(at) if at >= 0 else None


def _names(oddity: str) -> pa.Array:
    if oddity == "odd":
        return pa.array(facts.anomalies(), pa.string())
    return pa.array([val_name(number) for number in sorted(facts.val_blacklist())], pa.string())


@dataclass(frozen=True)
class Collection:
    """The splits of a data set, by name.

    path : where it lies
    splits : its splits; train first
    """

    path: Location
    splits: dict[str, Split]

    @cached_property
    def first(self) -> Split:
        """The split that is shown where a URL names none."""
        return next(iter(self.splits.values()))

    def __iter__(self) -> Iterator[Split]:
        return iter(self.splits.values())


def open_collection(path: Location | str, listener: Listener = silent) -> Collection:
    """Open every split at a path, in whatever form; index it first, if that is needed.

    A split that can't be read is left out, with a warning, as long as there is another.

    Raises
    ------
    IlsvrcError
        UsageError if nothing is there; DataError if no split can be read.
    """
    root = given_location(path).absolute()
    splits, failed = dict[str, Split](), list[IlsvrcError]()
    for found in find_splits(root).values():
        try:
            reader = found.open(listener=listener)
        except DataError as error:
            failed.append(error)
            listener(Note(f"not shown: {error.message}; {error.hint}", warning=True))
        except UsageError as error:  # its index tells that it has no image of the split that its name promised
            failed.append(error)
        else:
            splits.setdefault(reader.split, Split(reader))
    if not splits:
        raise failed[0] if failed else nothing_found(root)
    return Collection(root, splits)
