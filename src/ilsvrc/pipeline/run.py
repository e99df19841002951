"""The one loop: units to receipts, receipts to the journal, and all of them to what is published."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from ilsvrc.archive.source import FileSource, Fingerprint
from ilsvrc.dataset.catalog import Sample, Unit, Wanted
from ilsvrc.dataset.inspect import examine, glance
from ilsvrc.errors import IlsvrcError, MachineError
from ilsvrc.events import Advanced, Finished, Listener, Started, silent
from ilsvrc.issues import Issue
from ilsvrc.pipeline.engine import Engine
from ilsvrc.pipeline.journal import Journal
from ilsvrc.pipeline.plan import Plan, catalog_of
from ilsvrc.pipeline.proof import Proof
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


def run(plan: Plan, sink: Sink, machinery: Machinery) -> list[Receipt]:
    """Do what a plan says and publish it; return the receipts of all units, those of earlier runs included.

    Raises
    ------
    IlsvrcError
        The first error of a unit, or what is wrong with the archive; nothing is published then.
    """
    journal, proof = machinery.journal, machinery.proof
    done = journal.begin(plan.digest, plan.settings, sink.holds) if journal else {}
    todo = [unit for unit in plan.units if unit.id not in done]
    for receipt in _work(plan, sink, machinery, todo):
        if receipt.error:
            raise receipt.error
        if journal:
            journal.append(receipt)  # its outputs are durable already
        done[receipt.unit] = receipt
    proof.confirm()
    receipts = [done[unit.id] for unit in plan.units]
    sink.finish(receipts)
    return receipts


def _work(plan: Plan, sink: Sink, machinery: Machinery, todo: list[Unit]) -> Iterator[Receipt]:
    """Yield the receipts of what is to do, with progress."""
    listener, stage = machinery.listener, f"{plan.split}"
    task = Task(plan.source.path, plan.source.fingerprint, plan.wanted, sink, machinery.decode)
    listener(Started(stage, sum(unit.bytes for unit in todo), sum(unit.images for unit in todo)))
    released = machinery.proof.release(todo)
    with closing(machinery.engine.run(task, released)) as receipts, closing(released):
        for receipt in receipts:
            listener(Advanced(stage, receipt.bytes, receipt.samples))
            yield receipt
    listener(Finished(stage))


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker does with a unit; small, since it is sent with every one.

    archive, fingerprint : the archive, and the state that it must be in
    wanted : which images go where
    sink : what keeps them
    decode : look at every image by decoding it, not only at its first and last bytes
    """

    archive: Path
    fingerprint: Fingerprint
    wanted: Wanted
    sink: Sink
    decode: bool = False

    def __call__(self, unit: Unit) -> Receipt:
        """Write a unit; an expected failure becomes the receipt's error."""
        issues: list[Issue] = []
        try:
            catalog = catalog_of(self.archive, self.fingerprint, self.wanted)
            samples = catalog.samples(FileSource(self.archive, self.fingerprint), unit)
            receipt = self.sink.write(unit, self._inspected(samples, issues))
        except IlsvrcError as error:
            return Receipt(unit.id, error=error)
        except OSError as error:
            return Receipt(unit.id, error=MachineError.of(error, self.archive))
        return replace(receipt, issues=tuple(issues))

    def _inspected(self, samples: Iterable[Sample], issues: list[Issue]) -> Iterator[Sample]:
        look = examine if self.decode else glance
        for sample in samples:
            issue = look(sample.ref.key, sample.data)
            if issue:
                issues.append(issue)
            yield sample
