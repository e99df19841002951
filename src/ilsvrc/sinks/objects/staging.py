"""What the sinks of a bucket share: notes by which an object is known as ours, parts of the manifest, small files."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import xxhash

from ilsvrc.archive.sidecar import Verified
from ilsvrc.errors import UsageError
from ilsvrc.readers.units import Unit
from ilsvrc.sinks.base import Output
from ilsvrc.sinks.formats.base import Format
from ilsvrc.sinks.formats.registry import FORMATS, format_of
from ilsvrc.sinks.staging import packed, proof_of, unpacked
from ilsvrc.stores.client import AT_ONCE, ChangedError, Head
from ilsvrc.stores.log import allowed
from ilsvrc.stores.path import StorePath
from ilsvrc.tree import paths
from ilsvrc.tree.manifest import SCHEMA, SHARDED, metadata_of, read_manifest, write_manifest

NOTE = "ilsvrc"
"""Name of what is noted of every object that we put besides those below `.ilsvrc`: split, plan, digest."""

_PLAN = 32
"""Digits of a plan's digest that are noted."""

_SCRATCH = "ilsvrc-objects-"
"""How the names of our temporary folders begin; the number of the process follows."""

T = TypeVar("T")
R = TypeVar("R")


def at_once(call: Callable[[T], R], values: Iterable[T]) -> list[R]:
    """Return the results of a call for each value, in order; requests run at the same time."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(call, values))


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Yield an empty folder on this machine, below TMPDIR, that is removed at the end."""
    with tempfile.TemporaryDirectory(prefix=f"{_SCRATCH}{os.getpid()}-") as folder:
        yield Path(folder)


@dataclass(frozen=True, slots=True)
class ObjectStaging:
    """A prefix of a bucket, as far as it is about one split.

    root : the folder that gets the split
    split : train, val or test
    plan : digest of the plan, by which its unfinished objects are known
    provenance : what the manifest says of its making, by which a later run recognises it
    allow : called by the driver before it publishes or removes; raises if the driver lost its lock
    """

    root: StorePath
    split: str
    plan: str
    provenance: tuple[tuple[str, str], ...]
    allow: Callable[[], None] = field(default=allowed, compare=False, repr=False)

    def __reduce__(self) -> tuple[object, ...]:
        return ObjectStaging, (self.root, self.split, self.plan, self.provenance)

    @property
    def folder(self) -> StorePath:
        """The folder of parts and pieces."""
        return paths.staging(self.root)

    @property
    def manifest(self) -> StorePath:
        """The manifest of the split; it is there once all else is."""
        return paths.manifest(self.root, self.split)

    def put(self, path: StorePath, data: bytes | Path, digest: str, *, over: bool = False) -> None:
        """Put an object under a name of the split; one of these bytes that this plan put there before will do.

        Parameters
        ----------
        path
            The name.
        data
            The bytes, or a file with them.
        digest
            Their xxh3_128, in hex.
        over
            Replace any object that is there.

        Raises
        ------
        UsageError
            If somebody else's object has the name.
        """
        notes = {NOTE: f"{self.split} {self.plan[:_PLAN]} {digest}"}
        try:
            path.bucket.put(path.key, data, new=not over, notes=notes)
        except FileExistsError:
            found = path.bucket.head(path.key)
            if found is None or not self.is_ours(found, [self.plan]):
                raise appeared(path) from None
            if found.notes[NOTE] == notes[NOTE]:
                return
            try:
                path.bucket.put(path.key, data, instead=found.version, notes=notes)
            except ChangedError:
                found = path.bucket.head(path.key)
                if found is None or found.notes.get(NOTE) != notes[NOTE]:  # else the request was repeated
                    raise appeared(path) from None

    def is_ours(self, found: Head, plans: Iterable[str]) -> bool:
        """Whether an object was put by one of some plans of this split, by their digests."""
        noted = found.notes.get(NOTE, "").split(" ")
        return noted[:-1] in [[self.split, plan[:_PLAN]] for plan in plans]

    def is_whole(self, path: StorePath, size: int, digest: str) -> bool:
        """Whether an object has the size and the digest, by its note, that it was put with."""
        found = path.bucket.head(path.key)
        return found is not None and found.state.size == size and found.notes.get(NOTE, "").endswith(f" {digest}")

    def foreign(self, taken: Sequence[StorePath], plans: Sequence[str]) -> StorePath | None:
        """Return the first of some objects that none of these plans put there."""
        heads = at_once(lambda path: path.bucket.head(path.key), taken)
        pairs = zip(taken, heads, strict=True)
        return next((path for path, found in pairs if found and not self.is_ours(found, plans)), None)

    def remove(self, taken: Sequence[StorePath], plans: Sequence[str]) -> None:
        """Remove those of some objects that these plans put there."""
        self.allow()
        heads = at_once(lambda path: path.bucket.head(path.key), taken)
        pairs = zip(taken, heads, strict=True)
        self.delete([path for path, found in pairs if found and self.is_ours(found, plans)])

    def delete(self, objects: Iterable[StorePath]) -> None:
        """Remove objects."""
        keys = [path.key for path in objects]
        if keys:
            self.root.bucket.delete(keys)

    def sizes(self, folder: StorePath) -> dict[str, int]:
        """Return the bytes of every object in a folder and below, by path below the root; many folders at a time."""
        entries = folder.entries()
        below = at_once(
            lambda key: list(folder.bucket.below(key)), [entry.key for entry in entries if entry.state is None]
        )
        start = len(self.root.key) + 1 if self.root.key else 0
        every = [*entries, *(entry for listed in below for entry in listed)]
        return {entry.key[start:]: entry.state.size for entry in every if entry.state is not None}

    def ours(self, schema: pa.Schema = SCHEMA) -> pa.Table | None:
        """Return the manifest if it names this source and these settings."""
        try:
            table = read_manifest(self.manifest, schema)
        except (FileNotFoundError, ValueError):
            return None
        return table if dict(self.provenance).items() <= metadata_of(table).items() else None

    def foreign_manifest(self) -> str:
        """Say in which way the manifest that is there is not the one of this source and these settings."""
        for schema in (SCHEMA, SHARDED):
            with contextlib.suppress(ValueError):
                read_manifest(self.manifest, schema)
                return f"{self.root} holds a {self.split} of another source or other settings"
        return f"{self.root} holds a {self.split} whose manifest can't be read: {self.manifest}"

    def record(self, unit: Unit, table: pa.Table) -> Output:
        """Put the part of the manifest with the images of a unit."""
        data, path = packed(table), self._parts / f"{unit.id}.arrow"
        path.bucket.put(path.key, data)
        return Output(str(path.relative_to(self.root)), len(data), xxhash.xxh3_128_hexdigest(data))

    def part(self, output: Output) -> pa.Table:
        """Return the rows in a part of the manifest.

        Raises
        ------
        FileNotFoundError
            If it is not there.
        ValueError
            If it has another digest than it was written with.
        """
        return unpacked((self._parts / output.path.rpartition("/")[2]).read_bytes(), output)

    def parts(self, outputs: Iterable[Output]) -> list[pa.Table]:
        """Return the rows in many parts."""
        return at_once(self.part, outputs)

    def publish(self, table: pa.Table, proved: Sequence[Verified], more: Mapping[str, str] | None = None) -> None:
        """Put the manifest under its name: the split is there."""
        self.allow()
        with scratch() as folder:
            file = folder / "manifest"
            write_manifest(table, file, dict(self.provenance) | proof_of(proved) | dict(more or {}))
            try:
                self.manifest.bucket.put(self.manifest.key, file, new=True)
            except FileExistsError:
                if self.manifest.read_bytes() != file.read_bytes():  # else the request was repeated
                    raise appeared(self.manifest) from None

    def beside(self, files: Mapping[str, bytes], before: Mapping[str, bytes]) -> None:
        """Put small files beside the split, in place of those that an earlier split needed; of nobody else's.

        Raises
        ------
        UsageError
            If an object of other contents has the name of one.
        """
        self.allow()
        for name, data in files.items():
            path = self.root / name
            found = path.bucket.head(path.key)
            there = path.read_bytes() if found else None
            if there == data:
                continue
            if found and there != before.get(name):
                hint = "move it away, then run the same command again"
                raise UsageError(f"{path} is there, and ilsvrc did not write it", hint=hint)
            try:
                path.bucket.put(path.key, data, new=found is None, instead=found.version if found else None)
            except (FileExistsError, ChangedError):
                if path.read_bytes() != data:  # else the request was repeated
                    raise appeared(path) from None

    def taken(self, files: Mapping[str, bytes], before: Mapping[str, bytes]) -> StorePath | None:
        """Return the first small file whose name an object has that ilsvrc did not write."""
        for name in files:
            path = self.root / name
            if path.is_file() and path.read_bytes() not in (files[name], before.get(name)):
                return path
        return None

    def clear(self) -> None:
        """Remove parts and pieces of the split, in no case anything under a name of its own."""
        entries = [entry for entry in self.folder.entries() if entry.state is None]
        own = [entry.key for entry in entries if entry.key.rpartition("/")[2].partition(".")[0] == self.split]
        self.delete(StorePath(self.root.url.at(entry.key)) for key in own for entry in self.root.bucket.below(key))

    @property
    def _parts(self) -> StorePath:
        return self.folder / f"{self.split}.parts"


def there(wanted: Sequence[StorePath]) -> list[StorePath]:
    """Return those of some paths under which there is an object."""
    listed = at_once(StorePath.entries, sorted({path.parent for path in wanted}))
    keys = {entry.key for entries in listed for entry in entries if entry.state is not None}
    return [path for path in wanted if path.key in keys]


def names_of(format: Format, split: str, count: int) -> list[str]:  # noqa: A002  -- as the command line calls it
    """Return the paths of the shards of a split; of one, if the format has one file for a split."""
    count = 1 if format.whole else count
    return [format.path(split, number, count) for number in range(count)]


def remove_begun(staged: ObjectStaging, begun: Sequence[Mapping[str, object]]) -> None:
    """Remove the objects that some plans put, by their headers in the journal, and no object of anybody else's."""
    for header in begun:
        name, count = header.get("format"), header.get("shards")
        if name in FORMATS and isinstance(count, int):
            found = there([staged.root / key for key in names_of(format_of(str(name)), staged.split, count)])
        else:
            found = [staged.root / key for key in staged.sizes(staged.root / staged.split)]
        staged.remove(found, [str(header.get("plan"))])


def appeared(path: StorePath) -> UsageError:
    """Return the error for an object that ilsvrc did not write and that has a name which is needed."""
    hint = "move it away, then run the same command again: it resumes"
    return UsageError(f"{path} is there, and this run did not write it", hint=hint)


def remove_scratch() -> None:
    """Remove temporary folders that killed processes left on this machine."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*"):
        number = folder.name.removeprefix(_SCRATCH).partition("-")[0]
        if number.isdecimal() and not _lives(int(number)):
            shutil.rmtree(folder, ignore_errors=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
