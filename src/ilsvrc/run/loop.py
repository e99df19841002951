"""The one loop: units to receipts, receipts to the journal, and all of them to what is published."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from ilsvrc.archive.sidecar import Verified
from ilsvrc.archive.source import FileSource, FileState, Fingerprint
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
    """

    engine: Engine
    journal: Journal | None
    proof: Proof
    listener: Listener = silent
    decode: bool = False


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
    journal = machinery.journal
    done = journal.begin(plan.digest, plan.header, sink.holds) if journal else {}
    todo = [unit for unit in plan.units if unit.id not in done]
    with Committer(sink, journal) as committer:
        for receipt in _work(plan, sink, machinery, todo):
            if receipt.error:
                raise receipt.error
            committer.add(receipt)
            done[receipt.unit] = receipt
    proved = machinery.proof.confirm()
    plan.source.refuse_replaced(plan.state)
    receipts = [done[unit.id] for unit in plan.units]
    sink.finish(receipts, proved)
    return Result(receipts, proved)


def _work(plan: Plan, sink: Sink, machinery: Machinery, todo: list[Unit]) -> Iterator[Receipt]:
    """Yield the receipts of what is to do, with progress."""
    listener, stage = machinery.listener, f"{plan.split}"
    archive = Archive(plan.source.path, plan.source.fingerprint, plan.state)
    task = Task(archive, plan.wanted, sink, machinery.decode)
    listener(Started(stage, sum(unit.bytes for unit in todo), sum(unit.images for unit in todo)))
    released = machinery.proof.release(todo)
    with closing(machinery.engine.run(task, released)) as receipts, closing(released):
        for receipt in receipts:
            listener(Advanced(stage, receipt.bytes, receipt.samples))
            yield receipt
    listener(Finished(stage))


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive as a worker opens it: at its path, in the state that the plan was made for and in no other."""

    path: Path
    fingerprint: Fingerprint
    state: FileState

    def open(self) -> FileSource:
        """Return the open archive.

        Raises
        ------
        ArchiveError
            If it was replaced or changed.
        """
        source = FileSource(self.path, self.fingerprint)
        source.refuse_replaced(self.state)
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

    def __call__(self, unit: Unit) -> Receipt:
        """Write a unit; an expected failure becomes the receipt's error."""
        issues: list[Issue] = []
        try:
            source = self.archive.open()
            catalog = catalog_of(source.path, source.fingerprint, self.wanted)
            receipt = self.sink.write(unit, self._inspected(catalog.samples(source, unit), issues))
        except IlsvrcError as error:
            return Receipt(unit.id, error=error)
        except OSError as error:
            return Receipt(unit.id, error=MachineError.of(error, self.archive.path))
        return replace(receipt, issues=tuple(issues))

    def _inspected(self, samples: Iterable[Sample], issues: list[Issue]) -> Iterator[Sample]:
        look = examine if self.decode else glance
        for sample in samples:
            issue = look(sample.ref.key, sample.data)
            if issue:
                issues.append(issue)
            yield sample
