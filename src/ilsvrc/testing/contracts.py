"""Contract tests of every Protocol: subclass the contract in a test module and give it its fixture.

These classes use no test framework but plain asserts and pytest's fixtures by name, so that implementations outside
this repository can run them too.
"""

from __future__ import annotations

import pickle
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from ilsvrc.archive.remote import source_of, state_of
from ilsvrc.archive.source import ByteSource
from ilsvrc.errors import DataError, IlsvrcError, MachineError
from ilsvrc.issues import Code
from ilsvrc.paths import given_location
from ilsvrc.readers.reader import Reader
from ilsvrc.readers.units import Sample, Unit
from ilsvrc.run.engine import Engine, SerialEngine
from ilsvrc.run.proof import Proof
from ilsvrc.sinks.base import Receipt, Sink
from ilsvrc.stores.path import size_of

CONTENT = bytes(range(256)) * 64
"""What the archive of a ByteSource under test must hold."""

Truth = dict[tuple[int, str], bytes]
"""What a Reader under test must hold: the bytes of every image by label and name."""


class ByteSourceContract:
    """A fixture `source` gives a ByteSource of CONTENT."""

    def test_reads_any_range(self, source: ByteSource) -> None:
        """Every range has the bytes of the content."""
        for offset, length in ((0, 1), (255, 2), (1000, 5000), (0, len(CONTENT)), (len(CONTENT), 0)):
            assert source.read(offset, length) == CONTENT[offset : offset + length]

    def test_knows_its_size(self, source: ByteSource) -> None:
        """The state has the size."""
        assert source.state.size == len(CONTENT)

    def test_serves_many_threads(self, source: ByteSource) -> None:
        """Reads of many threads do not disturb each other."""
        wrong: list[int] = []

        def _read(start: int) -> None:
            for offset in range(start, len(CONTENT) - 100, 97):
                if source.read(offset, 100) != CONTENT[offset : offset + 100]:
                    wrong.append(offset)

        threads = [threading.Thread(target=_read, args=(start,)) for start in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong

    def test_takes_hints_that_change_nothing(self, source: ByteSource) -> None:
        """Bytes read the same with and without hints about them."""
        for offset, length in ((0, len(CONTENT)), (300, 5), (len(CONTENT), 0)):
            source.will_need(offset, length)
            source.let_go(offset, length)
            assert source.read(offset, length) == CONTENT[offset : offset + length]

    def test_pickles_by_reopening(self, source: ByteSource) -> None:
        """A copy reads the same and has the same state."""
        copy: ByteSource = pickle.loads(pickle.dumps(source))  # noqa: S301  -- our own bytes
        assert copy.state == source.state
        assert copy.read(7, 9) == CONTENT[7:16]


class ReaderContract:
    """A fixture `reader` gives a Reader of a split, `truth` the bytes of its images by label and name."""

    def test_rows_are_in_catalog_order(self, reader: Reader, truth: Truth) -> None:
        """Rows go by label, then by name, and every image is there once."""
        names = reader.names.to_pylist()
        assert list(zip(reader.labels.tolist(), names, strict=True)) == sorted(truth)
        assert [reader.name(row) for row in range(len(reader))] == names

    def test_reads_every_image(self, reader: Reader, truth: Truth) -> None:
        """Bytes, sizes and paths are those of the row."""
        for row, key in enumerate(sorted(truth)):
            assert reader.read(row) == truth[key]
            assert reader.sizes[row] == len(truth[key])

    def test_takes_images_in_the_order_given(self, reader: Reader, truth: Truth) -> None:
        """Any rows, any order, any of them twice, or none; a walk that is given up harms none of the others."""
        keys = sorted(truth)
        for given in (reader.storage_order().tolist(), [2, 0, 2, 1], range(len(keys) - 1, -1, -1), []):
            rows = np.array(given, np.int32)
            assert list(reader.take(rows)) == [(row, truth[keys[row]]) for row in rows.tolist()]
        given_up = reader.take(reader.storage_order())
        next(given_up)
        assert next(reader.take(np.array([1]))) == (1, truth[keys[1]])

    def test_places_name_the_image(self, reader: Reader, truth: Truth) -> None:
        """A place has the split, the official name, and a file that exists."""
        for row, key in enumerate(sorted(truth)):
            place = reader.where(row)
            assert place.split == reader.split
            assert Path(place.member or place.file).stem == Path(key[1]).stem  # what was made anew has its own ending
            assert given_location(place.file).is_file()

    def test_spans_lie_within_the_containers(self, reader: Reader, truth: Truth) -> None:
        """Spans do not overlap; one that is the image's own bytes, from its place on, holds the image as it is.

        A span may be longer, by a header, or hold packed bytes, which may be as many as the image's by chance.
        """
        spans = reader.spans(np.arange(len(truth)))
        if spans is None:
            return
        containers = reader.containers()
        starts = np.cumsum([0] + [container.size for container in containers])
        assert spans.shape == (len(truth), 2)
        assert spans.min() >= 0
        assert spans.max() <= starts[-1]
        ascending = spans[np.argsort(spans[:, 0])]
        assert (ascending[1:, 0] >= ascending[:-1, 1]).all()
        for row, ((start, stop), key) in enumerate(zip(spans.tolist(), sorted(truth), strict=True)):
            at = int(np.searchsorted(starts, start, "right")) - 1
            if stop - start != len(truth[key]) or reader.where(row).offset != start - int(starts[at]):
                continue
            source = source_of(containers[at].path)
            assert source.read(start - int(starts[at]), stop - start) == truth[key]

    def test_containers_are_files_of_their_size(self, reader: Reader) -> None:
        """Every image lies within one of them."""
        sizes = {str(container.path): container.size for container in reader.containers()}
        assert sizes == {path: size_of(given_location(path)) for path in sizes}
        assert not sizes or reader.where(0).file in sizes
        assert all(state_of(container.path) == container.state for container in reader.containers())

    def test_says_what_it_is(self, reader: Reader) -> None:
        """Form, path and state are there for messages and journals."""
        assert reader.form
        assert reader.path.exists()
        assert reader.state == pickle.loads(pickle.dumps(reader)).state  # noqa: S301  -- our own bytes

    def test_a_part_has_the_rows_asked_for(self, reader: Reader, truth: Truth) -> None:
        """Any rows in any order; it reads the same after a journey to another process, and knows where images lie."""
        keys = sorted(truth)
        for given in ([2, 0, 1], [len(keys) - 1], reader.storage_order()[: len(keys) // 2].tolist()):
            data = pickle.dumps(reader.part(np.array(given, np.int64)))
            part: Reader = pickle.loads(data)  # noqa: S301  -- our own bytes
            assert part.split == reader.split
            assert list(zip(part.labels.tolist(), part.names.to_pylist(), strict=True)) == [keys[i] for i in given]
            assert part.sizes.tolist() == reader.sizes[given].tolist()
            assert [part.where(i) for i in range(len(part))] == [reader.where(row) for row in given]
            assert [part.digest(i) for i in range(len(part))] == [reader.digest(row) for row in given]
            assert [found for _, found in part.take(np.arange(len(part)))] == [truth[keys[i]] for i in given]
            part.require_unchanged()

    def test_recorded_digests_are_right(self, reader: Reader, truth: Truth) -> None:
        """A digest is xxh3_128 of the image's bytes, or there is none."""
        for row, key in enumerate(sorted(truth)):
            assert reader.digest(row) in (None, xxhash.xxh3_128_digest(truth[key]))

    def test_identity_is_the_same_in_copies(self, reader: Reader) -> None:
        """It is text that a copy has too."""
        copy: Reader = pickle.loads(pickle.dumps(reader))  # noqa: S301  -- our own bytes
        assert isinstance(reader.identity, str)
        assert copy.identity == reader.identity != ""

    def test_what_was_not_touched_is_unchanged(self, reader: Reader) -> None:
        """Reading changes nothing."""
        reader.read(0)
        reader.require_unchanged()
        pickle.loads(pickle.dumps(reader)).require_unchanged()  # noqa: S301  -- our own bytes

    def test_storage_order_has_every_row_once(self, reader: Reader, truth: Truth) -> None:
        """It is a permutation of the rows, and fetching ahead takes any of them."""
        order = reader.storage_order()
        assert sorted(order.tolist()) == list(range(len(truth)))
        reader.will_need(order[::2])
        reader.will_need(order[:0])

    def test_serves_many_threads(self, reader: Reader, truth: Truth) -> None:
        """Reads of many threads do not disturb each other."""
        keys = sorted(truth)
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(reader.read, [row for row in range(len(keys)) for _ in range(4)]))
        assert found == [truth[key] for key in keys for _ in range(4)]

    def test_pickles_by_reopening(self, reader: Reader, truth: Truth) -> None:
        """A copy reads the same, and no image is in it."""
        data = pickle.dumps(reader)
        copy: Reader = pickle.loads(data)  # noqa: S301  -- our own bytes
        assert [copy.read(row) for row in range(len(copy))] == [truth[key] for key in sorted(truth)]
        assert len(data) < sum(map(len, truth.values()))

    def test_faults_name_their_place(self, reader: Reader) -> None:
        """An error about a row names the image and the command that checks the others."""
        fault = reader.where(1).fault(Code.UNDECODABLE, "no image")
        assert isinstance(fault, DataError)
        assert Path(reader.name(1)).stem in fault.message
        assert "no image" in fault.message
        assert fault.hint.startswith("ilsvrc check --deep ")


def samples(unit: Unit) -> list[Sample]:
    """Return made-up samples for a unit: their keys and bytes depend on the unit alone."""
    found = []
    for place in range(unit.start, unit.stop):
        name = f"n01440764_{place}.JPEG"
        found.append(Sample(f"train/n01440764/{name}", name, 0, bytes([place % 256]) * (place + 1)))
    return found


UNITS = [Unit("train-000000", 0, 3, 9_000, 3, 6), Unit("train-000001", 3, 5, 10_000, 2, 9)]


def images_of(units: Sequence[Unit]) -> list[tuple[str, int]]:
    """Return path and bytes of all samples of units."""
    return [(sample.key, len(sample.data)) for unit in units for sample in samples(unit)]


class SinkContract:
    """A fixture `sink` gives a fresh Sink for the train split; `kept` returns all that it keeps, to compare."""

    def kept(self, sink: Any) -> object:
        """Return what the sink holds now, in any comparable form."""
        raise NotImplementedError

    def another(self, sink: Any, folder: Path) -> Any:
        """Return a sink like this one that writes to another folder; itself if it writes nothing."""
        raise NotImplementedError

    def test_receipt_counts_what_was_taken(self, sink: Sink) -> None:
        """A receipt has unit, images and bytes, and no error."""
        receipt = sink.write(UNITS[0], samples(UNITS[0]))
        assert (receipt.unit, receipt.samples, receipt.bytes, receipt.error) == (UNITS[0].id, 3, 6, None)

    def test_writing_again_leaves_the_same(self, sink: Sink) -> None:
        """`write` is idempotent, also after a half-written unit."""
        first = sink.write(UNITS[0], samples(UNITS[0]))
        before = self.kept(sink)
        half = iter(samples(UNITS[0])[:2])
        self._interrupted(sink, half)
        assert sink.write(UNITS[0], samples(UNITS[0])) == first
        assert self.kept(sink) == before

    def test_finish_gives_the_same_whatever_the_order(self, sink: Sink) -> None:
        """Units may be written in any order."""
        receipts = [sink.write(unit, samples(unit)) for unit in reversed(UNITS)]
        sink.sync()
        sink.finish(receipts, (), images_of(UNITS))
        backward = self.kept(sink)
        with tempfile.TemporaryDirectory() as other:
            twin = self.another(sink, Path(other))
            receipts = [twin.write(unit, samples(unit)) for unit in UNITS]
            twin.sync()
            twin.finish(receipts, (), images_of(UNITS))
            assert self.kept(twin) == backward

    def test_finish_refuses_fewer_images_than_there_must_be(self, sink: Sink) -> None:
        """What is published is what was planned; a sink that keeps nothing has nothing to refuse."""
        receipts = [sink.write(unit, samples(unit)) for unit in UNITS[:1]]
        if not receipts[0].outputs:
            return
        try:
            sink.finish(receipts, (), images_of(UNITS))
        except IlsvrcError:
            return
        raise AssertionError("two of five images were missing, and it published")

    def test_what_begun_holds_is_given_back(self, sink: Sink) -> None:
        """A run may end and another one begin."""
        for _ in range(2):
            with sink.begun():
                sink.write(UNITS[0], samples(UNITS[0]))
                sink.sync()

    def test_pickles(self, sink: Sink) -> None:
        """A copy writes to the same place."""
        copy: Sink = pickle.loads(pickle.dumps(sink))  # noqa: S301  -- our own bytes
        receipt = copy.write(UNITS[1], samples(UNITS[1]))
        assert copy.holds(receipt) == sink.holds(receipt)

    def _interrupted(self, sink: Sink, some: Iterator[Sample]) -> None:
        def _stop() -> Iterator[Sample]:
            yield from some
            raise InterruptedError

        try:
            sink.write(UNITS[0], _stop())
        except InterruptedError:
            return


@dataclass(frozen=True)
class Squares:
    """A task for engines: counts what it did in a folder, so that work in other processes is seen."""

    folder: Path

    def __call__(self, unit: Unit) -> Receipt:
        """Return a receipt with the square of the unit's start as its size; a unit of no images is a mistake."""
        if unit.images == 0:
            raise ZeroDivisionError(unit.start)
        (self.folder / unit.id).touch(exist_ok=False)
        return Receipt(unit.id, (), 1, unit.start**2)


def _threads() -> int:
    """Return how many threads this process has, those without Python's own bookkeeping included."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.exists() else threading.active_count()


class EngineContract:
    """A fixture `engine` gives an Engine."""

    def test_one_receipt_for_every_unit(self, engine: Engine, tmp_path: Path) -> None:
        """Every unit is done once, and its receipt is its own."""
        units = [Unit(f"u{i}", i, i, 0, 1, 0) for i in range(40)]
        receipts = list(engine.run(Squares(tmp_path), units))
        assert {receipt.unit: receipt.bytes for receipt in receipts} == {f"u{i}": i * i for i in range(40)}
        assert len(receipts) == 40

    def test_no_unit_no_receipt(self, engine: Engine, tmp_path: Path) -> None:
        """Nothing to do is done."""
        nothing: list[Unit] = []
        assert list(engine.run(Squares(tmp_path), nothing)) == []

    def test_takes_units_only_as_it_can_begin_them(self, engine: Engine, tmp_path: Path) -> None:
        """What is in flight is bounded, and closing drops the rest."""
        taken = 0

        def _units() -> Iterable[Unit]:
            nonlocal taken
            for i in range(1000):
                taken += 1
                yield Unit(f"u{i}", i, i, 0, 1, 0)

        receipts = engine.run(Squares(tmp_path), _units())
        next(receipts)
        receipts.close()
        assert taken < 100
        assert len(list(tmp_path.iterdir())) <= taken

    def test_a_receipt_comes_out_while_the_next_unit_is_awaited(self, engine: Engine, tmp_path: Path) -> None:
        """A unit iterator that waits for a receipt of each unit before it gives the next gets it."""
        came_out = threading.Semaphore(0)

        def _units() -> Iterator[Unit]:
            for i in range(6):
                yield Unit(f"u{i}", i, i, 0, 1, 0)
                if not isinstance(engine, SerialEngine):
                    assert came_out.acquire(timeout=60), f"the receipt of u{i} is held back"

        found = []
        for receipt in engine.run(Squares(tmp_path), _units()):
            found.append(receipt.unit)
            came_out.release()
        assert found == [f"u{i}" for i in range(6)]

    def test_an_error_of_the_unit_iterator_comes_out(self, engine: Engine, tmp_path: Path) -> None:
        """It is raised where receipts are taken, as it is."""

        def _units() -> Iterator[Unit]:
            yield Unit("u0", 0, 0, 0, 1, 0)
            raise LookupError("no more units")

        raised = False
        try:
            list(engine.run(Squares(tmp_path), _units()))
        except LookupError:
            raised = True
        assert raised

    def test_closing_stops_taking_units(self, engine: Engine, tmp_path: Path) -> None:
        """Once the generator of receipts is closed, the iterator of units can be closed, and no thread is left."""
        threads = _threads()
        units = (Unit(f"u{i}", i, i, 0, 1, 0) for i in range(1000))
        receipts = engine.run(Squares(tmp_path), units)
        next(receipts)
        receipts.close()
        units.close()
        assert _soon(lambda: _threads() <= threads)

    def test_an_unexpected_failure_becomes_a_receipt(self, engine: Engine, tmp_path: Path) -> None:
        """Its error is a MachineError that names the unit; other units are done."""
        units = [Unit(f"u{i}", i, i, 0, int(i != 2), 0) for i in range(5)]
        receipts = {receipt.unit: receipt for receipt in engine.run(Squares(tmp_path), units)}
        assert len(receipts) == 5
        error = receipts.pop("u2").error
        assert isinstance(error, MachineError)
        assert "u2" in error.message
        assert "ZeroDivisionError" in error.message
        assert all(receipt.error is None for receipt in receipts.values())

    def test_says_whether_it_is_local(self, engine: Engine) -> None:
        """`local` is True or False."""
        assert isinstance(engine.local, bool)


def _soon(holds: Callable[[], bool]) -> bool:
    """Wait until a condition holds, a minute at most; return whether it does."""
    deadline = time.monotonic() + 60
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds()


class ProofContract:
    """A fixture `proof` gives a Proof of an archive that is right, whose units are UNITS."""

    def test_releases_every_unit_once_in_order(self, proof: Proof) -> None:
        """Nothing is lost, doubled or reordered, and a right archive is confirmed."""
        assert list(proof.release(UNITS)) == UNITS
        proof.confirm()

    def test_a_run_may_stop_early(self, proof: Proof) -> None:
        """Closing the iterator ends whatever works behind it."""
        threads = _threads()
        released = proof.release(UNITS)
        assert next(released) == UNITS[0]
        released.close()
        assert _soon(lambda: _threads() <= threads)  # a thread that was waited for is listed a moment longer
