"""List the images of a folder tree in an object store, each an object of its own, by the rules of `tree.scan`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from ilsvrc.facts.names import image_split
from ilsvrc.files import printable
from ilsvrc.issues import Code, Issue
from ilsvrc.stores.client import Entry, ObjectState
from ilsvrc.stores.path import StorePath
from ilsvrc.tree import paths
from ilsvrc.tree.scan import SCHEMA, SPLIT_FOLDERS, Tree, may_be_in

LISTED = pa.schema([*SCHEMA, ("etag", pa.string()), ("changed", pa.int64())])
"""The columns of a listing: those of every tree, and what else tells the state of each object."""

_BATCH = 1 << 16
_FIRST = 10_000
"""Objects among which an image is looked for before a folder is taken for one without images: ten requests."""


def split_folders(root: StorePath) -> dict[str, StorePath]:
    """Return the folders of a tree's splits, by split, as `scan.split_folders` does; none without an image.

    A web server lists nothing: there, splits are those that have a manifest.
    """
    if not root.bucket.lists:
        return {split: root / split for split in SPLIT_FOLDERS if paths.manifest(root, split).is_file()}
    entries = root.entries()
    there = {_name(entry) for entry in entries if entry.state is None}
    named = {split: root / name for split, names in SPLIT_FOLDERS.items() for name in names if name in there}
    found = {split: folder for split, folder in named.items() if _holds_image(folder, split)}
    if not found:
        alone = _split_of(root)
        return {alone: root} if alone else {}
    if "val" not in found and next(_heap(entries), None):
        found["val"] = root
    return found


def survey(folder: StorePath, split: str) -> Tree:
    """Return the images in a split's folder, by one listing of all that lies below: a request for 1,000 objects.

    The table has the columns of LISTED.
    """
    strays: list[Issue] = []
    folders: set[str] = set()
    beside = _is_beside_splits(folder)
    objects = _beside_splits(folder) if beside else _images(folder, split, strays, folders)
    batches = []
    while batch := list(itertools.islice(objects, _BATCH)):
        columns = zip(*((path, state.size, state.etag, state.changed) for path, state in batch), strict=True)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, LISTED, strict=True)]
        batches.append(pa.RecordBatch.from_arrays(arrays, schema=LISTED))
    table = pa.Table.from_batches(batches, LISTED)
    order = pc.sort_indices(pc.replace_substring(table.column("path"), "/", "\0"))  # by folder, then by name
    return Tree(folder, split, table.take(order), tuple(strays), tuple(sorted(folders)))


def state_of(tree: Tree) -> ObjectState:
    """Return one state for all objects of a listing: bytes of all of them, and a digest of keys, sizes and ETags."""
    digest = xxhash.xxh3_128(f"{tree.table.num_rows}".encode())
    for batch in tree.table.to_batches(max_chunksize=_BATCH):
        for name in ("path", "etag"):
            digest.update("".join(f"{value}\n" for value in batch.column(name).to_pylist()).encode())
        for name in ("size", "changed"):
            digest.update(np.ascontiguousarray(batch.column(name).to_numpy()).data)
    return ObjectState(int(pc.sum(tree.table.column("size")).as_py() or 0), digest.hexdigest(), 0)


def _images(
    folder: StorePath, split: str, strays: list[Issue], folders: set[str]
) -> Iterator[tuple[str, ObjectState]]:
    """Yield path and state of every image up to two levels deep; note the folders, and all else as an issue."""
    left_out: set[str] = set()
    for path, state in _below(folder):
        first, *others = path.split("/")
        name = others[0] if others else first
        if others:
            folders.add(first)
        if others and first.startswith("."):
            _leave_out(first, Code.HIDDEN_FOLDER, "ImageFolder takes it for a class", left_out, strays)
        elif len(others) > 1:
            code = Code.HIDDEN_FOLDER if name.startswith(".") else Code.STRAY_FOLDER
            told = "ImageFolder takes what is in it for images of the class"
            _leave_out(f"{first}/{name}", code, told, left_out, strays)
        elif may_be_in(split, name):
            yield path, state
        else:
            strays.append(Issue(printable(path), Code.STRAY_FILE, f"its name is not that of a {split} image"))


def _leave_out(folder: str, code: Code, detail: str, left_out: set[str], strays: list[Issue]) -> None:
    """Add one issue for a folder, however many objects are in it."""
    if folder not in left_out:
        left_out.add(folder)
        strays.append(Issue(printable(folder), code, detail))


def _below(folder: StorePath) -> Iterator[tuple[str, ObjectState]]:
    """Yield path below a folder, and state, of every object in it; none that only stands for a folder itself."""
    begin = len(folder.key) + 1 if folder.key else 0
    for entry in folder.bucket.below(folder.key):
        if entry.state is not None and not _is_marker(entry, entry.state):
            yield entry.key[begin:], entry.state


def _is_marker(entry: Entry, state: ObjectState) -> bool:
    """Whether an object is one of those without bytes that some programs put for a folder, as `train/n01440764/`."""
    return not state.size and "." not in _name(entry)


def _beside_splits(folder: StorePath) -> Iterator[tuple[str, ObjectState]]:
    """Yield name and state of every image of a heap beside the folders of splits."""
    for entry in _heap(folder.entries()):
        assert entry.state is not None
        yield _name(entry), entry.state


def _heap(entries: list[Entry]) -> Iterator[Entry]:
    """Yield the validation images among what lies in a folder; other objects there are of no concern."""
    return (entry for entry in entries if entry.state is not None and image_split(_name(entry)) == "val")


def _is_beside_splits(folder: StorePath) -> bool:
    """Whether a folder holds folders of splits, and so at most a heap of its own."""
    names = {name for names in SPLIT_FOLDERS.values() for name in names}
    if folder.name in names:
        return False
    return any(entry.state is None and _name(entry) in names for entry in folder.entries())


def _holds_image(folder: StorePath, split: str) -> bool:
    """Whether an image that may be of a split is among the first objects of its folder."""
    return any(may_be_in(split, path.rpartition("/")[2]) for path in _first_paths(folder))


def _split_of(folder: StorePath) -> str | None:
    """Return the split of a folder with images: by its name if that is train or val, else by its first image's."""
    called = next((split for split in ("train", "val") if folder.name in SPLIT_FOLDERS[split]), None)
    for path in _first_paths(folder):
        split = image_split(path.rpartition("/")[2])
        if split:
            return called or split
    return None


def _first_paths(folder: StorePath) -> Iterator[str]:
    """Yield the paths of the first objects of a folder that lie where images would: at most one folder deep."""
    return (path for path, _ in itertools.islice(_below(folder), _FIRST) if path.count("/") < 2)


def _name(entry: Entry) -> str:
    return entry.key.rpartition("/")[2]
