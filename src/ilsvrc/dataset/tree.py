"""What lies in a split's folder, whoever put it there."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ilsvrc.archive.naming import NO_LABEL
from ilsvrc.facts.names import image_split, true_label
from ilsvrc.issues import Code, Issue

SPLIT_FOLDERS = {"train": ("train",), "val": ("val", "validation"), "test": ("test",)}
"""Names under which splits are found in a tree."""

SCHEMA = pa.schema([("path", pa.string()), ("size", pa.int64())])
_BATCH = 1 << 16


@dataclass(frozen=True)
class Tree:
    """The images of one split in a folder tree, as found.

    folder : the split's folder
    split : train, val or test
    table : Arrow table of `path` (below `folder`) and `size`, N rows, in sorted order of folders and names
    strays : an issue for everything that is no image of ILSVRC 2012
    folders : names of all folders directly in `folder`, hidden ones too, as ImageFolder sorts them
    """

    folder: Path
    split: str
    table: pa.Table
    strays: tuple[Issue, ...]
    folders: tuple[str, ...]

    @cached_property
    def labels(self) -> npt.NDArray[np.int16]:
        """True labels by the images' own names, shape (N,), int16, -1 for test images."""
        paths = (path for batch in self.table.column("path").chunks for path in batch.to_pylist())
        labels = (true_label(path.rpartition("/")[2]) for path in paths)
        known = (NO_LABEL if label is None else label for label in labels)
        return np.fromiter(known, np.int16, self.table.num_rows)

    @cached_property
    def parents(self) -> list[str]:
        """The folder directly in `folder` that each image is in, N strings; empty for an image beside the folders."""
        return [path.partition("/")[0] if "/" in path else "" for path in self.table.column("path").to_pylist()]

    @cached_property
    def folder_labels(self) -> dict[str, int]:
        """The class that most images of each folder are of, by their own names."""
        votes: dict[str, Counter[int]] = {}
        for parent, label in zip(self.parents, self.labels.tolist(), strict=True):
            votes.setdefault(parent, Counter())[label] += 1
        return {parent: count.most_common(1)[0][0] for parent, count in votes.items()}


def find_splits(root: Path) -> dict[str, Path]:
    """Return the folders of the splits in a tree by split, `root` itself if it is one split's folder; or none."""
    found = {split: root / name for split, names in SPLIT_FOLDERS.items() for name in names if (root / name).is_dir()}
    alone = None if found or not root.is_dir() else _split_of(root)
    if alone:
        found[alone] = root
    return found


def survey(folder: Path, split: str) -> Tree:
    """Return what lies in a split's folder: every file is seen and its size read, none is opened."""
    strays: list[Issue] = []
    batches: list[pa.RecordBatch] = []
    paths: list[str] = []
    sizes: list[int] = []
    for path, size in _images(folder, split, strays):
        paths.append(path)
        sizes.append(size)
        if len(paths) == _BATCH:
            batches.append(pa.record_batch([pa.array(paths), pa.array(sizes)], schema=SCHEMA))
            paths, sizes = [], []
    batches.append(pa.record_batch([pa.array(paths, pa.string()), pa.array(sizes, pa.int64())], schema=SCHEMA))
    folders = tuple(sorted(entry.name for entry in os.scandir(folder) if entry.is_dir()))
    return Tree(folder, split, pa.Table.from_batches(batches), tuple(strays), folders)


def _images(folder: Path, split: str, strays: list[Issue]) -> Iterator[tuple[str, int]]:
    """Yield path and size of every image two levels deep; note all else."""
    for entry in sorted(os.scandir(folder), key=lambda e: e.name):
        if entry.is_file():
            yield from _image(entry, entry.name, split, strays)
        elif not entry.is_dir():
            strays.append(Issue(entry.name, Code.STRAY_FILE, "a link to nothing, or no regular file"))
        elif entry.name.startswith("."):
            strays.append(Issue(entry.name, Code.HIDDEN_FOLDER, "ImageFolder takes it for a class"))
        else:
            yield from _class_images(entry, split, strays)


def _class_images(parent: os.DirEntry[str], split: str, strays: list[Issue]) -> Iterator[tuple[str, int]]:
    for entry in sorted(os.scandir(parent.path), key=lambda e: e.name):
        path = f"{parent.name}/{entry.name}"
        if entry.is_file():
            yield from _image(entry, path, split, strays)
        elif entry.is_dir():
            code = Code.HIDDEN_FOLDER if entry.name.startswith(".") else Code.STRAY_FOLDER
            strays.append(Issue(path, code, "ImageFolder takes what is in it for images of the class"))
        else:
            strays.append(Issue(path, Code.STRAY_FILE, "a link to nothing, or no regular file"))


def _image(entry: os.DirEntry[str], path: str, split: str, strays: list[Issue]) -> Iterator[tuple[str, int]]:
    if image_split(entry.name) == split:
        yield path, entry.stat().st_size
    else:
        strays.append(Issue(path, Code.STRAY_FILE, f"its name is not that of a {split} image"))


def _split_of(folder: Path) -> str | None:
    """Tell a split's folder by the first image in it, or in one of its folders."""
    for level in ("*", "*/*"):
        for path in folder.glob(level):
            split = image_split(path.name)
            if split:
                return split
    return None
