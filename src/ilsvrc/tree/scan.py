"""List the images in a split's folder, whichever program wrote it."""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ilsvrc.archive.names import NO_LABEL
from ilsvrc.facts.names import image_split, true_label
from ilsvrc.files import printable
from ilsvrc.issues import Code, Issue
from ilsvrc.stores.path import Location

SPLIT_FOLDERS = {"train": ("train",), "val": ("val", "validation"), "test": ("test",)}
"""Names under which splits are found in a tree."""

SCHEMA = pa.schema([("path", pa.string()), ("size", pa.int64())])
_BATCH = 1 << 16


def lacking(root: Path, images: Iterable[tuple[str, int]]) -> list[Issue]:
    """Return an issue for every image that is not below `root` as a file of its size: one system call for each image.

    Parameters
    ----------
    root
        The tree's folder.
    images
        Path below it and bytes of each image.
    """
    issues = []
    for path, size in images:
        try:
            found = os.stat(f"{root}/{path}")  # noqa: PTH116  -- a million of them
        except (FileNotFoundError, NotADirectoryError):
            issues.append(Issue(path, Code.MISSING_IMAGE, f"it should have {size:,} bytes"))
            continue
        if not stat.S_ISREG(found.st_mode) or found.st_size != size:
            detail = f"it has {found.st_size:,} bytes and should have {size:,}"
            issues.append(Issue(path, Code.CHANGED_IMAGE, detail))
    return issues


@dataclass(frozen=True)
class Tree:
    """The images of one split in a folder tree, as found: columns, since there may be more than a million.

    folder : the split's folder
    split : train, val or test
    table : Arrow table of SCHEMA, or with more columns, N rows, in sorted order of folders and names
    left_out : an issue for every file and folder that is not taken for an image of the split
    folders : names of all folders directly in `folder`, hidden ones too, as ImageFolder sorts them
    """

    folder: Location
    split: str
    table: pa.Table
    left_out: tuple[Issue, ...]
    folders: tuple[str, ...]

    @cached_property
    def labels(self) -> npt.NDArray[np.int16]:
        """True labels by the images' own names, shape (N,), int16, -1 in the test split."""
        if self.split == "test":
            return np.full(self.table.num_rows, NO_LABEL, np.int16)
        return np.fromiter(map(_label, self.names()), np.int16, self.table.num_rows)

    @cached_property
    def strays(self) -> tuple[Issue, ...]:
        """The issues of `left_out`, and one for every image with the name of another split's image."""
        splits = ((path, image_split(path.rpartition("/")[2])) for path in self.paths())
        named = [(path, split) for path, split in splits if split != self.split]
        foreign = (Issue(path, Code.STRAY_FILE, f"its name is that of a {split} image") for path, split in named)
        return (*self.left_out, *foreign)

    @cached_property
    def parents(self) -> npt.NDArray[np.int32]:
        """For each image the position in `folders` of the folder that it is in, -1 if in none; shape (N,), int32."""
        place = {name: position for position, name in enumerate(self.folders)}
        parents = (place[path.partition("/")[0]] if "/" in path else -1 for path in self.paths())
        return np.fromiter(parents, np.int32, self.table.num_rows)

    @cached_property
    def folder_labels(self) -> npt.NDArray[np.int16]:
        """The class that most images of each folder are of, by their own names; shape (F,), -1 where it has none."""
        found = np.full(len(self.folders), NO_LABEL, np.int16)
        pairs, counts = np.unique(np.stack([self.parents, self.labels]), axis=1, return_counts=True)
        order = np.argsort(counts, kind="stable")  # the most frequent is written last
        parents, labels = pairs[0, order], pairs[1, order]
        found[parents[parents >= 0]] = labels[parents >= 0]
        return found

    @cached_property
    def misplaced(self) -> npt.NDArray[np.int64]:
        """Rows of the images that are in no folder, or in one whose images are mostly of another class."""
        usual = np.append(self.folder_labels, np.int16(NO_LABEL))[self.parents]  # -1 takes the last
        return np.flatnonzero((self.parents < 0) | (self.labels != usual))

    @cached_property
    def loose(self) -> npt.NDArray[np.int64]:
        """Rows of the images that are in no folder: a heap, or what is left of one; shape (K,), int64."""
        return np.flatnonzero(self.parents < 0)

    @property
    def here(self) -> Path:
        """The folder, of a tree on this machine."""
        assert isinstance(self.folder, Path)
        return self.folder

    def path(self, row: int) -> str:
        """Return the path of the image in a row, below `folder`."""
        return str(self.table.column("path")[row].as_py())

    def paths(self) -> Iterator[str]:
        """Yield all paths, below `folder`."""
        for batch in self.table.column("path").chunks:
            yield from batch.to_pylist()

    def names(self) -> Iterator[str]:
        """Yield all file names."""
        return (path.rpartition("/")[2] for path in self.paths())


def split_folders(root: Path) -> dict[str, Path]:
    """Return the folders of a tree's splits, by split; may be empty.

    A split is in `root` itself if that is one split's folder, or if validation images lie in it as one heap, beside
    the folders of other splits: there the validation archive was unpacked.
    """
    found = {split: root / name for split, names in SPLIT_FOLDERS.items() for name in names if (root / name).is_dir()}
    alone = None if found or not root.is_dir() else split_of(root)
    if alone:
        found[alone] = root
    elif found and "val" not in found and next(_heap(root), None):
        found["val"] = root
    return found


def _is_beside_splits(folder: Path) -> bool:
    """Whether a folder holds folders of splits, and so at most a heap of its own."""
    names = {name for names in SPLIT_FOLDERS.values() for name in names}
    return folder.name not in names and any((folder / name).is_dir() for name in names)


def _heap(root: Path) -> Iterator[os.DirEntry[str]]:
    """Yield the validation images directly in a folder, in no order; other files there are of no concern."""
    try:
        with os.scandir(root) as entries:
            yield from (entry for entry in entries if image_split(entry.name) == "val" and _is_file(entry))
    except OSError:  # the caller has found folders in it, which another user may be allowed to list
        return


def survey(folder: Path, split: str) -> Tree:
    """Return the images in a split's folder; the size of every file is read, no file is opened.

    An image belongs to the split in whose folder it lies, whatever split its name is of: the validation images of
    imagenette have names of train images.
    """
    strays: list[Issue] = []
    images = _beside_splits(folder) if _is_beside_splits(folder) else _images(folder, split, strays)
    batches = [pa.RecordBatch.from_arrays([pa.array([], field.type) for field in SCHEMA], schema=SCHEMA)]
    while batch := list(itertools.islice(images, _BATCH)):
        batches.append(
            pa.RecordBatch.from_arrays([pa.array(column) for column in zip(*batch, strict=True)], schema=SCHEMA)
        )
    return Tree(folder, split, pa.Table.from_batches(batches), tuple(strays), tuple(folders_in(folder)))


def folders_in(folder: Path) -> list[str]:
    """Return the names of all folders directly in a split's folder, sorted; none of a heap beside splits."""
    if _is_beside_splits(Path(folder)):
        return []
    return [entry.name for entry in _entries(folder, "", []) if _is_folder(entry)]


def _beside_splits(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield name and size of every image of a heap, sorted."""
    for entry in sorted(_heap(folder), key=lambda entry: entry.name):
        yield entry.name, entry.stat().st_size


def _images(folder: Path, split: str, strays: list[Issue]) -> Iterator[tuple[str, int]]:
    """Yield path and size of every image up to two levels deep; add an issue to `strays` for everything else."""
    for entry in _entries(folder, "", strays):
        if not _is_folder(entry):
            yield from _image(entry, entry.name, split, strays)
        elif entry.name.startswith("."):
            strays.append(Issue(printable(entry.name), Code.HIDDEN_FOLDER, "ImageFolder takes it for a class"))
        elif printable(entry.name) != entry.name:
            strays.append(Issue(printable(entry.name), Code.STRAY_FOLDER, "its name is no valid text"))
        else:
            yield from _class_images(entry, split, strays)


def _class_images(parent: os.DirEntry[str], split: str, strays: list[Issue]) -> Iterator[tuple[str, int]]:
    for entry in _entries(parent.path, parent.name, strays):
        path = f"{parent.name}/{entry.name}"
        if _is_folder(entry):
            code = Code.HIDDEN_FOLDER if entry.name.startswith(".") else Code.STRAY_FOLDER
            strays.append(Issue(printable(path), code, "ImageFolder takes what is in it for images of the class"))
        else:
            yield from _image(entry, path, split, strays)


def _image(entry: os.DirEntry[str], path: str, split: str, strays: list[Issue]) -> Iterator[tuple[str, int]]:
    try:
        if not stat.S_ISREG(entry.stat().st_mode):
            strays.append(Issue(printable(path), Code.STRAY_FILE, "no regular file"))
        elif may_be_in(split, entry.name):
            yield path, entry.stat().st_size
        else:
            strays.append(Issue(printable(path), Code.STRAY_FILE, f"its name is not that of a {split} image"))
    except OSError as error:  # a link to nothing, or to itself
        strays.append(Issue(printable(path), Code.STRAY_FILE, f"it leads nowhere: {error.strerror}"))


def may_be_in(split: str, name: str) -> bool:
    """Whether a file of this name can be an image of a split: outside the test split, its name must state a class."""
    named = image_split(name)
    return named is not None and (split == "test" or named != "test")


def _entries(folder: Path | str, name: str, strays: list[Issue]) -> list[os.DirEntry[str]]:
    """Return the entries of a folder, sorted by name; add an issue to `strays` if it can't be read."""
    try:
        return sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        strays.append(Issue(printable(name) or ".", Code.UNREADABLE, f"{error.strerror}"))
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads back to itself
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _label(name: str) -> int:
    label = true_label(name)
    return NO_LABEL if label is None else label


def split_of(folder: Path) -> str | None:
    """Return the split of a folder with images: by its name if that is train or val, else by the first image's name.

    A folder called test may hold anything, so its name does not decide. None if no image is in it.
    """
    called = next((split for split in ("train", "val") if folder.name in SPLIT_FOLDERS[split]), None)
    for level in ("*", "*/*"):
        for path in folder.glob(level):
            split = image_split(path.name)
            if split:
                return called or split
    return None
