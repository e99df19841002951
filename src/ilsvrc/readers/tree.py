"""Read images out of a folder tree of any layout, whoever unpacked it."""

from __future__ import annotations

import filecmp
import json
import shlex
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from ilsvrc.archive.index import numbers, one_chunk
from ilsvrc.archive.source import FileState, State
from ilsvrc.errors import DamageError, UsageError
from ilsvrc.events import Listener, silent
from ilsvrc.files import OWN_FOLDER, printable
from ilsvrc.issues import Code, Issue
from ilsvrc.readers.reader import Container, Found, Int, Place, Rows, read_file
from ilsvrc.stores.path import Location
from ilsvrc.tree.manifest import read_manifest
from ilsvrc.tree.recognise import contradicted
from ilsvrc.tree.scan import Tree, folders_in, split_folders, survey

_FOLDERS = r"^.*/"
_FOLDERS_AND_ENDING = r"^.*/|\.[^./]*$"
"""What differs in paths of one image: a.JPEG and a.jpeg are two files of it."""
_DIGEST = "xxh3_128"
_MOST_LISTED = 20
"""Images that an error lists; it tells how many there are in all."""
_MOST_NAMED = 3
"""Images that a warning names."""
_CHUNK = 1 << 16
"""Rows that are made Python values at a time."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What lies in a split's folder.

    base : folder that paths are below
    table : Arrow table of `path`, `label`, `size` and, from a manifest, `xxh3_128`, in catalog order
    from_manifest : whether the tree's manifest says so; otherwise the folder was scanned
    states : state of the manifest, or of every scanned folder, by path; in a store one of the whole listing
    complete : whether the table has all images of the folder
    """

    base: Location
    table: pa.Table
    from_manifest: bool
    states: Mapping[str, State]
    complete: bool = True


class TreeReader:
    """Images of one split's folder. Labels come from the images' own names, never from the order of folders.

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

    form = "class folders"

    def __init__(self, folder: Location, split: str, contents: Contents, *, verify: bool = False) -> None:
        if verify and _DIGEST not in contents.table.column_names:
            hint = "digests are in trees that `ilsvrc prepare` made"
            raise UsageError(f"{folder}: there are no digests to verify images by", hint=hint)
        self.folder = folder
        self.split = split
        self._contents = contents
        self._base = str(contents.base)
        self._paths = one_chunk(contents.table.column("path"))
        self.labels: npt.NDArray[np.int16] = numbers(one_chunk(contents.table.column("label")))
        self.sizes: Int = numbers(one_chunk(contents.table.column("size")))
        recorded = _DIGEST in contents.table.column_names
        self._digests = one_chunk(contents.table.column(_DIGEST)) if recorded else None
        self._verify = verify

    @classmethod
    def open(cls, folder: Path, split: str, *, verify: bool = False) -> TreeReader:
        """Return the reader of a split's folder: by its manifest where there is one, else by scanning the folder.

        A scan warns of what it leaves out.

        Raises
        ------
        UsageError
            If no image is there.
        """
        contents = _from_manifest(folder) or _from_scan(folder, split)
        if not contents.table.num_rows:
            hint = "images are known by their names, such as n01440764_10026.JPEG or ILSVRC2012_val_00000001.JPEG"
            raise UsageError(f"{folder} holds no {split} image of ILSVRC 2012", hint=hint)
        return cls(folder, split, contents, verify=verify)

    def __len__(self) -> int:
        return len(self._paths)

    @property
    def path(self) -> Location:
        """The split's folder."""
        return self.folder

    @cached_property
    def names(self) -> pa.StringArray:
        """File names, N strings."""
        return pc.replace_substring_regex(self._paths, _FOLDERS, "")

    @cached_property
    def identity(self) -> str:
        """xxh3_128 over split, names, labels and sizes, and over the manifest's digests where there is one."""
        digest = xxhash.xxh3_128(f"tree {self.split} {len(self)}".encode())
        for start in range(0, len(self), _CHUNK):
            names = self.names[start : start + _CHUNK].to_pylist()
            digest.update("".join(f"{name}\n" for name in names).encode())
        for column in (self.labels, self.sizes):
            digest.update(np.ascontiguousarray(column).data)
        if self._contents.from_manifest:
            digest.update(b"".join(one_chunk(self._contents.table.column(_DIGEST)).to_pylist()))
        return digest.hexdigest()

    @property
    def state(self) -> str:
        """xxh3_128 over the states of the manifest, or of the scanned folders."""
        states = {path: asdict(state) for path, state in self._contents.states.items()}
        return xxhash.xxh3_128_hexdigest(json.dumps(states, sort_keys=True).encode())

    def name(self, row: int) -> str:
        """Return the file name of an image."""
        return str(self._paths[row].as_py()).rpartition("/")[2]

    def where(self, row: int) -> Place:
        """Return where an image lies: in a file of its own."""
        return Place(self.split, self._path(row), "", 0, str(self.folder))

    def digest(self, row: int) -> bytes | None:
        """Return the digest of an image in the manifest, if there is one."""
        found: bytes | None = None if self._digests is None else self._digests[row].as_py()
        return found

    def read(self, row: int) -> bytes:
        """Return an image's file, byte for byte."""
        data = read_file(self.where(row), self.sizes.item(row))
        if self._verify and xxhash.xxh3_128_digest(data) != self.digest(row):
            detail = "its bytes do not have the digest that was recorded of them"
            raise self.where(row).fault(Code.CHANGED_IMAGE, detail)
        return data

    def take(self, rows: Rows) -> Iterator[tuple[int, bytes]]:
        """Yield rows and their bytes, one file after the other."""
        for row in rows.tolist():
            yield row, self.read(row)

    def will_need(self, rows: Rows) -> None:
        """Do nothing: to have a million files fetched ahead, each would have to be opened."""

    def let_go(self, rows: Rows) -> None:
        """Do nothing, as `will_need` does."""

    def storage_order(self) -> Int:
        """Return the rows as they are: nothing tells where a file lies on the disk, but neighbours are often near."""
        return np.arange(len(self))

    def spans(self, rows: Rows) -> None:
        """Return None: images are files of their own."""

    def containers(self) -> tuple[Container, ...]:
        """Return none: images are files of their own."""
        return ()

    def require_unchanged(self) -> None:
        """Refuse a tree whose manifest, or without one whose folders, are not in the state in which they were opened.

        A folder's state tells that files came, went or were renamed. That one file was written to, `read` tells.
        """
        assert isinstance(self.folder, Path)
        contents = self._contents
        scanned = contents.complete and not contents.from_manifest
        try:
            now = _states(_folders(self.folder) if scanned else list(contents.states))
        except OSError:
            now = {}
        changed = [path for path, state in contents.states.items() if now.get(path) != state]
        if changed or len(now) != len(contents.states):
            raise tree_changed(self.folder, changed)

    def _path(self, row: int) -> str:
        return f"{self._base}/{self._paths[row].as_py()}"

    def part(self, rows: Rows) -> TreeReader:
        """Return a reader of these rows alone, in this order."""
        contents = self._contents
        table, states = contents.table.take(pa.array(rows)), contents.states
        if not contents.from_manifest:
            folders = {f"{self._base}/{path}".rpartition("/")[0] for path in table.column("path").to_pylist()}
            states = {path: state for path, state in states.items() if path in folders}
        contents = replace(contents, table=table, states=states, complete=False)
        return TreeReader(self.folder, self.split, contents, verify=self._verify)

    def __reduce__(self) -> tuple[object, ...]:
        if self._contents.from_manifest and self._contents.complete:
            return _reopened, (self.folder, self.split, self._contents.states, self._verify)
        return _remade, (self.folder, self.split, self._contents, self._verify)


def recognise(root: Path) -> list[Found]:
    """Return the splits whose folders lie in a folder, or the one split whose folder `root` is."""
    return [_found(folder, split) for split, folder in split_folders(root).items()]


def _found(folder: Path, split: str) -> Found:
    def open_it(*, verify: bool = False, listener: Listener = silent) -> TreeReader:  # noqa: ARG001  -- no index
        return TreeReader.open(folder, split, verify=verify)

    return Found(split, TreeReader.form, folder, open_it)


def _remade(folder: Path, split: str, contents: Contents, verify: bool) -> TreeReader:
    """Return the reader in another process, which knows what it holds."""
    return TreeReader(folder, split, contents, verify=verify)


def _reopened(folder: Path, split: str, states: Mapping[str, State], verify: bool) -> TreeReader:
    """Return the reader in another process, if the manifest is still the one that this process had."""
    contents = _from_manifest(folder)
    if contents is None or contents.states != states:
        raise tree_changed(folder, list(states))
    return TreeReader(folder, split, contents, verify=verify)


def tree_changed(folder: Location, paths: list[str]) -> DamageError:
    """Return the error that a tree changed while it was in use, with the first path that did."""
    what = f": {printable(paths[0])} is not as it was" if paths else ""
    hint = "let nothing write to the tree, then run the same command again"
    return DamageError(f"{folder}: the tree changed while it was in use{what}", [], hint=hint)


def _from_manifest(folder: Path) -> Contents | None:
    """Return what a tree's manifest says."""
    path = folder.parent / OWN_FOLDER / f"{folder.name}.arrow"
    try:
        states = _states([str(path)])
        return Contents(folder.parent, read_manifest(path), True, states)
    except (OSError, ValueError, pa.ArrowException):
        return None


def _from_scan(folder: Path, split: str) -> Contents:
    """Return what lies in a folder without manifest; warn of what is left out."""
    states = _states(_folders(folder))  # before the scan, so that a change during it is noticed
    return counted_once(survey(folder, split), states)


def counted_once(tree: Tree, states: Mapping[str, State]) -> Contents:
    """Return what a scan found, each image once; warn of what is left out, and of what lies elsewhere than it says.

    Called by what a reader's `open` calls, so that warnings name the line that makes an ImageNet.

    Raises
    ------
    DamageError
        If two files of one name have different bytes.
    """
    if tree.left_out and tree.table.num_rows:
        warnings.warn(_left_out(tree), stacklevel=7)  # the line that makes an ImageNet
    contrary = contradicted(tree)
    if len(contrary):
        warnings.warn(_in_other_folders(tree, contrary), stacklevel=7)
    found = scanned(tree, states)
    twice = _twice(found.table)
    if not len(twice):
        return found
    _refuse_different(tree, found.table, twice)
    warnings.warn(_counted_once(tree, found.table, twice), stacklevel=7)
    return replace(found, table=found.table.take(np.delete(np.arange(found.table.num_rows), twice - 1)))


def _twice(table: pa.Table) -> Int:
    """Return the rows whose file name, up to its ending, the row before has too; shape (K,), int64.

    In catalog order images of one name are neighbours: the name tells the label.
    """
    names = one_chunk(pc.replace_substring_regex(table.column("path"), _FOLDERS_AND_ENDING, ""))
    if len(names) < 2:
        return np.array([], np.int64)
    same = pc.equal(names[1:], names[:-1]).to_numpy(zero_copy_only=False)
    return np.flatnonzero(same) + 1


def _refuse_different(tree: Tree, table: pa.Table, twice: Int) -> None:
    """Refuse two files of one name that are not the same image: nothing tells which of them is right."""
    paths = table.column("path")
    pairs = [(paths[row - 1].as_py(), paths[row].as_py()) for row in twice.tolist()]
    different = [pair for pair in pairs if not _equal(*(tree.folder / path for path in pair))]
    if not different:
        return
    first, second = different[0]
    more = f", and {len(different) - 1:,} more such pairs" if different[1:] else ""
    issues = [Issue(other, Code.DUPLICATE_IMAGE, f"it differs from {one}") for one, other in different[:_MOST_LISTED]]
    detail = f"{tree.folder}: {first} and {second} have one name and different bytes{more}"
    raise DamageError(detail, issues, hint="move the wrong one of both away; `ilsvrc check` lists all that are twice")


def _equal(one: Location, other: Location) -> bool:
    """Whether two files, or two objects, have the same bytes."""
    if isinstance(one, Path) and isinstance(other, Path):
        return filecmp.cmp(one, other, shallow=False)
    return one.read_bytes() == other.read_bytes()


def _counted_once(tree: Tree, table: pa.Table, twice: Int) -> str:
    first, second = (table.column("path")[row].as_py() for row in (twice.item(0) - 1, twice.item(0)))
    images = "1 image is" if len(twice) == 1 else f"{len(twice):,} images are"
    return f"{tree.folder}: {images} there twice with the same bytes, and counted once; such as {first} and {second}"


def scanned(tree: Tree, states: Mapping[str, State] | None = None) -> Contents:
    """Return what a scan of a folder found, in catalog order.

    Parameters
    ----------
    tree
        What was found.
    states
        The states of the folders before the scan; None for their states now.
    """
    names = pc.replace_substring_regex(tree.table.column("path"), _FOLDERS, "")
    table = tree.table.append_column("label", pa.array(tree.labels)).append_column("name", names)
    order = pc.sort_indices(table, [("label", "ascending"), ("name", "ascending"), ("path", "ascending")])
    if states is None:
        states = _states([str(tree.folder), *(f"{tree.folder}/{name}" for name in tree.folders)])
    return Contents(tree.folder, table.drop_columns("name").take(order), False, states)


def _left_out(tree: Tree) -> str:
    codes = Counter(str(issue.code) for issue in tree.left_out)
    counts = ", ".join(f"{count:,} {code}" for code, count in codes.most_common())
    first = tree.left_out[0]
    command = f"ilsvrc check {shlex.quote(str(tree.folder))}"
    entries = "1 entry is" if len(tree.left_out) == 1 else f"{len(tree.left_out):,} entries are"
    found = f"{entries} left out, with all that lies there: {counts}"
    return f"{tree.folder}: {found}; such as {first.key} ({first.detail}). `{command}` lists them"


def _in_other_folders(tree: Tree, rows: Int) -> str:
    named = ", ".join(printable(tree.path(row)) for row in rows[:_MOST_NAMED].tolist())
    more = f" and {len(rows) - _MOST_NAMED:,} more" if len(rows) > _MOST_NAMED else ""
    images = "1 image lies" if len(rows) == 1 else f"{len(rows):,} images lie"
    command = f"ilsvrc check {shlex.quote(str(tree.folder))}"
    labels = "labels are those that the names state, not those of the folders"
    return f"{tree.folder}: {images} in the folder of another class: {named}{more}; {labels}. See `{command}`"


def _folders(folder: Path) -> list[str]:
    """Return the paths of a split's folder and of the folders in it."""
    return [str(folder), *(f"{folder}/{name}" for name in folders_in(folder))]


def _states(paths: list[str]) -> dict[str, FileState]:
    return {path: FileState.of(Path(path)) for path in paths}
