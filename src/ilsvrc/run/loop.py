"""The one loop: units to receipts, receipts to the journal, and all of them to what is published."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ilsvrc.archive.sidecar import Verified
from ilsvrc.archive.source import FileSource, FileState
from ilsvrc.errors import IlsvrcError, MachineError
from ilsvrc.events import Advanced, Finished, Listener, Started, silent
from ilsvrc.images.inspect import examine, glance
from ilsvrc.issues import Issue
from ilsvrc.readers.units import Sample, Unit, Wanted
from ilsvrc.run.engine import Engine
from ilsvrc.run.journal import Committer, Journal
from ilsvrc.run.plan import Plan, catalog_of
from ilsvrc.run.proof import Proof
from ilsvrc.sinks.base import Receipt, Sink


@dataclass(frozen=True, slots=True)
class Machinery:
    """What a run uses.

    engine : does the work
    journal : knows what is done; None to remember nothing
    proof : proves the archive
    listener : gets progress
    decode : look at every image by decoding it, not only at its first and last bytes
    stage : what progress calls the work; the split if empty
    """

    engine: Engine
    journal: Journal | None
    proof: Proof
    listener: Listener = silent
    decode: bool = False
    stage: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What a run ended with.

    receipts : one of every unit, in archive order
    proved : what was proved of the archive, or None
    """

    receipts: list[Receipt]
    proved: Verified | None


def run(plan: Plan, sink: Sink, machinery: Machinery) -> Result:
    """Do what a plan says and publish it; the result has the receipts of all units, those of earlier runs included.

    Raises
    ------
    IlsvrcError
        The first error of a unit, or what is wrong with the archive; nothing is published then.
    """
    result = work(plan, plan.units, sink, machinery)
    sink.finish(result.receipts, result.proved, plan.images())
    return result


def work(plan: Plan, units: Sequence[Unit], sink: Sink, machinery: Machinery) -> Result:
    """Do some units of a plan and prove the archive; nothing is published.

    A unit that an earlier run has done goes to a worker all the same, which looks whether its images are still there,
    byte for byte, and writes the unit again if they are not.

    Raises
    ------
    IlsvrcError
        The first error of a unit, or what is wrong with the archive.
    """
    journal, done = machinery.journal, dict[str, Receipt]()
    with sink.begun():
        earlier = journal.begin(plan.digest, plan.settings, asdict(plan.state)) if journal else {}
        with Committer(sink, journal) as committer:
            for receipt in _receipts(plan, sink, machinery, [Piece(unit, earlier.get(unit.id)) for unit in units]):
                if receipt.error:
                    raise receipt.error
                if receipt != earlier.get(receipt.unit):
                    committer.add(receipt)
                done[receipt.unit] = receipt
    proved = machinery.proof.confirm()
    plan.source.refuse_replaced()
    return Result([_counted(unit, done.get(unit.id)) for unit in units], proved)


def _counted(unit: Unit, receipt: Receipt | None) -> Receipt:
    """Return the receipt of a unit, which must speak of all its images."""
    if receipt is None or (receipt.samples, receipt.bytes) != (unit.images, unit.bytes):
        images = f"{receipt.samples:,} of {unit.images:,} images" if receipt else "no receipt"
        hint = "run the same command again with --restart; nothing was published"
        raise MachineError(f"{unit.id} was not done whole: {images}", hint=hint)
    return receipt


def _receipts(plan: Plan, sink: Sink, machinery: Machinery, todo: list[Piece]) -> Iterator[Receipt]:
    """Yield the receipts of what is to do, with progress."""
    listener, stage = machinery.listener, machinery.stage or plan.split
    archive = Archive(plan.source.path, plan.state)
    task = Task(archive, plan.wanted, sink, machinery.decode)
    listener(Started(stage, sum(piece.unit.bytes for piece in todo), sum(piece.unit.images for piece in todo)))
    released = machinery.proof.release([piece.unit for piece in todo])
    pieces = {piece.id: piece for piece in todo}
    ahead = (pieces[unit.id] for unit in released)
    with closing(released), closing(machinery.engine.run(task, ahead)) as receipts:  # the engine stops asking first
        for receipt in receipts:
            listener(Advanced(stage, receipt.bytes, receipt.samples))
            yield receipt
    listener(Finished(stage))


@dataclass(frozen=True, slots=True)
class Piece:
    """A unit and the receipt that an earlier run left of it, or None."""

    unit: Unit
    earlier: Receipt | None = None

    @property
    def id(self) -> str:
        """What messages call it."""
        return self.unit.id


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive as a worker opens it: at its path, in the state that the plan was made for and in no other."""

    path: Path
    state: FileState

    def open(self) -> FileSource:
        """Return the open archive.

        Raises
        ------
        ArchiveError
            If it was replaced or changed.
        """
        source = FileSource(self.path, self.state)
        source.refuse_replaced()
        return source


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker does with a unit; small, since it is sent with every one.

    archive : where the images are
    wanted : which images go where
    sink : what keeps them
    decode : look at every image by decoding it, not only at its first and last bytes
    """

    archive: Archive
    wanted: Wanted
    sink: Sink
    decode: bool = False

    def __call__(self, piece: Piece) -> Receipt:
        """Write a unit, or find it written; an expected failure becomes the receipt's error."""
        issues: list[Issue] = []
        unit = piece.unit
        try:
            if piece.earlier and piece.earlier.samples == unit.images and self.sink.holds(piece.earlier):
                return piece.earlier
            source = self.archive.open()
            catalog = catalog_of(source.path, source.state, self.wanted)
            receipt = self.sink.write(unit, self._inspected(catalog.samples(source, unit), issues))
        except IlsvrcError as error:
            return Receipt(unit.id, error=error)
        except OSError as error:
            return Receipt(unit.id, error=MachineError.of(error, self.archive.path))
        return replace(receipt, issues=(*receipt.issues, *issues))

    def _inspected(self, samples: Iterable[Sample], issues: list[Issue]) -> Iterator[Sample]:
        look = examine if self.decode else glance
        for sample in samples:
            issue = look(sample.ref.key, sample.data)
            if issue:
                issues.append(issue)
            yield sample
