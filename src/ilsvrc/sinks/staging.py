"""Staging: where the unfinished work of a split lies, and the parts of the manifest that prove what is done."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import xxhash

from ilsvrc.archive.sidecar import Verified
from ilsvrc.errors import MachineError, UsageError
from ilsvrc.files import (
    OWN_FOLDER,
    Filesystems,
    OwnFolder,
    make_own_folder,
    refuse_foreign_folder,
    sync_filesystem,
    written_whole,
)
from ilsvrc.readers.units import Unit
from ilsvrc.sinks.base import Output, Planned, Stage
from ilsvrc.tree import paths
from ilsvrc.tree.manifest import SCHEMA, SHARDED, metadata_of, read_manifest, write_manifest


@dataclass(slots=True)
class Staging:
    """The staging folder of a target, as far as it is about one split.

    root : the target's folder
    split : train, val or test
    provenance : what the manifest says of its making, by which a later run recognises it
    work : name of the folder in staging that gets the images, or the shards
    schema : columns of the manifest
    """

    root: Path
    split: str
    provenance: tuple[tuple[str, str], ...]
    work: str
    schema: pa.Schema = field(default_factory=lambda: SCHEMA)
    _held: Filesystems | None = field(default=None, compare=False, repr=False)

    def __reduce__(self) -> tuple[object, ...]:
        return Staging, (self.root, self.split, self.provenance, self.work, self.schema)

    @property
    def folder(self) -> Path:
        """The staging folder."""
        return paths.staging(self.root)

    @property
    def images(self) -> Path:
        """The folder in it that gets the images, or the shards."""
        return self.folder / self.work

    @property
    def manifest(self) -> Path:
        """The manifest, before it gets its name."""
        return self.folder / f"{self.split}.arrow"

    @property
    def _parts(self) -> Path:
        return self.folder / f"{self.split}.parts"

    @property
    def buckets(self) -> Path:
        """The folder in it that gets bucket files, where shards are written through them."""
        return self.folder / f"{self.split}.buckets"

    def begun_stage(self, plan: Planned, begun: Sequence[Mapping[str, object]]) -> Stage:
        """Return how far the latest plan of the split is that was begun and not published.

        Parameters
        ----------
        plan
            The plan.
        begun
            The journal's headers of plans of this split that were begun, oldest first.
        """
        return stage_of(plan, begun) if self.images.exists() else Stage.FRESH

    def refuse_foreign(self) -> None:
        """Refuse links and files that have the place of a folder of ours."""
        for folder in (self.folder, self.images, self._parts, self.buckets):
            refuse_foreign_folder(folder)

    def ours(self, path: Path) -> pa.Table | None:
        """Return the manifest at a path if it names this source and these settings."""
        try:
            refuse_foreign_folder(path.parent)
            table = read_manifest(path, self.schema)
        except (OSError, ValueError, MachineError):
            return None
        return table if dict(self.provenance).items() <= metadata_of(table).items() else None

    @contextlib.contextmanager
    def begun(self) -> Iterator[None]:
        """Make the folder, and hold the file systems that get the images and the names."""
        make_own_folder(self.folder)
        self.refuse_foreign()
        self._held = Filesystems([self.root, self.folder])
        try:
            yield
        finally:
            self._held.close()
            self._held = None

    def sync(self) -> None:
        """Make all that was written so far survive a power cut."""
        if self._held:
            self._held.sync()
        else:
            sync_filesystem(self.folder)

    def part_name(self, unit: Unit) -> str:
        """Return the path of a unit's part of the manifest, below staging."""
        return f"{self.split}.parts/{unit.id}.arrow"

    def record(self, unit: Unit, table: pa.Table, folder: OwnFolder) -> Output:
        """Write the part of the manifest with the images of a unit."""
        name, data = self.part_name(unit), packed(table)
        write_file(folder, name, data)
        return Output(f"{OWN_FOLDER}/staging/{name}", len(data), xxhash.xxh3_128_hexdigest(data))

    def part(self, output: Output) -> pa.Table:
        """Return the rows in a part of the manifest.

        Raises
        ------
        ValueError
            If it has another digest than it was written with.
        """
        with OwnFolder(self.folder) as folder:
            data = read_file(folder, f"{self.split}.parts/{Path(output.path).name}")
        return unpacked(data, output)

    def sync_unit(self, folder: OwnFolder, files: Sequence[str]) -> None:
        """Make one unit survive a power cut: its files first, then the folders that name them."""
        folders = {str(parent) for file in files for parent in Path(file).parents}
        for key in (*files, *sorted(folders, reverse=True)):
            fd = folder.open(key, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def write_manifest(
        self, table: pa.Table, proved: Sequence[Verified], more: Mapping[str, str] | None = None
    ) -> None:
        """Write the manifest, not under its name yet."""
        with written_whole(self.manifest) as beside:
            write_manifest(table, beside, dict(self.provenance) | proof_of(proved) | dict(more or {}))

    def clear(self) -> None:
        """Remove what staging holds of this split."""
        refuse_foreign_folder(self.folder)
        for leftover in (self.images, self._parts, self.buckets):
            if leftover.is_symlink():
                leftover.unlink()
            elif leftover.exists():
                shutil.rmtree(leftover)  # what can't be removed must end the run: it would be published
        self.manifest.unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()


def stage_of(plan: Planned, begun: Sequence[Mapping[str, object]]) -> Stage:
    """Return how far the latest plan of a split is, by the headers of those that were begun and not published."""
    if not begun:
        return Stage.FRESH
    if begun[-1].get("plan") == plan.digest:
        return Stage.UNFINISHED
    same_settings = all(begun[-1].get(key) == value for key, value in plan.settings.items())
    return Stage.STALE if same_settings else Stage.OTHER


def refuse_no_file(path: Path, *, links: bool = False) -> None:
    """Refuse to write a file again where something else has its place; with `links` a link is replaced, not followed.

    Raises
    ------
    UsageError
        If something has.
    """
    if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode) and not (links and path.is_symlink()):
        raise UsageError(f"{path} is no file", hint="move it away, then run the same command again")


def holds_shards(manifest: Path) -> bool:
    """Whether a manifest is one of shards."""
    try:
        read_manifest(manifest, SHARDED)
    except (OSError, ValueError, MachineError):
        return False
    return True


def packed(table: pa.Table) -> bytes:
    """Return a part of a manifest as the bytes of an Arrow IPC file."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def unpacked(data: bytes, output: Output) -> pa.Table:
    """Return the part of a manifest in the bytes of a file.

    Raises
    ------
    ValueError
        If they are not those that were written.
    """
    if len(data) != output.size or xxhash.xxh3_128_hexdigest(data) != output.digest:
        raise ValueError(f"{output.path} is not the part that was written")
    return pa.ipc.open_file(pa.py_buffer(data)).read_all()


def proof_of(proved: Sequence[Verified]) -> dict[str, str]:
    """Return what a manifest says of the proof of its source: the digest, and its origin; nothing without a proof."""
    if not proved:
        return {}
    origins = dict.fromkeys(one.against for one in proved)
    return {"digest": ", ".join(one.digest for one in proved), "against": ", ".join(origins)}


def write_file(folder: OwnFolder, key: str, data: bytes) -> None:
    """Write a file, over whatever an interrupted run left of it."""
    fd = created(folder, key)
    try:
        write_all(fd, data)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder.path / key)) from None
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Write all bytes: a disk about to be full takes a part, then none."""
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, data[written:])


def created(folder: OwnFolder, key: str, access: int = os.O_WRONLY) -> int:
    """Return the descriptor of an empty file, which has no other name.

    An interrupted run may have left a hard link to a file of the user's: its name is removed, and nothing written.
    """
    with contextlib.suppress(FileExistsError):
        return folder.open(key, access | os.O_CREAT | os.O_EXCL)
    fd = folder.open(key, access | os.O_CREAT)
    found = os.fstat(fd)
    if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
        os.ftruncate(fd, 0)
        return fd
    os.close(fd)
    folder.remove(key)
    return folder.open(key, access | os.O_CREAT | os.O_EXCL)


def shared(folder: OwnFolder, key: str) -> int:
    """Return the descriptor of a file that several units write to, each its own range; it is made by the first.

    Raises
    ------
    MachineError
        If the file has another name too, which may be one of the user's.
    """
    fd = folder.open(key, os.O_RDWR | os.O_CREAT)
    found = os.fstat(fd)
    if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
        return fd
    os.close(fd)
    raise MachineError(f"{folder.path / key} has a second name", hint="add --restart, which removes it")


def read_file(folder: OwnFolder, key: str) -> bytes:
    """Return the bytes of a file."""
    with open(folder.open(key, os.O_RDONLY), "rb") as file:
        return file.read()
