"""Samples to class folders in a bucket: an object for each image; the split is there once its manifest is."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import ClassVar

import pyarrow as pa
import xxhash

from ilsvrc import facts
from ilsvrc.archive.sidecar import Verified
from ilsvrc.errors import MachineError
from ilsvrc.issues import Code, Issue
from ilsvrc.readers.units import Sample, Unit
from ilsvrc.sinks.base import Planned, Receipt, Stage, State, left_out
from ilsvrc.sinks.folder import digests_of, planned_or_written, refuse_other_images, row_of, units_with
from ilsvrc.sinks.lists import class_index, label_lines
from ilsvrc.sinks.objects.staging import ObjectStaging, at_once, remove_begun
from ilsvrc.sinks.room import Need
from ilsvrc.sinks.staging import stage_of
from ilsvrc.stores.client import AT_ONCE
from ilsvrc.stores.path import StorePath
from ilsvrc.tree.layout import TEMPLATES
from ilsvrc.tree.manifest import Row, merged, read_manifest, table_of

_HELD = 4 * AT_ONCE
"""Images that a worker holds in memory at a time."""


@dataclass(frozen=True, slots=True)
class ObjectFolderSink:
    """Writes a split's images below `root` in a bucket, many at a time.

    staged : the folder in the bucket, as far as it is about the split
    thorough : `state` reads every image that is there, not its size alone
    mending : images go to staging, from where `mend` takes them
    """

    staged: ObjectStaging
    thorough: bool = False
    mending: bool = False

    count: ClassVar[None] = None
    link: ClassVar[None] = None
    sweep: ClassVar[None] = None
    pieces: ClassVar[str] = "images"

    @property
    def root(self) -> StorePath:
        """The folder that gets the split."""
        return self.staged.root

    @property
    def split(self) -> str:
        """Train, val or test."""
        return self.staged.split

    def total(self, plan: Planned) -> int:
        """Return how many images a plan has."""
        return len(plan.rows)

    def how(self, *, made_anew: bool) -> str:
        """Say in words how images come into the bucket."""
        return "made anew, an object each" if made_anew else "byte for byte, an object each"

    def need(self, plan: Planned, units: Sequence[Unit]) -> Need:  # noqa: ARG002
        """Return no space: images go from memory to the bucket."""
        return Need()

    def state(self, plan: Planned, begun: Sequence[Mapping[str, object]]) -> State:
        """Return what the bucket holds of a plan; see `Target`."""
        manifest = self.staged.ours()
        there = self.staged.sizes(self.root / self.split)
        if manifest is not None:
            return State(Stage.PUBLISHED, missing=tuple(self._lacking(plan, manifest, there)), manifest=manifest)
        if self.staged.manifest.is_file():
            return State(Stage.OCCUPIED, self.staged.foreign_manifest())
        stage = stage_of(plan, begun)
        surplus = set(there) - {path for path, _ in plan.images()} if stage is Stage.UNFINISHED else set()
        if surplus or (there and stage is Stage.FRESH):
            taken = self.root / min(surplus or there)
            return State(Stage.OCCUPIED, f"{taken} already exists, and no record says that ilsvrc wrote it")
        if stage is Stage.FRESH and (foreign := self.staged.taken(_beside(self.split, table_of([])), {})):
            return State(Stage.OCCUPIED, f"{foreign} is there, and ilsvrc did not write it")
        return State(stage)

    def _lacking(self, plan: Planned, manifest: pa.Table, there: Mapping[str, int]) -> Iterator[Issue]:
        """Yield an issue for every image that is not there, or has another size; if thorough, or other bytes."""
        sound = []
        for path, size in planned_or_written(plan, manifest):
            if path not in there:
                yield Issue(path, Code.MISSING_IMAGE, f"it should have {size:,} bytes")
            elif there[path] != size:
                yield Issue(path, Code.WRONG_SIZE, f"{there[path]:,} bytes, and it should have {size:,}")
            elif self.thorough:
                sound.append(path)
        known = dict(digests_of(manifest, set(sound)))
        for path, digest in zip(sound, at_once(self._digest, sound), strict=True):
            if digest != known[path]:
                yield Issue(path, Code.CHANGED_IMAGE, "its bytes are not those that the manifest records")

    def _digest(self, path: str) -> bytes:
        return xxhash.xxh3_128_digest((self.root / path).read_bytes())

    def recorded(self) -> pa.Table:
        """Return the manifest of the published split; raises as `read_manifest` does."""
        return read_manifest(self.staged.manifest)

    def begun(self) -> AbstractContextManager[None]:
        """Hold nothing: an object that was put is durable."""
        return nullcontext()

    def write(self, unit: Unit, samples: Iterable[Sample]) -> Receipt:
        """Put the images of a unit, then the part of the manifest that proves them."""
        rows: list[Row] = []
        coming = iter(samples)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            while held := list(itertools.islice(coming, _HELD)):
                rows += pool.map(self._put, held)
        output = self.staged.record(unit, table_of(rows))
        return Receipt(unit.id, (output,), len(rows), sum(row.size for row in rows))

    def _put(self, sample: Sample) -> Row:
        row = row_of(sample)
        path = self._aside(sample.key) if self.mending else self.root / sample.key
        self.staged.put(path, sample.data, row.xxh3_128.hex(), over=self.mending)
        return row

    def _aside(self, key: str) -> StorePath:
        """Return the place of an image that is written again."""
        return self.staged.folder / f"{self.split}.images" / key

    def sync(self) -> None:
        """Do nothing: an object that was put is durable."""

    def holds(self, receipt: Receipt) -> bool:
        """Whether part and images are those that were put: an image by its size and the digest in its note."""
        try:
            table = merged(self.staged.parts(receipt.outputs))
        except (FileNotFoundError, ValueError, pa.ArrowException):
            return False
        rows = [Row(**row) for row in table.to_pylist()]
        whole = at_once(lambda row: self.staged.is_whole(self.root / row.path, row.size, row.xxh3_128.hex()), rows)
        return all(whole) and len(rows) == receipt.samples - len(left_out([receipt]))

    def finish(
        self, receipts: Sequence[Receipt], proved: Sequence[Verified], images: Iterable[tuple[str, int]]
    ) -> None:
        """Compare what there is with what should be, then put the lists, the manifest last."""
        table, absent = self._table(receipts), left_out(receipts)
        refuse_other_images(table, (image for image in images if image[0] not in absent), self.root)
        refuse_other_images(table, self.staged.sizes(self.root / self.split).items(), self.root)
        self.restore_lists(table)
        self.staged.publish(table, proved)
        self.clear()

    def _table(self, receipts: Sequence[Receipt]) -> pa.Table:
        """Return the manifest in the parts that receipts speak of."""
        return merged(self.staged.parts(output for receipt in receipts for output in receipt.outputs))

    def resume_publishing(self, manifest: pa.Table) -> None:
        """Do nothing: a split of a bucket is never half published."""

    def start_over(self, begun: Sequence[Mapping[str, object]]) -> None:
        """Remove what the plans that were begun put, and nothing else."""
        remove_begun(self.staged, begun)
        self.clear()

    def lost(self, plan: Planned, missing: Sequence[Issue]) -> list[int]:
        """Return the places of the units that hold missing or changed images."""
        return units_with(plan, missing)

    def mender(self) -> ObjectFolderSink:
        """Return the sink that writes images again, to staging."""
        return replace(self, mending=True)

    def refuse_to_mend(self, gone: Sequence[Issue]) -> None:
        """Do nothing: the name of an image is that of an object."""

    def mend(self, receipts: Sequence[Receipt], gone: Sequence[Issue], manifest: pa.Table) -> None:
        """Give images that were written again the places of those that are missing or changed; see `Target`."""
        keys = {issue.key for issue in gone}
        known = dict(digests_of(manifest, keys))
        if known != dict(digests_of(self._table(receipts), keys)):
            detail = f"{self.root}: the images of the source are not those that the manifest records"
            raise MachineError(detail, hint="prepare into another folder; the tree was not changed")
        at_once(lambda key: self.root.bucket.copy(self._aside(key).key, (self.root / key).key), sorted(known))
        self.restore_lists(manifest)
        self.clear()

    def restore_lists(self, manifest: pa.Table) -> None:
        """Put the lists beside the split that are not there."""
        self.staged.beside(_beside(self.split, manifest), {})
        settings = json.loads(dict(self.staged.provenance).get("settings", "{}"))
        if settings.get("layout") == TEMPLATES["wnid"] and self.split in ("train", "val"):
            meta = self.root / facts.TORCHVISION_META
            with contextlib.suppress(FileExistsError):  # one that torchvision wrote serves as well
                self.root.bucket.put(meta.key, facts.torchvision_meta(), new=True)

    def settle(self) -> None:
        """Do nothing: an object that was put is durable."""

    def clear(self) -> None:
        """Remove parts, and images that were written again."""
        self.staged.clear()


def _beside(split: str, table: pa.Table) -> dict[str, bytes]:
    """Return the lists beside a split."""
    return {f"{split}.txt": b"".join(label_lines(table)), "classes.json": b"".join(class_index())}
