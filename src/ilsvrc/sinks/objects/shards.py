"""Samples to shards in a bucket: each is laid out in a temporary file, and put under the name that it keeps."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import xxhash

from ilsvrc.archive.sidecar import Verified
from ilsvrc.errors import MachineError
from ilsvrc.issues import Code, Issue
from ilsvrc.readers.units import Sample, Unit
from ilsvrc.sinks.base import Output, Planned, Receipt, Stage, State, left_out
from ilsvrc.sinks.formats.base import Format, Shard, ShardFile, Written
from ilsvrc.sinks.formats.whole import Whole
from ilsvrc.sinks.objects.staging import ObjectStaging, names_of, remove_begun, scratch, there
from ilsvrc.sinks.onefile import copied, first_byte, laid_out, noted
from ilsvrc.sinks.room import Need, need_of_shards
from ilsvrc.sinks.shards import (
    closing_files,
    how_shards_are_made,
    images_in_each,
    is_whole,
    number_of,
    refuse_unplanned,
    sharded_row,
    shards_as_text,
    shards_of,
    unplanned,
    written_at,
)
from ilsvrc.sinks.staging import stage_of
from ilsvrc.stores.path import StorePath
from ilsvrc.tree.manifest import SHARDED, read_manifest, table_of

_PIECE = 8 << 20


@dataclass(frozen=True, slots=True)
class ObjectShardSink:
    """Writes each unit as one shard, under its name below `root`; the split is there once its manifest is.

    staged : the folder in the bucket, as far as it is about the split
    format : lays a shard out
    count : shards that there will be
    thorough : `state` reads every byte of shards that are there, not their sizes alone
    mending : shards go to staging, from where `mend` takes them
    """

    staged: ObjectStaging
    format: Format
    count: int
    thorough: bool = False
    mending: bool = False

    link: ClassVar[None] = None
    sweep: ClassVar[None] = None
    pieces: ClassVar[str] = "shards"

    @property
    def root(self) -> StorePath:
        """The folder that gets the split."""
        return self.staged.root

    @property
    def split(self) -> str:
        """Train, val or test."""
        return self.staged.split

    @property
    def paths(self) -> list[StorePath]:
        """The shards that there will be, in order; one, if the format has one file for a split."""
        return [self.root / name for name in names_of(self.format, self.split, self.count)]

    def total(self, plan: Planned) -> int:
        """Return how many files a plan has."""
        del plan
        return len(self.paths)

    def how(self, *, made_anew: bool) -> str:
        """Say in words how images come into shards."""
        return how_shards_are_made(self.format, self.count, made_anew=made_anew)

    def need(self, plan: Planned, units: Sequence[Unit]) -> Need:
        """Return the space below TMPDIR: a shard for every worker; of a split that is one file, pieces and file."""
        if self.format.whole:
            return need_of_shards(plan, units, whole=True, twice=True)
        largest = sorted(units, key=lambda unit: unit.bytes)[-(os.cpu_count() or 1) :]
        return Need(need_of_shards(plan, largest, whole=False, twice=False).bytes)

    def state(self, plan: Planned, begun: Sequence[Mapping[str, object]]) -> State:
        """Return what the bucket holds of a plan; see `Target`."""
        manifest = self.staged.ours(SHARDED)
        if manifest is not None:
            if surplus := unplanned(manifest, plan):
                detail = f"{self.staged.manifest} is damaged: it has other images than the source: {surplus}"
                return State(Stage.OCCUPIED, detail)
            return State(Stage.PUBLISHED, missing=tuple(self._lacking(shards_of(manifest))), manifest=manifest)
        if self.staged.manifest.is_file():
            return State(Stage.OCCUPIED, self.staged.foreign_manifest())
        foreign = self.staged.foreign(there(self.paths), [str(header.get("plan")) for header in begun])
        if foreign is not None:
            return State(Stage.OCCUPIED, f"{foreign} already exists, and no record says that ilsvrc wrote it")
        stage = stage_of(plan, begun)
        if stage is Stage.FRESH and (taken := self._foreign_closing()):
            return State(Stage.OCCUPIED, f"{taken} is there, and ilsvrc did not write it")
        return State(stage)

    def _lacking(self, shards: Sequence[Shard]) -> Iterator[Issue]:
        """Yield an issue for every shard that is not there, or has another size; if thorough, or other bytes."""
        folders = {(self.root / shard.path).parent for shard in shards}
        listed = [entry for folder in sorted(folders) for entry in folder.entries()]
        sizes = {entry.key: entry.state.size for entry in listed if entry.state is not None}
        for shard in shards:
            path = self.root / shard.path
            size = sizes.get(path.key)
            if size is None:
                yield Issue(shard.path, Code.MISSING_FILE, f"it should have {shard.size:,} bytes")
            elif size != shard.size:
                yield Issue(shard.path, Code.WRONG_SIZE, f"{size:,} bytes, and it should have {shard.size:,}")
            elif self.thorough and not is_whole(path, shard):
                yield Issue(shard.path, Code.CHANGED_SHARD, "its bytes are not those that were written")

    def recorded(self) -> pa.Table:
        """Return the manifest of the published split; raises as `read_manifest` does."""
        return read_manifest(self.staged.manifest, SHARDED)

    def begun(self) -> AbstractContextManager[None]:
        """Hold nothing: an object that was put is durable."""
        return nullcontext()

    def write(self, unit: Unit, samples: Iterable[Sample]) -> Receipt:
        """Lay a shard out and put it, then the part of the manifest that proves it."""
        number = int(unit.id.rpartition("-")[2])
        with _laid_out() as file:
            images = [sharded_row(placed, number) for placed in self.format.write(file, samples, self.split)]
            rows = [row for row, _ in images]
            size, digest = file.digest()
            aside = self.format.whole or self.mending
            shard = self._piece(number) if aside else self.paths[number]
            self.staged.put(shard, file.path, digest, over=aside)
        part = self.staged.record(unit, noted(table_of(rows, SHARDED), [note for _, note in images]))
        output = Output(str(shard.relative_to(self.root)), size, digest)
        return Receipt(unit.id, (output, part), len(rows), sum(row.size for row in rows))

    def sync(self) -> None:
        """Do nothing: an object that was put is durable."""

    def holds(self, receipt: Receipt) -> bool:
        """Whether shard and part are those that were put: the shard by its size and the digest in its note."""
        try:
            shard, part = receipt.outputs
            self.staged.part(part)
        except (FileNotFoundError, ValueError, pa.ArrowException):
            return False
        return self.staged.is_whole(self.root / shard.path, shard.size, shard.digest)

    def finish(
        self, receipts: Sequence[Receipt], proved: Sequence[Verified], images: Iterable[tuple[str, int]]
    ) -> None:
        """Compare what was written with what should be, then put the closing files, the manifest last."""
        receipts = sorted(receipts, key=number_of)
        table, absent = self._table(receipts), left_out(receipts)
        refuse_unplanned(table, [path for path, _ in images if path not in absent], self.root)
        if self.format.whole:
            with self._whole(receipts, table) as (table, shard, file):
                self.staged.put(self.paths[0], file, shard.digest)
            shards = [shard]
        else:
            table = table.select(SHARDED.names)
            shards = self._shards(receipts, table)
        more = {"format": self.format.name, "shards": shards_as_text(shards)}
        self._close(table.replace_schema_metadata(more))
        self.staged.publish(table, proved, more)
        self.clear()

    def _table(self, receipts: Sequence[Receipt]) -> pa.Table:
        """Return the manifest in the parts that receipts speak of, with what the format noted of each image."""
        return pa.concat_tables(self.staged.parts(receipt.outputs[1] for receipt in receipts))

    def _shards(self, receipts: Sequence[Receipt], table: pa.Table) -> list[Shard]:
        """Return the shards that were put."""
        outputs = [receipt.outputs[0] for receipt in receipts]
        images = images_in_each(table, self.count)
        return [Shard(one.path, one.size, one.digest, held) for one, held in zip(outputs, images, strict=True)]

    @contextmanager
    def _whole(self, receipts: Sequence[Receipt], table: pa.Table) -> Iterator[tuple[pa.Table, Shard, Path]]:
        """Yield the manifest, the one shard that the pieces make, and its file on this machine."""
        assert isinstance(self.format, Whole)
        layout, table, notes = laid_out(self.format, table)
        with scratch() as folder, _laid_out(first_byte(layout, table)) as file:
            outputs = enumerate(receipt.outputs[0] for receipt in receipts)
            pieces = [_brought(self.root / output.path, folder / str(at), output) for at, output in outputs]
            table = copied(file, layout, table, pieces)
            layout.complete(file, table, notes, self.split)
            size, digest = file.end()
            yield table, Shard(names_of(self.format, self.split, 1)[0], size, digest, table.num_rows), file.path

    def resume_publishing(self, manifest: pa.Table) -> None:
        """Do nothing: a split of a bucket is never half published."""

    def start_over(self, begun: Sequence[Mapping[str, object]]) -> None:
        """Remove what the plans that were begun put, and nothing else."""
        remove_begun(self.staged, begun)
        self.clear()

    def lost(self, plan: Planned, missing: Sequence[Issue]) -> list[int]:
        """Return the numbers of the shards that are missing or changed."""
        del plan
        gone = {issue.key for issue in missing}
        if self.format.whole:
            return list(range(self.count)) if gone else []
        return [at for at, name in enumerate(names_of(self.format, self.split, self.count)) if name in gone]

    def mender(self) -> ObjectShardSink:
        """Return the sink that writes shards again, to staging."""
        return replace(self, mending=True)

    def refuse_to_mend(self, gone: Sequence[Issue]) -> None:
        """Do nothing: the name of a shard is that of an object."""

    def mend(self, receipts: Sequence[Receipt], gone: Sequence[Issue], manifest: pa.Table) -> None:
        """Give shards that were written again the places of those that are missing or changed; see `Target`."""
        del gone
        known = shards_of(manifest)
        if self.format.whole:
            receipts = sorted(receipts, key=number_of)
            with self._whole(receipts, self._table(receipts)) as (_, shard, file):
                self._refuse_another(shard, known[0])
                self.staged.put(self.paths[0], file, shard.digest, over=True)
        else:
            again = [(known[number_of(receipt)], receipt.outputs[0]) for receipt in receipts]
            for shard, output in again:
                self._refuse_another(output, shard)
            for shard, output in again:
                self.root.bucket.copy((self.root / output.path).key, (self.root / shard.path).key)
        self.restore_lists(manifest)
        self.clear()

    def _refuse_another(self, written: Shard | Output, known: Shard) -> None:
        if (written.size, written.digest) != (known.size, known.digest):
            detail = f"{self.root}: {known.path} was written again and is not what the manifest records"
            raise MachineError(detail, hint="prepare into another folder; nothing was changed")

    def restore_lists(self, manifest: pa.Table) -> None:
        """Put the files that make the shards readable, where they are not there."""
        self._close(manifest)

    def settle(self) -> None:
        """Do nothing: an object that was put is durable."""

    def clear(self) -> None:
        """Remove parts and pieces."""
        self.staged.clear()

    def _piece(self, number: int) -> StorePath:
        """Return the place of a piece, or of a shard that is written again."""
        return self.staged.folder / f"{self.split}.shards" / f"{number:06}"

    def _close(self, manifest: pa.Table) -> None:
        """Put the closing files, in place of those that an earlier split needed; of nobody else's."""
        before, after = closing_files(self.format, self.split, written_at(self.root, self.format), manifest)
        self.staged.beside(after, before)

    def _foreign_closing(self) -> StorePath | None:
        """Return a closing file that is there and that ilsvrc did not write."""
        before, _ = closing_files(self.format, self.split, written_at(self.root, self.format), None)
        return self.staged.taken(self.format.closing({self.split: Written((), 0)}), before)


@contextmanager
def _laid_out(begin: int = 0) -> Iterator[ShardFile]:
    """Yield an empty file on this machine for a shard, to be written from a byte on; it is removed at the end."""
    with scratch() as folder:
        path = folder / "shard"
        file = ShardFile(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), path, begin)
        try:
            yield file
        finally:
            file.close()


def _brought(piece: StorePath, path: Path, output: Output) -> Path:
    """Return the file of a piece that was fetched.

    Raises
    ------
    MachineError
        If it is not the piece that was put.
    """
    hashed = xxhash.xxh3_128()
    with path.open("wb") as file:
        for start in range(0, output.size, _PIECE):
            data = piece.bucket.read(piece.key, start, min(_PIECE, output.size - start))
            hashed.update(data)
            file.write(data)
    if hashed.hexdigest() != output.digest:
        hint = "run the same command again with --restart; nothing was published"
        raise MachineError(f"{piece} is not the piece that was put", hint=hint)
    return path
