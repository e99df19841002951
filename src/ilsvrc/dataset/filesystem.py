"""The fsspec filesystem `ilsvrc://`: images of archives or trees as `split/wnid/name`, read-only.

fsspec finds it by its entry point: `fsspec.open("ilsvrc://val/n01751748/ILSVRC2012_val_00000001.JPEG::/data/archives")`.
"""

from __future__ import annotations

import io
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fsspec.spec import AbstractFileSystem

from ilsvrc import facts
from ilsvrc.errors import UsageError
from ilsvrc.paths import given_path
from ilsvrc.readers.locate import open_reader, splits_at
from ilsvrc.readers.reader import Reader
from ilsvrc.tree.scan import SPLIT_FOLDERS


class IlsvrcFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """The images of the data set by path.

    Parameters
    ----------
    root
        A folder of archives, one archive, a tree, or one split's folder.
    fo
        The same, as fsspec names it where it follows `::` in a URL.

    Raises
    ------
    UsageError
        If neither says where the data is.
    """

    protocol = "ilsvrc"
    root_marker = ""

    def __init__(self, root: str | Path | None = None, fo: str | Path | None = None, **options: Any) -> None:
        super().__init__(**options)
        place = root if root is not None else fo
        if place is None:
            hint = 'write ilsvrc://val/...::/data/archives, or give root="/data/archives"'
            raise UsageError("ilsvrc:// does not say where the archives are", hint=hint)
        self.browser = Browser(place)

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """Return what is in a folder, or the one image at a path."""
        found = list(self.browser.entries(self._strip_protocol(path)))
        return [_info(entry) for entry in found] if detail else [entry.path for entry in found]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Return name, size in bytes and type of what is at a path."""
        return _info(self.browser.entry(self._strip_protocol(path)))

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """Return the bytes of an image's file, or a part of them."""
        return self.browser.read(self._strip_protocol(path))[start:end]

    def _open(self, path: str, mode: str = "rb", **_: Any) -> io.BytesIO:
        if mode != "rb":
            raise UsageError(f"{path}: the archives are read-only")
        return io.BytesIO(self.browser.read(path))


def _info(entry: Entry) -> dict[str, Any]:
    if entry.is_folder:
        return {"name": entry.path, "size": 0, "type": "directory"}
    return {"name": entry.path, "size": entry.size, "type": "file"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A folder or an image.

    path : `split`, `split/wnid` or `split/wnid/name`; `test/name` in the test split
    size : bytes of an image's file; images in a folder
    is_folder : which of both it is
    """

    path: str
    size: int
    is_folder: bool


@dataclass(frozen=True, slots=True)
class _ImagePath:
    """What a path says: empty parts are those that it does not go down to."""

    split: str = ""
    wnid: str = ""
    name: str = ""

    @classmethod
    def parse(cls, path: str) -> _ImagePath:
        """Return the place of a path; the test split has no classes."""
        parts = [part for part in path.split("/") if part]
        names = ("split", "name") if parts[:1] == ["test"] else ("split", "wnid", "name")
        if len(parts) > len(names) or (parts and parts[0] not in SPLIT_FOLDERS):
            raise FileNotFoundError(f"{path}: there is no such path; images are at split/wnid/name")
        return cls(**dict(zip(names, parts, strict=False)))

    def __str__(self) -> str:
        return "/".join(part for part in (self.split, self.wnid, self.name) if part)


class Browser:
    """Finds images by path; a path that is not there is a FileNotFoundError. Safe to use from many threads; pickles.

    Parameters
    ----------
    root
        A folder of archives, one archive, a tree, or one split's folder.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = given_path(root).absolute()
        self._readers: dict[str, Reader] = {}

    def entries(self, path: str = "") -> Iterator[Entry]:
        """Yield what is in a folder, in order of names; or the one image that `path` is."""
        place = _ImagePath.parse(path)
        if not place.split:
            yield from (self.entry(split) for split in splits_at(self.root))
            return
        reader, rows = self._find(place)
        if str(place) == place.split and place.split != "test":
            yield from _classes(reader)
            return
        yield from (_image(reader, row) for row in rows)

    def entry(self, path: str) -> Entry:
        """Return what is at a path."""
        place = _ImagePath.parse(path)
        if not place.split:
            return Entry("", len(splits_at(self.root)), True)
        reader, rows = self._find(place)
        return _image(reader, rows.start) if place.name else Entry(str(place), len(rows), True)

    def read(self, path: str) -> bytes:
        """Return the bytes of an image's file; IsADirectoryError for a folder."""
        if self.entry(path).is_folder:
            raise IsADirectoryError(f"{path}: a folder, not an image")
        reader, rows = self._find(_ImagePath.parse(path))
        return reader.read(rows.start)

    def _find(self, place: _ImagePath) -> tuple[Reader, range]:
        """Return the images that a place stands for: readers are sorted by label, then by name."""
        if place.split not in self._readers:
            self._readers[place.split] = open_reader(self.root, place.split)
        reader = self._readers[place.split]
        rows = _class_rows(reader, place.wnid) if place.wnid else range(len(reader))
        if place.name:
            at = bisect_left(rows, place.name, key=reader.name)
            rows = rows[at : at + 1]
            rows = rows if rows and reader.name(rows.start) == place.name else range(0)
        if not rows:
            raise FileNotFoundError(f"{place}: there is no such image or class")
        return reader, rows

    def __reduce__(self) -> tuple[object, ...]:
        return Browser, (self.root,)


def _classes(reader: Reader) -> Iterator[Entry]:
    labels, counts = np.unique(reader.labels, return_counts=True)
    for label, count in zip(labels.tolist(), counts.tolist(), strict=True):
        yield Entry(f"{reader.split}/{facts.classes()[label].wnid}", count, True)


def _image(reader: Reader, row: int) -> Entry:
    label = reader.labels.item(row)
    place = _ImagePath(reader.split, facts.classes()[label].wnid if label >= 0 else "", reader.name(row))
    return Entry(str(place), reader.sizes.item(row), False)


def _class_rows(reader: Reader, wnid: str) -> range:
    synset = facts.classes().get(wnid)
    if synset is None:
        return range(0)
    first, last = np.searchsorted(reader.labels, [synset.index, synset.index + 1]).tolist()
    return range(first, last)
