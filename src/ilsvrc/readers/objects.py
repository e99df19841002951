"""Read images out of class folders in an object store, where each image is an object of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from ilsvrc.errors import MachineError, UsageError
from ilsvrc.events import Listener, silent
from ilsvrc.issues import Code
from ilsvrc.readers.ahead import take_ahead
from ilsvrc.readers.reader import LARGEST_IMAGE, Found, Rows
from ilsvrc.readers.tree import Contents, TreeReader, counted_once, tree_changed
from ilsvrc.stores.client import ChangedError, NoRangesError, ObjectState
from ilsvrc.stores.log import StoreLog
from ilsvrc.stores.path import Location, StorePath
from ilsvrc.stores.prefetch import Ranges, prefetch
from ilsvrc.tree import paths
from ilsvrc.tree.manifest import read_manifest
from ilsvrc.tree.objects import split_folders, state_of, survey


class ObjectReader(TreeReader):
    """Images of one split's folder in a store: each image that is read is one request.

    By the manifest of the tree, each is compared with its digest there. Without one, each request asks for the state
    (the ETag) in which the image was listed. Images that are announced come at the same time, and are kept in memory
    as far as `stores.prefetch` allows.

    Parameters
    ----------
    folder, split, contents, verify
        As for `TreeReader`. Digests are compared whether `verify` is asked for or not: bytes come from afar.
    """

    def __init__(self, folder: StorePath, split: str, contents: Contents, *, verify: bool = False) -> None:
        super().__init__(folder, split, contents, verify=verify)
        self._store_folder = folder
        self._begin = _base(contents).key
        self._pid = os.getpid()
        self._announced: dict[int, Ranges] = {}

    @classmethod
    def open_objects(cls, folder: StorePath, split: str, *, verify: bool = False) -> ObjectReader:
        """Return the reader of a split's folder: by its manifest where there is one, else by a listing.

        Raises
        ------
        UsageError
            If no image is there, or there is neither a manifest that can be read nor a listing.
        """
        contents = _from_manifest(folder) or _from_listing(folder, split)
        if not contents.table.num_rows:
            hint = "images are known by their names, such as n01440764_10026.JPEG or ILSVRC2012_val_00000001.JPEG"
            raise UsageError(f"{folder} holds no {split} image of ILSVRC 2012", hint=hint)
        return cls(folder, split, contents, verify=verify)

    def read(self, row: int) -> bytes:
        """Return an image's object, byte for byte: what was announced from memory, else by a request."""
        size = self.sizes.item(row)
        if size > LARGEST_IMAGE:
            detail = f"it has {size:,} bytes: too many for an image, so it was not read"
            raise self.where(row).fault(Code.NOT_AN_IMAGE, detail)
        ranges = self._ranges().get(row)
        data = prefetch().read(ranges, 0, size) if ranges and size else self._fetch(row, 0, size)
        recorded = self.digest(row)
        if recorded is not None and xxhash.xxh3_128_digest(data) != recorded:
            detail = "its bytes do not have the digest that was recorded of them"
            raise self.where(row).fault(Code.CHANGED_IMAGE, detail)
        return data

    def take(self, rows: Rows) -> Iterator[tuple[int, bytes]]:
        """Yield rows and their bytes in the order given, a batch of requests ahead."""
        return take_ahead(rows, self.sizes[rows], self.read, will_need=self.will_need, let_go=self.let_go)

    def will_need(self, rows: Rows) -> None:
        """Begin to fetch these images, many at the same time."""
        announced = self._ranges()
        for row, ranges in list(announced.items()):
            if not ranges.pieces:  # memory was needed for others
                announced.pop(row, None)
        for row in rows.tolist():
            size = self.sizes.item(row)
            if 0 < size <= LARGEST_IMAGE:
                ranges = announced.setdefault(row, Ranges(partial(self._fetch, row)))
                prefetch().announce(ranges, 0, size)

    def let_go(self, rows: Rows) -> None:
        """Give back the memory of images that were announced."""
        announced = self._ranges()
        for row in rows.tolist():
            ranges = announced.pop(row, None)
            if ranges:
                prefetch().drop(ranges, 0, self.sizes.item(row))

    def _ranges(self) -> dict[int, Ranges]:
        """Return what this process announced: a child that was forked has none of its parent's requests."""
        if self._pid != os.getpid():
            self._announced, self._pid = {}, os.getpid()
        return self._announced

    def _fetch(self, row: int, start: int, length: int) -> bytes:
        """Ask the server for bytes of an image, in the state in which it was listed."""
        bucket, key, state = self._store_folder.bucket, f"{self._begin}/{self._paths[row].as_py()}", self._listed(row)
        try:
            if not length:  # no server has a range without bytes
                found = bucket.state(key)
                return self._whole(row, b"", found.size if found else None)
            data = bucket.read(key.strip("/"), start, length, state)
        except ChangedError:
            detail = "another object has taken its place since its folder was listed"
            raise self.where(row).fault(Code.CHANGED_IMAGE, detail) from None
        except FileNotFoundError:
            return self._whole(row, b"", None)
        except NoRangesError:
            data = bucket.whole(key)[start : start + length]
        except MachineError:  # a server refuses ranges that begin after the end of what is there now
            found = bucket.state(key)
            if found is None or found.size == self.sizes.item(row):
                raise
            return self._whole(row, b"", found.size)
        return data if len(data) == length else self._whole(row, data, start + len(data))

    def _whole(self, row: int, data: bytes, size: int | None) -> bytes:
        """Return an image's bytes, or refuse an object that is gone (None) or has another size than was recorded."""
        if size is None:
            raise self.where(row).fault(Code.MISSING_IMAGE, "it was recorded in the tree, and is not there")
        if size != self.sizes.item(row):
            detail = f"it has {size:,} bytes, and had {self.sizes.item(row):,} when it was recorded"
            raise self.where(row).fault(Code.CHANGED_IMAGE, detail)
        return data

    def _listed(self, row: int) -> ObjectState | None:
        """Return the state in which an image was listed; None by a manifest, whose digests prove more."""
        table = self._contents.table
        if "etag" not in table.column_names:
            return None
        etag, changed = (table.column(name)[row].as_py() for name in ("etag", "changed"))
        return ObjectState(self.sizes.item(row), etag, changed)

    def require_unchanged(self) -> None:
        """Refuse a tree whose manifest, or without one whose listing, is not what it was; one request, or a listing.

        A part of a listing needs no request: each image is asked for in the state in which it was listed.
        """
        contents = self._contents
        if contents.from_manifest:
            [path] = contents.states
            same = _manifest(self._store_folder).state() == contents.states[path]
        elif contents.complete:
            same = {str(self.folder): state_of(survey(self._store_folder, self.split))} == contents.states
        else:
            return
        if not same:
            raise tree_changed(self.folder, list(contents.states))

    def part(self, rows: Rows) -> ObjectReader:
        """Return a reader of these rows alone, in this order."""
        table = self._contents.table.take(pa.array(rows))
        contents = replace(self._contents, table=table, complete=False)
        return ObjectReader(self._store_folder, self.split, contents, verify=self._verify)

    def __reduce__(self) -> tuple[object, ...]:
        contents = self._contents
        if contents.from_manifest and contents.complete:
            return _reopened, (self._store_folder, self.split, contents.states, self._verify)
        return _remade, (self._store_folder, self.split, contents, self._verify)


def recognise(root: Location) -> list[Found]:
    """Return the splits whose folders lie in a folder of a store, or the one split whose folder `root` is."""
    if not isinstance(root, StorePath):
        return []
    return [_found(folder, split) for split, folder in split_folders(root).items()]


def _found(folder: StorePath, split: str) -> Found:
    def open_it(*, verify: bool = False, listener: Listener = silent) -> ObjectReader:  # noqa: ARG001  -- no index
        return ObjectReader.open_objects(folder, split, verify=verify)

    return Found(split, ObjectReader.form, folder, open_it)


def _remade(folder: StorePath, split: str, contents: Contents, verify: bool) -> ObjectReader:
    """Return the reader in another process, which knows what it holds."""
    return ObjectReader(folder, split, contents, verify=verify)


def _reopened(folder: StorePath, split: str, states: dict[str, ObjectState], verify: bool) -> ObjectReader:
    """Return the reader in another process, if the manifest is still the one that this process had."""
    contents = _from_manifest(folder)
    if contents is None or contents.states != states:
        raise tree_changed(folder, list(states))
    return ObjectReader(folder, split, contents, verify=verify)


def _base(contents: Contents) -> StorePath:
    assert isinstance(contents.base, StorePath)
    return contents.base


def _manifest(folder: StorePath) -> StorePath:
    return paths.manifest(folder.parent, folder.name)


def _from_manifest(folder: StorePath) -> Contents | None:
    """Return what a tree's manifest says: one request for its state, and one for its bytes."""
    path = _manifest(folder)
    state = path.state()
    if state is None:
        return None
    try:
        table = read_manifest(path)
    except (OSError, ValueError, pa.ArrowException):
        return None
    if not pc.all(pc.starts_with(table.column("path"), f"{folder.name}/")).as_py():
        return None
    return Contents(folder.parent, table, True, {str(path): state})


def _is_begun(folder: StorePath, split: str) -> bool:
    """Whether `prepare` began to write a split here, by its journal."""
    lines = StoreLog(paths.own(folder.parent) / "journal").read().splitlines()
    return any(line.get("split") == split for line in map(_fields, lines))


def _fields(line: str) -> dict[str, object]:
    """Return what a line of a journal says; nothing if it can't be read."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _from_listing(folder: StorePath, split: str) -> Contents:
    """Return what lies in a folder without a manifest; warn of what is left out."""
    if not folder.bucket.lists:
        hint = f"put the manifest {_manifest(folder)} there again, or bring the tree to this machine"
        raise UsageError(f"{folder} can't be read in place: a web server lists no images", hint=hint)
    if _is_begun(folder, split):
        hint = "run the same `prepare` command again: it resumes, and puts the manifest last"
        raise UsageError(f"{folder} is not finished: `prepare` began it, and its manifest is not there", hint=hint)
    tree = survey(folder, split)
    return counted_once(tree, {str(folder): state_of(tree)})
