"""Which images of a split a user wants."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from ilsvrc import facts
from ilsvrc.archive.index import numbers
from ilsvrc.errors import UsageError
from ilsvrc.facts.names import image_split
from ilsvrc.readers.reader import Container, Int, Place, Reader, Rows
from ilsvrc.stores.path import Location


def select_classes(items: Iterable[str]) -> frozenset[int]:
    """Return the labels of classes given as wnids, indices 0 to 999, words, or the names of class lists.

    Raises
    ------
    UsageError
        For text that names no class and no class list, or a word that names more than one class.
    """
    labels = frozenset(label for item in items if item.strip() for label in _labels(item.strip()))
    if not labels:
        raise UsageError("no class is selected", hint=f"give {_KINDS}")
    return labels


def read_selection(text: str) -> frozenset[int]:
    """Return the labels in a file of one class a line (the first column counts), or in a list with commas.

    Raises
    ------
    UsageError
        As `select_classes`, or for the name of a class list that a file in this folder has as well.
    """
    if not Path(text).is_file():
        return select_classes(text.split(","))
    if any(text == listed.name for listed in facts.class_lists()):
        hint = f"give ./{text} for the file, or {_LIST}{text} for the class list"
        raise UsageError(f"{text} is the name of a class list, and of a file in this folder", hint=hint)
    return _selection_in(Path(text))


def _selection_in(path: Path) -> frozenset[int]:
    """Return the labels in a file of one class a line."""
    if not path.is_file():
        raise _unknown(str(path), path.name)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no list of classes", hint="give a text file of one class a line") from None
    return select_classes(line.partition("\t")[0] for line in lines if not line.startswith("#"))


_LIST = "list:"
"""What may stand before the name of a class list, so that it is never taken for a file's name."""

_KINDS = "wnids, indices 0 to 999, words or the name of a class list"


def _labels(item: str) -> frozenset[int]:
    if item.startswith(_LIST):
        return facts.class_list(item.removeprefix(_LIST)).labels
    listed = {known.name: known for known in facts.class_lists()}
    return listed[item].labels if item in listed else frozenset((_label(item),))


def _label(item: str) -> int:
    classes = facts.classes()
    synset = classes.get(item)
    if synset:
        return synset.index
    if item.isdecimal() and int(item) < len(classes):
        return int(item)
    word = item.casefold().replace("_", " ")
    named = [s for s in classes if word in (s.name.casefold(), *s.words.casefold().split(", "))]
    exact = [s for s in named if s.name.casefold() == word]
    if len(named) == 1 or len(exact) == 1:
        return (exact or named)[0].index
    if named:
        which = ", ".join(f"{s.wnid} {s.name}" for s in named)
        raise UsageError(f"{item!r} names {len(named)} classes: {which}", hint="give the wnid")
    raise _unknown(item, word)


def _unknown(item: str, word: str) -> UsageError:
    """Return the error for text that names no class, with the words and class lists that are near."""
    words = [w for s in facts.classes() for w in s.words.casefold().split(", ")]
    close = difflib.get_close_matches(word, [*(listed.name for listed in facts.class_lists()), *words], n=3)
    hint = f"did you mean {', '.join(close)}?" if close else f"give {_KINDS}: `ilsvrc labels list` shows the lists"
    kind = (
        "no class of ILSVRC 2012, and no file" if "/" in item or "." in item.strip(".") else "no class of ILSVRC 2012"
    )
    return UsageError(f"{item!r} is {kind}", hint=hint)


BLACKLIST = "blacklist"
"""What `exclude` calls the 1,762 validation images that ILSVRC 2014 CLS-LOC left out."""

ANOMALIES = "anomalies"
"""What `exclude` calls the published images that are no plain RGB JPEG files."""

_ENDING = r"\.[^.]*$"

Classes = str | Path | Iterable[str | int]
Excluded = str | Path | Iterable[str | Path]


@dataclass(frozen=True, slots=True)
class Subset:
    """Which images of a split are wanted; all of them, if nothing is said.

    labels : the classes wanted, or None for all
    fraction : of every class, more than 0 and up to 1; at least one image of each
    per_class : images of every class, or all of a class that has fewer
    seed : draws them; of one seed, a smaller subset lies within a larger one
    excluded : names of images that are left out, without endings
    """

    labels: frozenset[int] | None = None
    fraction: float | None = None
    per_class: int | None = None
    seed: int = 0
    excluded: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.fraction is not None and self.per_class is not None:
            raise UsageError("fraction and per_class don't go together", hint="give one of them")
        if self.fraction is not None and not 0 < self.fraction <= 1:
            raise UsageError(f"fraction is {self.fraction}, which is not more than 0 and up to 1")
        if self.per_class is not None and self.per_class < 1:
            raise UsageError(f"per_class is {self.per_class}, which is not 1 or more")
        if not 0 <= self.seed < 1 << 32:
            raise UsageError(f"seed is {self.seed}, which is not in 0 to {(1 << 32) - 1:,}")

    def rows(self, reader: Reader) -> npt.NDArray[np.int32] | None:
        """Return the rows of a reader that are wanted, ascending, shape (N,), int32; None for all of them.

        Raises
        ------
        UsageError
            If none is left.
        """
        if self == Subset(seed=self.seed):
            return None
        rows = np.flatnonzero(self._kept(reader)).astype(np.int32)
        if self.fraction is not None or self.per_class is not None:
            rows = self._drawn(rows, reader.labels)
        if not len(rows):
            raise UsageError(f"no image of {reader.split} is left", hint="ask for more classes, or exclude less")
        return rows if len(rows) < len(reader) else None

    def of(self, reader: Reader) -> Reader:
        """Return a reader of the images that are wanted; the same reader if all are.

        Raises
        ------
        UsageError
            If none is left.
        """
        rows = self.rows(reader)
        return reader if rows is None else SubsetReader(reader, rows)

    def _kept(self, reader: Reader) -> npt.NDArray[np.bool_]:
        kept = np.ones(len(reader), np.bool_)
        if self.labels is not None:
            kept &= np.isin(reader.labels, sorted(self.labels))
        if self.excluded:
            stems = pc.replace_substring_regex(reader.names, _ENDING, "")
            unwanted = pa.array(sorted(self.excluded), pa.string())
            kept[numbers(pc.indices_nonzero(pc.is_in(stems, value_set=unwanted)))] = False
        return kept

    def _drawn(self, rows: npt.NDArray[np.int32], labels: npt.NDArray[np.int16]) -> npt.NDArray[np.int32]:
        """Return the first images of each class in an order drawn from the seed.

        RandomState's streams are frozen (NEP 19), so that the same seed draws the same images in all versions.
        """
        of_class = labels[rows]
        starts = np.flatnonzero(np.diff(of_class, prepend=of_class[:1] - 1))
        drawn = [self._draw(part, int(labels[part[0]])) for part in np.split(rows, starts[1:]) if len(part)]
        return np.concatenate([np.empty(0, np.int32), *drawn])

    def _draw(self, rows: npt.NDArray[np.int32], label: int) -> npt.NDArray[np.int32]:
        count = self.per_class if self.fraction is None else max(1, round(self.fraction * len(rows)))
        order = np.random.RandomState([self.seed, label + 1]).permutation(len(rows))
        return np.sort(rows[order[:count]])


class SubsetReader:
    """Some rows of another reader, numbered anew.

    Parameters
    ----------
    reader
        Reads the images.
    rows
        Its rows that are left, in the order of the catalog.
    labels
        Labels that replace the reader's own, one for each of `rows`, int16; None to keep them.
    """

    def __init__(self, reader: Reader, rows: Rows, labels: npt.NDArray[np.int16] | None = None) -> None:
        self.split = reader.split
        self._reader = reader
        self._rows = rows
        self._labels = labels

    def __len__(self) -> int:
        return len(self._rows)

    @cached_property
    def labels(self) -> npt.NDArray[np.int16]:
        """Indices of sorted wnids, shape (N,), int16."""
        return self._reader.labels[self._rows] if self._labels is None else self._labels

    @cached_property
    def names(self) -> pa.StringArray:
        """File names, N strings."""
        return self._reader.names.take(pa.array(self._rows))

    @cached_property
    def sizes(self) -> Int:
        """Bytes of each image's file, shape (N,), int64."""
        return self._reader.sizes[self._rows]

    @cached_property
    def identity(self) -> str:
        """xxh3_128 over the identity of all images, the rows that are left, and the labels that were replaced."""
        digest = xxhash.xxh3_128(f"subset of {self._reader.identity}".encode())
        digest.update(self._rows.astype(np.int64).data)
        if self._labels is not None:
            digest.update(np.ascontiguousarray(self._labels).data)
        return digest.hexdigest()

    @property
    def form(self) -> str:
        """The form that all images have."""
        return self._reader.form

    @property
    def path(self) -> Location:
        """The file or folder that holds the split."""
        return self._reader.path

    @property
    def state(self) -> str:
        """The state of the reader of all images."""
        return self._reader.state

    def name(self, row: int) -> str:
        """Return the file name of an image."""
        return self._reader.name(self._rows.item(row))

    def where(self, row: int) -> Place:
        """Return where an image lies."""
        return self._reader.where(self._rows.item(row))

    def digest(self, row: int) -> bytes | None:
        """Return the xxh3_128 that was recorded of an image; None if none was."""
        return self._reader.digest(self._rows.item(row))

    def read(self, row: int) -> bytes:
        """Return an image's file, byte for byte."""
        return self._reader.read(self._rows.item(row))

    def take(self, rows: Rows) -> Iterator[tuple[int, bytes]]:
        """Yield rows and their bytes in the order given."""
        taken = self._reader.take(self._rows[rows])
        return ((row, data) for row, (_, data) in zip(rows.tolist(), taken, strict=True))

    def will_need(self, rows: Rows) -> None:
        """Let the system fetch these rows into memory ahead, if it can; returns at once."""
        self._reader.will_need(self._rows[rows])

    def let_go(self, rows: Rows) -> None:
        """Give back the memory of rows that were read."""
        self._reader.let_go(self._rows[rows])

    def storage_order(self) -> Int:
        """Return the rows in the order in which they lie on the disk, shape (N,), int64."""
        row_of = np.full(len(self._reader), -1, np.int64)
        row_of[self._rows] = np.arange(len(self._rows))
        found = row_of[self._reader.storage_order()]
        return found[found >= 0]

    def spans(self, rows: Rows) -> Int | None:
        """Return the bytes that each row occupies in its container, shape (N, 2), int64, or None."""
        return self._reader.spans(self._rows[rows])

    def containers(self) -> tuple[Container, ...]:
        """Return the files that hold the images."""
        return self._reader.containers()

    def require_unchanged(self) -> None:
        """Refuse to go on if what is read is no longer in the state in which it was opened."""
        self._reader.require_unchanged()

    def part(self, rows: Rows) -> Reader:
        """Return a reader of these rows alone, in this order."""
        part = self._reader.part(self._rows[rows])
        return part if self._labels is None else SubsetReader(part, np.arange(len(rows)), self._labels[rows])

    def __reduce__(self) -> tuple[object, ...]:
        return SubsetReader, (self._reader, self._rows, self._labels)


def relabelled(reader: Reader, labels: npt.NDArray[np.int16]) -> SubsetReader:
    """Return a reader of the same images under other labels, in the catalog order that these give.

    Parameters
    ----------
    reader
        The images.
    labels
        The label of each of its rows, shape (N,), int16.
    """
    columns = pa.table({"label": pa.array(labels), "name": reader.names})
    rows = numbers(pc.sort_indices(columns, [("label", "ascending"), ("name", "ascending")])).astype(np.int64)
    return SubsetReader(reader, rows, labels[rows])


def wanted_labels(classes: Classes | None) -> frozenset[int] | None:
    """Return the labels of classes given as a list or a file, or by the name of a class list; None for all.

    A `Path` is always a file; text is read as `read_selection` reads it.

    Raises
    ------
    UsageError
        For text that names no class and no class list, or a word that names more than one class.
    """
    if classes is None:
        return None
    if isinstance(classes, Path):
        return _selection_in(classes)
    if isinstance(classes, str):
        return read_selection(classes)
    return select_classes(map(str, classes))


def excluded_names(exclude: Excluded) -> frozenset[str]:
    """Return the names, without endings, of images to leave out.

    Parameters
    ----------
    exclude
        `blacklist`, `anomalies`, an image's name, or a file that lists images by name, path or validation number,
        one a line; or several of these.

    Raises
    ------
    UsageError
        For what is none of these.
    """
    items = [exclude] if isinstance(exclude, (str, Path)) else exclude
    return frozenset(name for item in items for name in _excluded(str(item)))


def _excluded(item: str) -> Iterable[str]:
    if item == BLACKLIST:
        return map(_val_name, facts.val_blacklist())
    if item == ANOMALIES:
        return map(_stem, facts.anomalies())
    if image_split(item.rpartition("/")[2]):
        return [_stem(item)]
    if not Path(item).is_file():
        hint = f"give {BLACKLIST!r}, {ANOMALIES!r}, names of images, or a file that lists them"
        raise UsageError(f"{item!r} names no images to exclude", hint=hint)
    lines = [line.split()[0] for line in Path(item).read_text(encoding="utf-8").splitlines() if line.strip()]
    return [_listed(line, item) for line in lines if not line.startswith("#")]


def _listed(word: str, file: str) -> str:
    """Return the image that a line of a file speaks of."""
    if word.isdecimal():
        return _val_name(int(word))
    if not image_split(word.rpartition("/")[2]):
        raise UsageError(
            f"{file}: {word!r} is no image of ILSVRC 2012", hint="list names, paths or validation numbers"
        )
    return _stem(word)


def _val_name(number: int) -> str:
    return f"ILSVRC2012_val_{number:08}"


def _stem(path: str) -> str:
    return path.rpartition("/")[2].rpartition(".")[0]
