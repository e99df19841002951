"""The fsspec file system `ilsvrc://`: images of archives or trees as `split/wnid/name`, read-only.

fsspec finds it by its entry point: `fsspec.open("ilsvrc://val/n01751748/ILSVRC2012_val_00000001.JPEG::/data/archives")`.
"""

from __future__ import annotations

import errno
import io
import os
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from fsspec.spec import AbstractFileSystem

from ilsvrc import facts
from ilsvrc.errors import UsageError
from ilsvrc.paths import given_location
from ilsvrc.readers.locate import open_reader, splits_at
from ilsvrc.readers.reader import Reader
from ilsvrc.stores.path import Location
from ilsvrc.tree.scan import SPLIT_FOLDERS


class IlsvrcFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """The images of the data set by path, for reading.

    Every method that would write raises OSError with errno EROFS. A path that is not there is a FileNotFoundError.

    Parameters
    ----------
    root
        A folder of archives, one archive, a tree, or one split's folder.
    fo
        The same, under the name that fsspec gives to the part of a URL after `::`.

    Raises
    ------
    UsageError
        If neither is given.
    """

    protocol = "ilsvrc"
    root_marker = ""

    def __init__(self, root: str | Location | None = None, fo: str | Location | None = None, **options: Any) -> None:
        super().__init__(**options)
        place = root if root is not None else fo
        if place is None:
            hint = 'write ilsvrc://val/...::/data/archives, or give root="/data/archives"'
            raise UsageError("ilsvrc:// does not say where the archives are", hint=hint)
        self.browser = Browser(place)

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        """Return the path without `ilsvrc://` and without slashes at its ends; a list for a list."""
        stripped = super()._strip_protocol(path)
        return stripped if isinstance(stripped, list) else stripped.lstrip("/")

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """Return the entries of a folder, or the one image at a path."""
        found = list(self.browser.entries(self._strip_protocol(path)))
        return [_info(entry) for entry in found] if detail else [entry.path for entry in found]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Return name, size in bytes and type of the folder or image at a path."""
        return _info(self.browser.entry(self._strip_protocol(path)))

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """Return the bytes of an image's file, or a part of them."""
        return self.browser.read(self._strip_protocol(path))[start:end]

    def _open(self, path: str, mode: str = "rb", **_: Any) -> ImageFile:
        if mode != "rb":
            self._refuse(path)
        return ImageFile(path, self.browser.read(path))

    def _refuse(self, path: object = "", *_: Any, **__: Any) -> NoReturn:
        """Refuse to write at a path.

        Raises
        ------
        OSError
            With errno EROFS and the path, always.
        """
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    def _refuse_target(self, _: object = "", target: object = "", *__: Any, **___: Any) -> NoReturn:
        """Refuse to write at the second path."""
        self._refuse(target)

    mkdir = makedirs = rmdir = rm = rm_file = _rm = mv = touch = pipe = pipe_file = write_text = _refuse
    cp_file = copy = put = put_file = _refuse_target


class ImageFile(io.BufferedReader):
    """An image's file, open for reading.

    Parameters
    ----------
    path
        Its path in the file system.
    data
        Its bytes.
    """

    def __init__(self, path: str, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self.path = path
        self.size = len(data)


def _info(entry: Entry) -> dict[str, Any]:
    if entry.is_folder:
        return {"name": entry.path, "size": 0, "type": "directory"}
    return {"name": entry.path, "size": entry.size, "type": "file"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A folder or an image.

    path : `split`, `split/wnid` or `split/wnid/name`; `test/name` in the test split
    size : of an image, bytes of its file; of a folder, the number of its images, or of its splits at the root
    is_folder : true for a folder, false for an image
    """

    path: str
    size: int
    is_folder: bool


@dataclass(frozen=True, slots=True)
class _ImagePath:
    """The parts of a path; parts below its end are empty."""

    split: str = ""
    wnid: str = ""
    name: str = ""

    @classmethod
    def parse(cls, path: str) -> _ImagePath:
        """Return the parts of a path; the test split has no classes.

        Raises
        ------
        FileNotFoundError
            If no image or folder can have such a path.
        """
        parts = [part for part in path.split("/") if part]
        names = ("split", "name") if parts[:1] == ["test"] else ("split", "wnid", "name")
        if len(parts) > len(names) or (parts and parts[0] not in SPLIT_FOLDERS):
            raise FileNotFoundError(f"{path}: there is no such path; images are at split/wnid/name")
        return cls(**dict(zip(names, parts, strict=False)))

    def __str__(self) -> str:
        return "/".join(part for part in (self.split, self.wnid, self.name) if part)


class Browser:
    """Find images by path. Safe to use from many threads; pickles.

    A path that is not there is a FileNotFoundError; a root without the data set is an IlsvrcError.

    Parameters
    ----------
    root
        A folder of archives, one archive, a tree, or one split's folder.
    """

    def __init__(self, root: Location | str) -> None:
        self.root = given_location(root).absolute()
        self._readers: dict[str, Reader] = {}

    def entries(self, path: str = "") -> Iterator[Entry]:
        """Yield the entries of a folder in order of names, or the one image at a path."""
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
        """Return the folder or image at a path."""
        place = _ImagePath.parse(path)
        if not place.split:
            return Entry("", len(splits_at(self.root)), True)
        reader, rows = self._find(place)
        return _image(reader, rows.start) if place.name else Entry(str(place), len(rows), True)

    def read(self, path: str) -> bytes:
        """Return the bytes of an image's file.

        Raises
        ------
        IsADirectoryError
            If the path is a folder.
        """
        if self.entry(path).is_folder:
            raise IsADirectoryError(f"{path}: a folder, not an image")
        reader, rows = self._find(_ImagePath.parse(path))
        return reader.read(rows.start)

    def _find(self, place: _ImagePath) -> tuple[Reader, range]:
        """Return the reader of a path and the rows of its images: rows are sorted by label, then by name."""
        if place.split not in self._readers:
            self._readers[place.split] = self._opened(place.split)
        reader = self._readers[place.split]
        rows = _class_rows(reader, place.wnid) if place.wnid else range(len(reader))
        if place.name:
            at = bisect_left(rows, place.name, key=reader.name)
            rows = rows[at : at + 1]
            rows = rows if rows and reader.name(rows.start) == place.name else range(0)
        if not rows:
            raise FileNotFoundError(f"{place}: there is no such image or class")
        return reader, rows

    def _opened(self, split: str) -> Reader:
        try:
            return open_reader(self.root, split)
        except UsageError as error:
            if split in splits_at(self.root):
                raise
            raise FileNotFoundError(f"{split}: there is no such split in {self.root}") from error

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
