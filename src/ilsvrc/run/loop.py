"""The one loop: units to receipts, receipts to the journal, and all of them to what is published."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
import xxhash

from ilsvrc.archive.sidecar import Verified
from ilsvrc.errors import ArchiveError, DamageError, IlsvrcError, MachineError
from ilsvrc.events import Advanced, Finished, Listener, Started, silent
from ilsvrc.images.inspect import ending_in, ending_of, examine, glance
from ilsvrc.images.transform import orientation
from ilsvrc.issues import Code, Issue
from ilsvrc.readers.reader import Reader
from ilsvrc.readers.units import Sample, Transform, Unit
from ilsvrc.run.claim import Hold
from ilsvrc.run.engine import Engine, engine_for, worker_name
from ilsvrc.run.journal import Committer, Journal
from ilsvrc.run.memory import keep_freed_memory
from ilsvrc.run.plan import Damaged, Plan, keys_of
from ilsvrc.run.proof import Proof
from ilsvrc.sinks.base import Receipt, Sink
from ilsvrc.tree.layout import Layout


@dataclass(frozen=True, slots=True)
class Machinery:
    """What a run uses.

    engine : does the work
    journal : remembers finished units; None to remember nothing
    proof : proves the files that hold the images
    listener : gets progress
    deep : decode every image and compare it with its recorded digest; note an image that can't be read, and carry on
    stage : what progress calls the work; the split if empty
    claim : the run's on the target, which every unit and the publishing require; None for a run that writes nothing
    """

    engine: Engine
    journal: Journal | None
    proof: Proof
    listener: Listener = silent
    deep: bool = False
    stage: str = ""
    claim: Hold | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What a run ended with.

    receipts : one per unit, in storage order
    proved : what was proved of the files that hold the images
    """

    receipts: list[Receipt]
    proved: tuple[Verified, ...]


def run(plan: Plan, sink: Sink, machinery: Machinery) -> Result:
    """Do what a plan says and publish it; the result has the receipts of all units, those of earlier runs included.

    Raises
    ------
    IlsvrcError
        The first error of a unit, or the fault of the source; nothing is published then.
    """
    receipts = work(plan, plan.units, sink, machinery)
    if plan.damaged is not Damaged.SKIP:
        _refuse_damaged(plan, receipts)
    proved = confirm(plan, machinery)
    if machinery.claim:
        machinery.claim.require()
    sink.finish(receipts, proved, plan.images())
    return Result(receipts, proved)


def work(plan: Plan, units: Sequence[Unit], sink: Sink, machinery: Machinery) -> list[Receipt]:
    """Do some units of a plan and return their receipts in order; nothing is proved or published.

    A unit that an earlier run has done goes to a worker all the same, which looks whether its images are still there,
    byte for byte, and writes the unit again if they are not.

    Raises
    ------
    IlsvrcError
        The first error of a unit.
    """
    journal, done = machinery.journal, dict[str, Receipt]()
    with sink.begun():
        earlier = journal.begin(plan.digest, plan.settings, plan.reader.state) if journal else {}
        with Committer(sink, journal) as committer:
            for receipt in _receipts(plan, sink, machinery, units, earlier):
                if receipt.error:
                    raise receipt.error
                if receipt != earlier.get(receipt.unit):
                    committer.add(receipt)
                done[receipt.unit] = receipt
    return [_counted(unit, done.get(unit.id), deep=machinery.deep) for unit in units]


def confirm(plan: Plan, machinery: Machinery) -> tuple[Verified, ...]:
    """Return what is proved of the source, which must be in the state in which it was opened.

    Raises
    ------
    DataError
        If a digest is not the one it should be, or the source changed meanwhile.
    """
    proved = machinery.proof.confirm()
    plan.reader.require_unchanged()
    return proved


def _counted(unit: Unit, receipt: Receipt | None, *, deep: bool) -> Receipt:
    """Return the receipt of a unit, which must speak of all its images; a deep check notes those it can't read."""
    if receipt and (deep or (receipt.samples, receipt.bytes) == (unit.images, unit.bytes)):
        return receipt
    images = f"{receipt.samples:,} of {unit.images:,} images" if receipt else "no receipt"
    hint = "run the same command again with --restart; nothing was published"
    raise MachineError(f"{unit.id} was not done whole: {images}", hint=hint)


def _receipts(
    plan: Plan, sink: Sink, machinery: Machinery, units: Sequence[Unit], earlier: dict[str, Receipt]
) -> Iterator[Receipt]:
    """Yield the receipts of units, with progress."""
    listener, stage = machinery.listener, machinery.stage or plan.split
    size, images = sum(unit.bytes for unit in units), sum(unit.images for unit in units)
    listener(Started(stage, size, images))
    engine = engine_for(machinery.engine, images, size)
    task = Task(plan.layout, sink, machinery.deep, plan.transform, plan.damaged, machinery.claim)
    released = machinery.proof.release(units)
    pieces = (Piece(unit, plan.part(unit), earlier.get(unit.id)) for unit in released)
    with closing(released), closing(engine.run(task, pieces)) as receipts:  # the engine stops asking first
        for receipt in receipts:
            listener(Advanced(stage, receipt.bytes, receipt.samples, worker=receipt.worker))
            yield receipt
    listener(Finished(stage))


@dataclass(frozen=True, slots=True)
class Piece:
    """What a worker is sent.

    unit : the unit
    images : its images
    earlier : the receipt that an earlier run left of it, or None
    """

    unit: Unit
    images: Reader
    earlier: Receipt | None = None

    @property
    def id(self) -> str:
        """The unit's name in messages."""
        return self.unit.id


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker does with a unit; small, since it is sent with every one.

    layout : gives each image its path in the target; None to call it by its path in the source
    sink : keeps the images
    deep : see `Machinery`
    transform, damaged : see `Plan`
    claim : see `Machinery`
    """

    layout: Layout | None
    sink: Sink
    deep: bool = False
    transform: Transform | None = None
    damaged: Damaged = Damaged.STOP
    claim: Hold | None = None

    def __call__(self, piece: Piece) -> Receipt:
        """Write a unit, or find it written; an expected failure becomes the receipt's error."""
        begun = time.monotonic()
        receipt = self._done(piece)
        if receipt is piece.earlier:
            return receipt
        return replace(receipt, worker=worker_name(), seconds=round(time.monotonic() - begun, 6))

    def _done(self, piece: Piece) -> Receipt:
        issues: list[Issue] = []
        unit = piece.unit
        try:
            if self.claim:  # a worker of a cluster
                keep_freed_memory()
                self.claim.require()
            if piece.earlier and piece.earlier.samples == unit.images and self.sink.holds(piece.earlier):
                return piece.earlier
            if not self.deep:  # a deep check notes what changes meanwhile, image by image
                piece.images.require_unchanged()
            samples = self._samples(piece.images, issues)
            receipt = self.sink.write(unit, self._made_anew(samples, issues) if self.transform else samples)
        except IlsvrcError as error:
            return Receipt(unit.id, error=error)
        except OSError as error:
            return Receipt(unit.id, error=MachineError.of(error, piece.images.path))
        if self.transform:
            receipt = replace(receipt, samples=unit.images, bytes=unit.bytes)
        return replace(receipt, issues=(*receipt.issues, *issues))

    def _made_anew(self, samples: Iterator[Sample], issues: list[Issue]) -> Iterator[Sample]:
        """Yield the images transformed; one that can't be is left out and noted, or ends the unit."""
        assert self.transform is not None
        for sample in samples:
            try:
                made = self.transform(sample)
            except DamageError as error:
                if self.damaged is Damaged.STOP:
                    raise
                issues.append(Issue(sample.key, Code.LEFT_OUT, error.issues[0].detail))
            else:
                issues += self._noted(sample)
                yield made

    def _noted(self, sample: Sample) -> list[Issue]:
        """Return the note that an image should be turned and is not."""
        assert self.transform is not None
        turn = 1 if self.transform.turns else orientation(sample.data)
        detail = f"its EXIF orientation is {turn}, and it was not turned"
        return [Issue(sample.key, Code.ORIENTED, detail, known=True)] if turn != 1 else []

    def _samples(self, images: Reader, issues: list[Issue]) -> Iterator[Sample]:
        """Yield the images; add what is odd about them to `issues`."""
        keys, names, labels = keys_of(images, self.layout), images.names.to_pylist(), images.labels.tolist()
        member = images.where(0).member if keys else ""
        packed = bool(member)  # in a zip, to say where each image lies reads its header
        for row, data in self._read(images, keys, issues):
            file = None if packed else images.where(row).file
            ending = ending_in(data, ending_of(file or member))
            issues += self._looked_at(keys[row], data, images.digest(row), ending)
            label = labels[row] if labels[row] >= 0 else None
            yield Sample(keys[row], names[row], label, data, file, ending=ending)

    def _read(self, images: Reader, keys: list[str], issues: list[Issue]) -> Iterator[tuple[int, bytes]]:
        """Yield rows and bytes; in a deep check, an image that can't be read is an issue and the next is read."""
        at, rows = 0, np.arange(len(images))
        while at < len(rows):
            try:
                for row, data in images.take(rows[at:]):
                    yield row, data
                    at = row + 1
            except (DamageError, ArchiveError, OSError) as error:
                if not self.deep or not _is_of_one_image(error):
                    raise
                issues.append(_unreadable(keys[at], error))
                at += 1

    def _looked_at(self, key: str, data: bytes, digest: bytes | None, ending: str) -> list[Issue]:
        if not self.deep:
            found = glance(key, data, ending)
            return [found] if found else []
        found = examine(key, data, ending)
        issues = [found] if found else []
        if digest is not None and xxhash.xxh3_128_digest(data) != digest:
            issues.append(Issue(key, Code.CHANGED_IMAGE, "its bytes are not those that were recorded"))
        return issues


def _refuse_damaged(plan: Plan, receipts: Sequence[Receipt]) -> None:
    """Refuse to publish a split with images that can't be decoded, and name all of them."""
    found = [issue for receipt in receipts for issue in receipt.issues if issue.code is Code.LEFT_OUT]
    if found:
        detail = f"{plan.reader.path}: {len(found):,} images can't be decoded; nothing was published"
        raise DamageError(detail, found, hint="add --damaged skip to leave them out")


def _is_of_one_image(error: DamageError | ArchiveError | OSError) -> bool:
    """Whether the images after this one may still be read: the fault is not that of a file that holds many."""
    return bool(error.member) if isinstance(error, ArchiveError) else True


def _unreadable(key: str, error: DamageError | ArchiveError | OSError) -> Issue:
    if isinstance(error, OSError):
        return Issue(key, Code.UNREADABLE, error.strerror or str(error))
    if isinstance(error, ArchiveError):
        return Issue(key, error.code, error.detail)
    return Issue(key, error.issues[0].code, error.issues[0].detail)
