"""Samples to shards, which get their names once all are whole; the files that make them readable come last."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from ilsvrc.archive.remote import source_of
from ilsvrc.archive.sidecar import Verified
from ilsvrc.errors import MachineError, UsageError
from ilsvrc.files import OWN_FOLDER, OwnFolder, make_own_folder, rename_new, sync_filesystem, sync_path, written_whole
from ilsvrc.issues import Code, Issue
from ilsvrc.readers.units import Sample, Unit
from ilsvrc.sinks.base import Output, Planned, Receipt, Stage, State, left_out
from ilsvrc.sinks.buckets import BucketSink
from ilsvrc.sinks.formats.base import Format, Placed, Shard, ShardFile, Written, digest_of
from ilsvrc.sinks.formats.whole import Whole, placed
from ilsvrc.sinks.onefile import NOTED, WHOLE, Places, completed, noted
from ilsvrc.sinks.room import Need, need_of_shards
from ilsvrc.sinks.staging import Staging, created, refuse_no_file, shared
from ilsvrc.stores.path import AnyPath, Location, StorePath, size_of
from ilsvrc.tree import paths
from ilsvrc.tree.manifest import SCHEMA, SHARDED, ShardedRow, differences, metadata_of, read_manifest, table_of
from ilsvrc.words import counted

SPLITS = ("train", "val", "test")


@dataclass(slots=True)
class ShardSink:
    """Writes each unit as one shard, in staging until `finish` gives all of them their names below `root`.

    root : the target's folder
    split : train, val or test
    format : lays a shard out
    count : shards that there will be
    provenance : what the manifest says of its making: archive, index, settings
    durable : `write` returns only when a shard survives a power cut, since no `sync` of the driver reaches the worker
    thorough : `state` reads every byte of shards that are there, not their sizes alone
    places : where the images of each unit go in the one file of a split; None for shards, and for pieces of that file
    """

    root: Path
    split: str
    format: Format
    count: int
    provenance: tuple[tuple[str, str], ...] = ()
    durable: bool = False
    thorough: bool = False
    places: Places | None = None
    staged: Staging = field(init=False, compare=False, repr=False)

    link: ClassVar[None] = None

    def __post_init__(self) -> None:
        self.staged = Staging(self.root, self.split, self.provenance, f"{self.split}.shards", SHARDED)

    def __reduce__(self) -> tuple[object, ...]:
        told = (self.root, self.split, self.format, self.count, self.provenance, self.durable, False, self.places)
        return ShardSink, told

    @property
    def staging(self) -> Path:
        """The folder that holds the unfinished split."""
        return self.staged.folder

    @property
    def pieces(self) -> str:
        """What it writes, in words."""
        return "shards"

    @property
    def sweep(self) -> BucketSink:
        """Writes a sweep of the source into bucket files, of which shards are made."""
        return BucketSink(self.staged, self.durable)

    def total(self, plan: Planned) -> int:
        """Return how many files a plan has."""
        del plan
        return len(self.paths)

    def how(self, *, made_anew: bool) -> str:
        """Say in words how images come into shards."""
        return how_shards_are_made(self.format, self.count, made_anew=made_anew)

    def need(self, plan: Planned, units: Sequence[Unit]) -> Need:
        """Return the space that the shards of these units take."""
        return need_of_shards(plan, units, whole=self.format.whole, twice=self.format.whole and not self.places)

    @property
    def manifest(self) -> Path:
        """The manifest file of the split; it is there once all else is."""
        return paths.manifest(self.root, self.split)

    @property
    def paths(self) -> list[Path]:
        """The shards that there will be, in order; one, if the format has one file for a split."""
        count = 1 if self.format.whole else self.count
        return [self.root / self.format.path(self.split, number, count) for number in range(count)]

    def state(self, plan: Planned, begun: Sequence[Mapping[str, object]]) -> State:
        """Return what the target holds of a plan; nothing is written.

        Parameters
        ----------
        plan
            The plan.
        begun
            The journal's headers of plans of this split that were begun, oldest first.
        """
        self.staged.refuse_foreign()
        manifest = self.staged.ours(self.manifest)
        if manifest is not None:
            if surplus := unplanned(manifest, plan) or self._misnamed(manifest):
                detail = f"{self.manifest} is damaged: it has other images or shards than planned: {surplus}"
                return State(Stage.OCCUPIED, detail)
            return State(
                Stage.PUBLISHED,
                missing=tuple(lacking(self.root, shards_of(manifest), thorough=self.thorough)),
                manifest=manifest,
            )
        if os.path.lexists(self.manifest):
            return State(Stage.OCCUPIED, self._foreign_manifest())
        table = self.staged.ours(self.staged.manifest)
        if table is not None and self._is_half_published(table):
            return State(Stage.HALF_PUBLISHED, manifest=table)
        taken = next((path for path in self.paths if os.path.lexists(path)), None)
        if taken is not None:
            return State(Stage.OCCUPIED, f"{taken} already exists, and no manifest says that ilsvrc wrote it")
        if (taken := self._no_folder()) is not None:
            return State(Stage.OCCUPIED, f"{taken} is a link or a file, and shards need a folder of this name")
        stage = self.staged.begun_stage(plan, begun)
        if stage is Stage.FRESH and (foreign := self._foreign_closing()):
            return State(Stage.OCCUPIED, f"{foreign} is there, and ilsvrc did not write it")
        return State(stage)

    def recorded(self) -> pa.Table:
        """Return the manifest of the published split; raises as `read_manifest` does."""
        return read_manifest(self.manifest, SHARDED)

    def _misnamed(self, manifest: pa.Table) -> str:
        """Return the first shard of a manifest that is not where the format has it."""
        planned = [str(path.relative_to(self.root)) for path in self.paths]
        named = [shard.path for shard in shards_of(manifest)]
        if len(named) != len(planned):
            return f"{len(named):,} shards of {len(planned):,}"
        return next((name for name, path in zip(named, planned, strict=True) if name != path), "")

    def _foreign_manifest(self) -> str:
        """Say in which way the manifest that is there is not the one of this source and these settings."""
        other = f"{self.root} holds a {self.split} of another source or other settings"
        for schema in (SHARDED, SCHEMA):
            try:
                read_manifest(self.manifest, schema)
            except (OSError, ValueError, MachineError):
                continue
            return other
        return f"{self.root} holds a {self.split} whose manifest can't be read: {self.manifest}"

    def _no_folder(self) -> Path | None:
        """Return what has the place of a folder of shards: a link may lead to anything, or to another disk.

        A name is given by `rename`, which can't cross file systems.
        """
        folders = sorted({folder for path in self.paths for folder in path.relative_to(self.root).parents})
        below = (self.root / folder for folder in folders if folder.name)
        return next((folder for folder in below if folder.is_symlink() or folder.is_file()), None)

    def begun(self) -> AbstractContextManager[None]:
        """Make staging, and hold the file systems that get the shards and the names."""
        return self.staged.begun()

    def write(self, unit: Unit, samples: Iterable[Sample]) -> Receipt:
        """Write a shard, then the part of the manifest that proves it."""
        make_own_folder(self.staging)
        number = _number(unit.id)
        name = f"{self.staged.work}/{WHOLE if self.places else f'{number:06}'}"
        with OwnFolder(self.staging) as folder:
            file = self._opened(folder, name, number)
            try:
                images = list(map(sharded_row, self._placed(file, unit, samples), itertools.repeat(number)))
                if self.places and file.tell() != self.places.begins[number + 1]:
                    hint = "run the same command again with --restart; nothing was published"
                    raise MachineError(f"{unit.id}: its images have other sizes than planned", hint=hint)
                size, digest = file.digest()
                if self.durable:
                    file.sync()
            finally:
                file.close()
            rows = [row for row, _ in images]
            part = self.staged.record(unit, noted(table_of(rows, SHARDED), [note for _, note in images]), folder)
            if self.durable:
                self.staged.sync_unit(folder, [name, self.staged.part_name(unit)])
        shard = Output(f"{OWN_FOLDER}/staging/{name}", size, digest)
        return Receipt(unit.id, (shard, part), len(rows), sum(row.size for row in rows), synced=self.durable)

    def _opened(self, folder: OwnFolder, name: str, number: int) -> ShardFile:
        """Open an empty file, or the one that all units write to, at the place of a unit."""
        if self.places:
            return ShardFile(shared(folder, name), self.staging / name, self.places.begins[number])
        return ShardFile(created(folder, name, os.O_RDWR), self.staging / name)

    def _placed(self, file: ShardFile, unit: Unit, samples: Iterable[Sample]) -> Iterator[Placed]:
        """Write the images of a unit: a shard, a piece of the one file, or the stretch of it that is the unit's."""
        if self.places and isinstance(self.format, Whole):
            return placed(file, self.places.layout, self.format.look(samples), unit.start)
        return self.format.write(file, samples, self.split)

    def unnamed(self, number: int) -> Path:
        """Return the path of a shard before it gets its name."""
        return self.staged.images / (WHOLE if self.format.whole else f"{number:06}")

    def sync(self) -> None:
        """Make all shards and parts written so far survive a power cut."""
        self.staged.sync()

    def holds(self, receipt: Receipt) -> bool:
        """Whether shard and part have the bytes they were written with."""
        try:
            shard, part = receipt.outputs
            begin = self.places.begins[_number(receipt.unit)] if self.places else 0
            if self.staged.part(part).schema != NOTED:  # of an earlier version
                return False
            with OwnFolder(self.staging) as folder:
                fd = folder.open(f"{self.staged.work}/{Path(shard.path).name}", os.O_RDONLY)
            try:
                size = shard.size if self.places else None
                return digest_of(fd, begin, size) == (shard.size, shard.digest)
            finally:
                os.close(fd)
        except (OSError, ValueError, pa.ArrowException, MachineError):
            return False

    def finish(
        self, receipts: Sequence[Receipt], proved: Sequence[Verified], images: Iterable[tuple[str, int]]
    ) -> None:
        """Compare what was written with what should be, then publish it."""
        receipts = sorted(receipts, key=number_of)
        table, absent = self._table(receipts), left_out(receipts)
        refuse_unplanned(table, [path for path, _ in images if path not in absent], self.root)
        table, shards = self._assembled(receipts, table)
        self.staged.write_manifest(table, proved, {"format": self.format.name, "shards": shards_as_text(shards)})
        self.resume_publishing(read_manifest(self.staged.manifest, SHARDED))

    def _table(self, receipts: Sequence[Receipt]) -> pa.Table:
        """Return the manifest in the parts that receipts speak of, with the notes."""
        return pa.concat_tables(self.staged.part(receipt.outputs[1]) for receipt in receipts)

    def _assembled(self, receipts: Sequence[Receipt], table: pa.Table) -> tuple[pa.Table, list[Shard]]:
        """Return the manifest and the shards, which lie in staging; where a split is one file, complete it."""
        names = [str(path.relative_to(self.root)) for path in self.paths]
        if not isinstance(self.format, Whole):
            table = table.select(SHARDED.names)
            outputs, images = [receipt.outputs[0] for receipt in receipts], images_in_each(table, self.count)
            told = zip(names, outputs, images, strict=True)
            return table, [Shard(name, output.size, output.digest, held) for name, output, held in told]
        pieces = [self.staging / Path(*Path(receipt.outputs[0].path).parts[2:]) for receipt in receipts]
        table, size, digest = completed(self.staged, self.format, self.places, table, pieces)
        return table, [Shard(names[0], size, digest, table.num_rows)]

    def resume_publishing(self, manifest: pa.Table) -> None:
        """Give the shards their names, write the files that make them readable, the manifest last."""
        for number, path in enumerate(self.paths):
            staged = self.unnamed(number)
            if not staged.exists():
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                rename_new(staged, path)
            except FileExistsError:
                hint = (
                    "move it away, then run the same command again: the shards are staged and need only their names"
                )
                raise UsageError(f"{path} appeared while this run worked", hint=hint) from None
        self._close(manifest)
        below = {folder for path in self.paths for folder in path.relative_to(self.root).parents}
        for folder in sorted(below, reverse=True):
            sync_path(self.root / folder)
        self.staged.manifest.replace(self.manifest)
        sync_path(self.manifest.parent)
        self.clear()

    def lost(self, plan: Planned, missing: Sequence[Issue]) -> list[int]:
        """Return the numbers of the shards that are missing or changed."""
        del plan
        gone = {issue.key for issue in missing}
        if self.format.whole:
            return list(range(self.count)) if gone else []
        return [number for number, path in enumerate(self.paths) if str(path.relative_to(self.root)) in gone]

    def mender(self) -> ShardSink:
        """Return itself: all is staged before it is published."""
        return self

    def refuse_to_mend(self, gone: Sequence[Issue]) -> None:
        """Refuse to write shards where something of the user's is in the way.

        Raises
        ------
        UsageError
            If a link or a folder has the place of a shard.
        """
        for issue in gone:
            refuse_no_file(self.root / issue.key)

    def mend(self, receipts: Sequence[Receipt], gone: Sequence[Issue], manifest: pa.Table) -> None:
        """Give shards that were written again the places of those that are missing or changed.

        Raises
        ------
        MachineError
            If what was written again is not what the manifest says of it; nothing is changed then.
        """
        known = shards_of(manifest)
        for number, shard in self._written_again(receipts):
            if (shard.size, shard.digest) != (known[number].size, known[number].digest):
                detail = f"{self.root}: {known[number].path} was written again and is not what the manifest records"
                raise MachineError(detail, hint="prepare into another folder; nothing was changed")
        self.refuse_to_mend(gone)
        for number, path in enumerate(self.paths):
            if self.unnamed(number).exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                self.unnamed(number).replace(path)
        sync_filesystem(self.root)
        self.restore_lists(manifest)
        self.clear()

    def _written_again(self, receipts: Sequence[Receipt]) -> list[tuple[int, Shard | Output]]:
        """Return the shards in staging with their numbers."""
        if self.format.whole:
            receipts = sorted(receipts, key=number_of)
            return list(enumerate(self._assembled(receipts, self._table(receipts))[1]))
        return [(number_of(receipt), receipt.outputs[0]) for receipt in receipts]

    def restore_lists(self, manifest: pa.Table) -> None:
        """Write the files that make the shards readable, where they are lost; if `thorough`, changed ones too."""
        self._close(manifest, mend=self.thorough)
        sync_path(self.root)

    def settle(self) -> None:
        """Make the published split survive a power cut."""
        sync_filesystem(self.root)

    def clear(self) -> None:
        """Remove what staging holds of this split."""
        self.staged.clear()

    def start_over(self, begun: Sequence[Mapping[str, object]]) -> None:
        """Remove all that is unfinished; a manifest of a split that is gone must not vouch for the new one."""
        del begun
        self.clear()
        self.manifest.unlink(missing_ok=True)
        make_own_folder(self.staged.images)

    def _is_half_published(self, manifest: pa.Table) -> bool:
        """Whether every shard has either its name or a place in staging."""
        return all(
            [path.stat().st_size for path in (self.root / shard.path, self.unnamed(number)) if path.is_file()]
            == [shard.size]
            for number, shard in enumerate(shards_of(manifest))
        )

    def _closing(self, manifest: pa.Table | None) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """Return the closing files without this split, and with it."""
        return closing_files(self.format, self.split, written_at(self.root, self.format), manifest)

    def _foreign_closing(self) -> Path | None:
        """Return a closing file that is there and that ilsvrc did not write."""
        before, _ = self._closing(None)
        names = self.format.closing({self.split: Written((), 0)})
        for name in names:
            path = self.root / name
            if os.path.lexists(path) and not (path.is_file() and path.read_bytes() == before.get(name)):
                return path
        return None

    def _close(self, manifest: pa.Table, *, mend: bool = False) -> None:
        """Write the closing files, in place of those that an earlier split needed; of nobody else's.

        Parameters
        ----------
        manifest
            Of this split.
        mend
            Whether a closing file with other contents is taken for ours, and damaged: this split is published.
        """
        before, after = self._closing(manifest)
        for name, data in after.items():
            path = self.root / name
            if os.path.lexists(path):
                found = path.read_bytes() if path.is_file() else None
                if found == data:
                    continue
                if found is None or not (mend or found == before.get(name)):
                    hint = "move it away, then run the same command again; if it is damaged, add --repair"
                    raise UsageError(f"{path} is not what ilsvrc writes there", hint=hint)
            with written_whole(path) as beside:
                beside.write_bytes(data)


def number_of(receipt: Receipt) -> int:
    """Return the number of the shard that a receipt is of."""
    return _number(receipt.unit)


def _number(unit: str) -> int:
    """Return the number of the shard that a unit is, by its id."""
    return int(unit.rpartition("-")[2])


def how_shards_are_made(format: Format, count: int, *, made_anew: bool) -> str:  # noqa: A002  -- as the command line
    """Say in words how images come into shards."""
    shards = "one file" if format.whole else counted(count, "shard")
    return f"{shards} of {format.name}, images {'made anew' if made_anew else 'byte for byte'}"


def closing_files(
    format: Format,  # noqa: A002  -- as the command line calls it
    split: str,
    there: Mapping[str, Written],
    manifest: pa.Table | None,
) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the closing files of the splits that are there without one split, and with it, as its manifest says."""
    others = {other: written for other, written in there.items() if other != split}
    before = format.closing(others) if others else {}
    if manifest is None:
        return before, {}
    both = others | {split: written_in(manifest)}
    return before, format.closing({split: both[split] for split in SPLITS if split in both})


def shards_of(manifest: pa.Table) -> list[Shard]:
    """Return the shards that a manifest speaks of, in order; none if it names none."""
    try:
        return [Shard(**told) for told in json.loads(metadata_of(manifest)["shards"])]
    except (KeyError, ValueError, TypeError):
        return []


def lacking(root: Location, shards: Sequence[Shard], *, thorough: bool = False) -> Iterator[Issue]:
    """Yield an issue for every shard that is not there, or has another size; with `thorough`, or other bytes."""
    for shard in shards:
        path = root / shard.path
        size = size_of(path) if path.is_file() else None
        if size is None:
            yield Issue(shard.path, Code.MISSING_FILE, f"it should have {shard.size:,} bytes")
        elif size != shard.size:
            yield Issue(shard.path, Code.WRONG_SIZE, f"{size:,} bytes, and it should have {shard.size:,}")
        elif thorough and not is_whole(path, shard):
            yield Issue(shard.path, Code.CHANGED_SHARD, "its bytes are not those that were written")


def is_whole(path: Location, shard: Shard) -> bool:
    """Whether a file, or an object in a store, has the bytes that a shard was written with."""
    if isinstance(path, StorePath):
        return _digest_of_object(path) == (shard.size, shard.digest)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return digest_of(fd) == (shard.size, shard.digest)
    finally:
        os.close(fd)


_CHUNK = 8 << 20
"""Bytes of an object that are hashed at a time."""


def _digest_of_object(path: StorePath) -> tuple[int, str]:
    """Return size and digest of an object, as `digest_of` does of a file."""
    source, digest = source_of(path), xxhash.xxh3_128()
    for start in range(0, source.size, _CHUNK):
        source.will_need(start, 4 * _CHUNK)
        digest.update(source.read(start, min(_CHUNK, source.size - start)))
        source.let_go(start, _CHUNK)
    return source.size, digest.hexdigest()


def written_in(manifest: pa.Table) -> Written:
    """Return what a manifest says of its split."""
    return Written(tuple(shards_of(manifest)), int(pc.sum(manifest.column("size")).as_py() or 0))


def written_at(root: AnyPath, format: Format) -> dict[str, Written]:  # noqa: A002  -- as the command line calls it
    """Return the splits that a folder holds in shards of a format; those of other formats have files of their own."""
    found = {}
    for split in SPLITS:
        try:
            manifest = read_manifest(paths.manifest(root, split), SHARDED)
        except (OSError, ValueError, MachineError):
            continue
        if metadata_of(manifest).get("format") == format.name:
            found[split] = written_in(manifest)
    return found


def shards_as_text(shards: Sequence[Shard]) -> str:
    """Return what the metadata of a manifest says of shards."""
    return json.dumps([asdict(shard) for shard in shards])


def sharded_row(placed: Placed, shard: int) -> tuple[ShardedRow, bytes]:
    """Return the line of the manifest about an image in a shard, and what is noted of it."""
    sample, offset, note = placed
    digest = xxhash.xxh3_128_digest(sample.data)
    label = -1 if sample.label is None else sample.label
    source = sample.source or digest
    return ShardedRow(sample.key, label, len(sample.data), digest, shard, offset, source), note


def images_in_each(table: pa.Table, count: int) -> list[int]:
    """Return how many images each shard holds."""
    found = pc.value_counts(table.column("shard")).to_pylist()
    held = {entry["values"]: entry["counts"] for entry in found}
    return [held.get(number, 0) for number in range(count)]


def unplanned(manifest: pa.Table, plan: Planned) -> str:
    """Return the first images that a manifest has in place of those planned; images made anew may be left out."""
    if plan.sized:
        return ", ".join(differences(manifest, plan.images())[:3])
    planned, listed = {path for path, _ in plan.images()}, manifest.column("path").to_pylist()
    twice = [] if len(set(listed)) == len(listed) else [f"{len(listed) - len(set(listed)):,} images twice"]
    return ", ".join([*(path for path in listed if path not in planned), *twice][:3])


def refuse_unplanned(table: pa.Table, names: Sequence[str], root: Location) -> None:
    """Refuse to publish other images than the plan has, or in another order."""
    if table.column("path").to_pylist() != list(names):
        hint = "run the same command again with --restart; nothing was published"
        raise MachineError(f"{root}: what was staged is not what was planned", hint=hint)
