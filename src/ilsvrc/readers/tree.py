"""Read images out of a folder tree of any layout, whoever unpacked it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from ilsvrc.archive.index import numbers, one_chunk
from ilsvrc.archive.source import Fingerprint
from ilsvrc.errors import DamageError, UsageError
from ilsvrc.files import OWN_FOLDER
from ilsvrc.issues import Code, Issue
from ilsvrc.readers.reader import Rows
from ilsvrc.tree.manifest import read_manifest
from ilsvrc.tree.scan import Tree, survey

_FOLDERS = r"^.*/"


@dataclass(frozen=True, slots=True)
class Contents:
    """What lies in a split's folder.

    base : folder that paths are below
    table : Arrow table of `path`, `label`, `size` and perhaps `xxh3_128`, in catalog order
    manifest : state of the manifest that says so, or None if the folder was looked at
    """

    base: Path
    table: pa.Table
    manifest: Fingerprint | None


class TreeReader:
    """The images of one split's folder. Labels come from the images' own names, never from the order of folders.

    Parameters
    ----------
    folder
        The split's folder.
    split
        Train, val or test.
    contents
        What lies there.
    verify
        Compare every image that is read with its digest in the manifest.

    Raises
    ------
    UsageError
        If `verify` is asked for and there are no digests.
    """

    def __init__(self, folder: Path, split: str, contents: Contents, *, verify: bool = False) -> None:
        if verify and contents.manifest is None:
            hint = "digests are in trees that `ilsvrc prepare` made"
            raise UsageError(f"{folder}: there are no digests to verify images by", hint=hint)
        self.folder = folder
        self.split = split
        self._contents = contents
        self._base = str(contents.base)
        table = contents.table
        self._paths = one_chunk(table.column("path"))
        self.labels: npt.NDArray[np.int16] = numbers(one_chunk(table.column("label")))
        self.sizes: npt.NDArray[np.int64] = numbers(one_chunk(table.column("size")))
        self._digests = one_chunk(table.column("xxh3_128")) if verify else None

    def __len__(self) -> int:
        return len(self._paths)

    @property
    def names(self) -> pa.StringArray:
        """File names, N strings."""
        return pc.replace_substring_regex(self._paths, _FOLDERS, "")

    def name(self, row: int) -> str:
        """Return the file name of an image."""
        return str(self._paths[row].as_py()).rpartition("/")[2]

    def path(self, row: int) -> str:
        """Return an image's path."""
        return f"{self._base}/{self._paths[row].as_py()}"

    def read(self, row: int) -> bytes:
        """Return an image's file, byte for byte."""
        try:
            with open(self.path(row), "rb", buffering=0) as file:
                data = file.read()
        except FileNotFoundError:
            raise self.fault(row, Code.MISSING_IMAGE, "it was there when the tree was opened, and is gone") from None
        if len(data) != self.sizes.item(row):
            detail = f"it has {len(data):,} bytes, and had {self.sizes.item(row):,} when it was recorded"
            raise self.fault(row, Code.CHANGED_IMAGE, detail)
        if self._digests is not None and xxhash.xxh3_128_digest(data) != self._digests[row].as_py():
            raise self.fault(row, Code.CHANGED_IMAGE, "its bytes do not have the digest that was recorded of them")
        return data

    def storage_order(self) -> npt.NDArray[np.int64]:
        """Return the rows as they are: nothing tells where a file lies on the disk, but neighbours are often near."""
        return np.arange(len(self))

    def will_need(self, rows: Rows) -> None:
        """Do nothing: to have a million files fetched ahead, each would have to be opened."""

    def fault(self, row: int, code: Code, detail: str) -> DamageError:
        """Return an error that names the file."""
        issue = Issue(self.path(row), code, detail)
        return DamageError(f"{issue.key}: {detail} [{code}]", [issue], hint="check the tree: ilsvrc check --deep")

    def __reduce__(self) -> tuple[object, ...]:
        if self._contents.manifest is None:
            return TreeReader, (self.folder, self.split, self._contents)
        return _reopened, (self.folder, self.split, self._contents.manifest, self._digests is not None)


def open_tree(folder: Path, split: str, *, verify: bool = False) -> TreeReader:
    """Return the reader of a split's folder: by its manifest where there is one, else by a look at every folder.

    Raises
    ------
    UsageError
        If no image of the split is there.
    """
    contents = _recorded(folder) or _found(survey(folder, split))
    if not contents.table.num_rows:
        hint = "images are known by their names, such as n01440764_10026.JPEG or ILSVRC2012_val_00000001.JPEG"
        raise UsageError(f"{folder} holds no {split} image of ILSVRC 2012", hint=hint)
    return TreeReader(folder, split, contents, verify=verify)


def _reopened(folder: Path, split: str, manifest: Fingerprint, verify: bool) -> TreeReader:
    """Return the reader in another process, if the manifest is still the one that this process had."""
    contents = _recorded(folder)
    if contents is None or contents.manifest != manifest:
        hint = "let nothing write to the tree, then run the same command again"
        raise DamageError(f"{folder}: the tree's manifest changed while it was in use", [], hint=hint)
    return TreeReader(folder, split, contents, verify=verify)


def _recorded(folder: Path) -> Contents | None:
    """Return what a tree's manifest says."""
    path = folder.parent / OWN_FOLDER / f"{folder.name}.arrow"
    try:
        return Contents(folder.parent, read_manifest(path), Fingerprint.of(path))
    except (OSError, ValueError, pa.ArrowException):
        return None


def _found(tree: Tree) -> Contents:
    """Return what was found in a folder without manifest, in catalog order."""
    names = pc.replace_substring_regex(tree.table.column("path"), _FOLDERS, "")
    table = tree.table.append_column("label", pa.array(tree.labels)).append_column("name", names)
    order = pc.sort_indices(table, [("label", "ascending"), ("name", "ascending"), ("path", "ascending")])
    return Contents(tree.folder, table.drop_columns("name").take(order), None)
