"""Samples to a folder tree, which appears whole or not at all."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import xxhash

from ilsvrc.archive.sidecar import Verified
from ilsvrc.errors import DamageError, MachineError, UsageError
from ilsvrc.files import (
    OwnFolder,
    make_own_folder,
    printable,
    refuse_foreign_folder,
    rename_new,
    sync_filesystem,
    sync_path,
)
from ilsvrc.issues import Issue
from ilsvrc.readers.units import Sample, Unit
from ilsvrc.sinks.base import Planned, Receipt, Stage, State, left_out
from ilsvrc.sinks.links import HOW, Link, link_image
from ilsvrc.sinks.lists import Lists
from ilsvrc.sinks.room import Need, Room, need_of
from ilsvrc.sinks.staging import Staging, holds_shards, read_file, refuse_no_file, write_file
from ilsvrc.stores.path import Location
from ilsvrc.tree import paths
from ilsvrc.tree.layout import TEMPLATES
from ilsvrc.tree.manifest import (
    Row,
    differences,
    merged,
    read_manifest,
    table_of,
)
from ilsvrc.tree.scan import lacking

_NO_FILE = -2
"""Bytes of what is no file: a size that no image has, and that is not UNKNOWN_SIZE."""


@dataclass(slots=True)
class FolderSink:
    """Writes a split's images below `root`, in staging until `finish` renames the split to its name.

    root : the tree's folder
    split : train, val or test
    provenance : what the manifest says of its making: archive, index, settings
    durable : `write` returns only when a unit survives a power cut, since no `sync` of the driver reaches the worker
    link : whether an image that is a file of its own is copied, or shares its bytes with that file
    """

    root: Path
    split: str
    provenance: tuple[tuple[str, str], ...] = ()
    durable: bool = False
    link: Link = Link.COPY
    staged: Staging = field(init=False, compare=False, repr=False)

    count: ClassVar[None] = None
    thorough: ClassVar[bool] = False
    sweep: ClassVar[None] = None

    def __post_init__(self) -> None:
        self.staged = Staging(self.root, self.split, self.provenance, self.split)

    def __reduce__(self) -> tuple[object, ...]:
        return FolderSink, (self.root, self.split, self.provenance, self.durable, self.link)

    @property
    def staging(self) -> Path:
        """The folder that holds the unfinished split."""
        return self.staged.folder

    @property
    def pieces(self) -> str:
        """What it writes, in words."""
        return "images"

    @property
    def manifest(self) -> Path:
        """The manifest file of the split; it is there once all else is."""
        return paths.manifest(self.root, self.split)

    def total(self, plan: Planned) -> int:
        """Return how many images a plan has."""
        return len(plan.rows)

    def how(self, *, made_anew: bool) -> str:
        """Say in words how images come into the folder."""
        return "made anew" if made_anew else HOW[self.link]

    def need(self, plan: Planned, units: Sequence[Unit]) -> Need:
        """Return the space that the images of these units take."""
        return need_of(plan, units, Room.of(self.root).block, self.link)

    @property
    def lists(self) -> Lists:
        """The lists beside the split."""
        settings = json.loads(dict(self.provenance).get("settings", "{}"))
        by_wnid = settings.get("layout") == TEMPLATES["wnid"] and self.split in ("train", "val")
        return Lists(self.root, self.split, self.staging, torchvision=by_wnid)

    def state(self, plan: Planned, begun: Sequence[Mapping[str, object]]) -> State:
        """Return what the target holds of a plan; nothing is written.

        Parameters
        ----------
        plan
            The plan.
        begun
            The journal's headers of plans of this split that were begun, oldest first.
        """
        if os.path.lexists(self.root / self.split):
            return self._published(plan)
        if holds_shards(self.manifest):
            return State(Stage.OCCUPIED, f"{self.root} holds shards of {self.split}")
        self.staged.refuse_foreign()
        stage = self.staged.begun_stage(plan, begun)
        if stage is not Stage.FRESH:
            return State(stage)
        obstacle = self.lists.obstacle(labels_are_ours=self._made_here() is not None)
        return State(Stage.OCCUPIED if obstacle else Stage.FRESH, obstacle)

    def _published(self, plan: Planned) -> State:
        """Return what is there under the split's name."""
        manifest = self._made_here()
        if manifest is not None:
            missing = tuple(lacking(self.root, planned_or_written(plan, manifest)))
            return State(Stage.PUBLISHED, missing=missing, manifest=manifest)
        table = self.staged.ours(self.staged.manifest)
        staged = table is not None and not (self.staging / self.split).exists()
        wanted = partial(planned_or_written, plan, table)
        if staged and not differences(table, wanted()) and not lacking(self.root, wanted()):
            return State(Stage.HALF_PUBLISHED, manifest=table)
        if holds_shards(self.manifest):
            return State(Stage.OCCUPIED, f"{self.root} holds shards of {self.split}")
        split = self.root / self.split
        why = self._unrecorded()
        if why and split.is_dir() and not split.is_symlink():
            return State(Stage.UNRECORDED, f"{split} already exists, and {why}")
        obstacle = f"{split} already exists and was not prepared from this source in this layout"
        return State(Stage.OCCUPIED, obstacle, manifest=self._of_others())

    def _unrecorded(self) -> str:
        """Say in which way there is no manifest that can be read; empty if there is one."""
        try:
            refuse_foreign_folder(self.manifest.parent)
            read_manifest(self.manifest)
        except FileNotFoundError:
            return f"there is no manifest of it ({self.manifest})"
        except (OSError, ValueError):
            return f"its manifest is damaged ({self.manifest})"
        except MachineError:
            return ""
        return ""

    def _of_others(self) -> pa.Table | None:
        """Return the manifest that is there, whatever it was made from; None if none can be read."""
        try:
            return self.recorded()
        except (OSError, ValueError, MachineError):
            return None

    def recorded(self) -> pa.Table:
        """Return the manifest of the published split; raises as `read_manifest` does."""
        return read_manifest(self.manifest)

    def _made_here(self) -> pa.Table | None:
        """Return the manifest of the split if it names this source and these settings."""
        return self.staged.ours(self.manifest)

    def begun(self) -> AbstractContextManager[None]:
        """Make staging, and hold the file systems that get the images and the names."""
        return self.staged.begun()

    def write(self, unit: Unit, samples: Iterable[Sample]) -> Receipt:
        """Write the images of a unit, then the part of the manifest that proves them."""
        make_own_folder(self.staging)
        with OwnFolder(self.staging) as staging:
            rows = [_write_image(sample, staging, self.link) for sample in samples]
            receipt = self.record(unit, rows, staging)
            if self.durable:
                self.staged.sync_unit(staging, [*(row.path for row in rows), self.staged.part_name(unit)])
        return receipt

    def record(self, unit: Unit, rows: Sequence[Row], staging: OwnFolder) -> Receipt:
        """Write the part of the manifest with the images of a unit."""
        output = self.staged.record(unit, table_of(rows), staging)
        return Receipt(unit.id, (output,), len(rows), sum(row.size for row in rows), synced=self.durable)

    def sync(self) -> None:
        """Make all images and parts written so far survive a power cut."""
        self.staged.sync()

    def holds(self, receipt: Receipt) -> bool:
        """Whether the part of the manifest has the digest it was written with, and every image in it its own."""
        try:
            tables = [self.staged.part(output) for output in receipt.outputs]
            with OwnFolder(self.staging) as staging:
                whole = all(_holds_images(staging, table) for table in tables)
        except (OSError, ValueError, pa.ArrowException, MachineError):
            return False
        absent = len(left_out([receipt]))
        return whole and sum(table.num_rows for table in tables) == receipt.samples - absent

    def finish(
        self, receipts: Sequence[Receipt], proved: Sequence[Verified], images: Iterable[tuple[str, int]]
    ) -> None:
        """Compare what was written with what should be, then publish it."""
        table = self._table(receipts, images)
        refuse_other_images(table, self._files_in(self.staging / self.split), self.root)
        self._record_split(table, proved)

    def adopt(
        self, receipts: Sequence[Receipt], proved: Sequence[Verified], images: Iterable[tuple[str, int]]
    ) -> None:
        """Write the manifest of a published split anew, if its folder holds the images of the receipts and no more.

        Raises
        ------
        DamageError
            If it holds other files too.
        """
        table = self._table(receipts, images)
        surplus = differences(table, self._files_in(self.root / self.split))
        if surplus:
            listed = ", ".join(surplus[:3])
            detail = f"{self.root / self.split} holds other files than the images of the source: {listed}"
            raise DamageError(detail, [], hint="move them away, then run the same command again")
        self._record_split(table, proved)

    def _table(self, receipts: Sequence[Receipt], images: Iterable[tuple[str, int]]) -> pa.Table:
        """Return the manifest in the parts that receipts speak of, if it has the images that there must be."""
        table = merged(self.staged.part(output) for receipt in receipts for output in receipt.outputs)
        absent = left_out(receipts)
        refuse_other_images(table, (image for image in images if image[0] not in absent), self.root)
        return table

    def _record_split(self, table: pa.Table, proved: Sequence[Verified]) -> None:
        """Stage the manifest, then publish the split."""
        self.staged.write_manifest(table, proved)
        self._publish(table)

    def resume_publishing(self, table: pa.Table) -> None:
        """Publish the rest of a split of which the folder has its name already."""
        self._publish(table)

    def lost(self, plan: Planned, missing: Sequence[Issue]) -> list[int]:
        """Return the places of the units that hold missing or changed images."""
        return units_with(plan, missing)

    def mend(self, receipts: Sequence[Receipt], gone: Sequence[Issue], manifest: pa.Table) -> None:
        """Move images that were written again from staging to their places in the published split.

        Raises
        ------
        MachineError
            If what was written again is not what the manifest says of it; the tree is unchanged then.
        """
        paths = {issue.key for issue in gone}
        known = dict(digests_of(manifest, paths))
        written = merged(self.staged.part(output) for receipt in receipts for output in receipt.outputs)
        if known != dict(digests_of(written, paths)):
            detail = f"{self.root}: the archive's images are not those that the manifest records"
            raise MachineError(detail, hint="prepare into another folder; the tree was not changed")
        self.refuse_to_mend(gone)
        self.lists.refuse_others(manifest)
        for path in sorted(known):
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.staging / path).replace(self.root / path)
        sync_filesystem(self.root / self.split)
        self.restore_lists(manifest)
        self.clear()

    def mender(self) -> FolderSink:
        """Return itself: all is staged before it is published."""
        return self

    def refuse_to_mend(self, gone: Sequence[Issue]) -> None:
        """Refuse to write images where something of the user's is in the way.

        Raises
        ------
        UsageError
            If a folder on the way to an image is a link, whose target may be anybody's, or is no folder; or if
            something else than a file or a link has an image's place.
        """
        parents = {self.root / parent for issue in gone for parent in Path(issue.key).parents}
        for folder in sorted(parents - {self.root}):
            if folder.is_symlink() or (os.path.lexists(folder) and not folder.is_dir()):
                kind = "a link, and --repair writes through none" if folder.is_symlink() else "no folder"
                hint = "put the folder itself in its place, or move it away; nothing was changed"
                raise UsageError(f"{folder} is {kind}", hint=hint)
        for issue in gone:
            refuse_no_file(self.root / issue.key, links=True)

    def restore_lists(self, manifest: pa.Table) -> None:
        """Write the lists beside the split that are not there.

        Raises
        ------
        UsageError
            If a file of other contents has the place of one.
        """
        make_own_folder(self.staging)
        self.lists.publish(manifest)
        sync_path(self.root)

    def settle(self) -> None:
        """Make the published split survive a power cut."""
        sync_filesystem(self.root)
        sync_filesystem(self.root / self.split)

    def clear(self) -> None:
        """Remove what staging holds of this split."""
        self.lists.clear()
        self.staged.clear()

    def start_over(self, begun: Sequence[Mapping[str, object]]) -> None:
        """Remove all that is unfinished; a manifest of a split that is gone must not vouch for the new one."""
        del begun
        self.clear()
        self.manifest.unlink(missing_ok=True)
        make_own_folder(self.staged.images)

    def _files_in(self, top: Path) -> Iterator[tuple[str, int]]:
        """Yield path and bytes of all files in the folder to be published; empty folders and links have _NO_FILE."""
        for folder, folders, names in os.walk(top, onerror=_raise):
            key = f"{self.split}{folder[len(str(top)) :]}"
            if not folders and not names:
                yield f"{printable(key)}/", _NO_FILE
            for name in (*names, *(name for name in folders if Path(folder, name).is_symlink())):
                found = os.lstat(f"{folder}/{name}")
                yield printable(f"{key}/{name}"), found.st_size if stat.S_ISREG(found.st_mode) else _NO_FILE

    def _publish(self, table: pa.Table) -> None:
        """Give the folder its name, then the lists theirs, the manifest last; nothing of anybody's is replaced."""
        self.lists.refuse_others(table)
        if (self.staging / self.split).exists():
            try:
                rename_new(self.staging / self.split, self.root / self.split)
            except FileExistsError:
                hint = "move it away, then run the same command again: the images are staged and need only the name"
                raise UsageError(f"{self.root / self.split} appeared while this run worked", hint=hint) from None
        self.lists.publish(table)
        sync_path(self.root)
        self.staged.manifest.replace(self.manifest)
        sync_path(self.manifest.parent)
        self.clear()


def units_with(plan: Planned, missing: Sequence[Issue]) -> list[int]:
    """Return the places of the units that hold missing or changed images."""
    keys = {issue.key for issue in missing}
    gone = [path in keys for path, _ in plan.images()]
    return [place for place, unit in enumerate(plan.units) if any(gone[unit.start : unit.stop])]


def planned_or_written(plan: Planned, table: pa.Table) -> Iterator[tuple[str, int]]:
    """Yield path and bytes of every image of a plan, by its manifest where the plan does not know the bytes."""
    if plan.sized:
        yield from plan.images()
        return
    for batch in table.select(["path", "size"]).to_batches(max_chunksize=1 << 14):
        yield from zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True)


def _raise(error: OSError) -> None:
    raise error


def refuse_other_images(table: pa.Table, images: Iterable[tuple[str, int]], root: Location) -> None:
    """Refuse to publish other images than the plan has."""
    found = differences(table, images)
    if found:
        hint = "run the same command again with --restart; nothing was published"
        listed = ", ".join(found[:3])
        raise MachineError(f"{root}: what was staged is not what was planned: {listed}", hint=hint)


def digests_of(table: pa.Table, paths: set[str]) -> Iterator[tuple[str, bytes]]:
    """Yield path and digest of some images of a manifest."""
    for batch in table.select(["path", "xxh3_128"]).to_batches(max_chunksize=1 << 16):
        columns = (batch.column(0).to_pylist(), batch.column(1).to_pylist())
        yield from (pair for pair in zip(*columns, strict=True) if pair[0] in paths)


def _holds_images(staging: OwnFolder, part: pa.Table) -> bool:
    return all(
        xxhash.xxh3_128_digest(read_file(staging, path)) == digest
        for path, digest in zip(part.column("path").to_pylist(), part.column("xxh3_128").to_pylist(), strict=True)
    )


def _write_image(sample: Sample, staging: OwnFolder, link: Link) -> Row:
    """Write or link one image, in place of whatever an interrupted run left of it."""
    key = sample.key
    if not link_image(sample, staging, link):
        write_file(staging, key, sample.data)
    return row_of(sample)


def row_of(sample: Sample) -> Row:
    """Return the line of the manifest about an image."""
    label = -1 if sample.label is None else sample.label
    return Row(sample.key, label, len(sample.data), xxhash.xxh3_128_digest(sample.data))
