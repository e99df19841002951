"""Engines under their contract, and workers that die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ilsvrc.errors import MachineError
from ilsvrc.readers.units import Unit
from ilsvrc.run import engine as engine_module
from ilsvrc.run import processes as processes_module
from ilsvrc.run.engine import (
    SMALL_BYTES,
    SMALL_IMAGES,
    AsNeededEngine,
    PoolEngine,
    SerialEngine,
    default_jobs,
    engine_for,
    process_engine,
)
from ilsvrc.sinks.base import Receipt
from ilsvrc.testing.contracts import EngineContract


class TestSerialEngine(EngineContract):
    @pytest.fixture
    def engine(self) -> SerialEngine:
        return SerialEngine()


class TestThreads(EngineContract):
    @pytest.fixture
    def engine(self) -> PoolEngine:
        return PoolEngine(lambda: ThreadPoolExecutor(3), 3)


class TestProcesses(EngineContract):
    @pytest.fixture
    def engine(self) -> object:
        return process_engine(2)


class TestAsNeeded(EngineContract):
    @pytest.fixture
    def engine(self) -> AsNeededEngine:
        return AsNeededEngine()


@pytest.mark.parametrize(
    ("images", "size", "here"),
    [(SMALL_IMAGES, SMALL_BYTES, True), (SMALL_IMAGES + 1, 1, False), (1, SMALL_BYTES + 1, False)],
)
def test_small_work_is_done_in_this_process_unless_a_number_is_given(images: int, size: int, *, here: bool) -> None:
    engine = AsNeededEngine()
    assert isinstance(engine_for(engine, images, size), SerialEngine) == here
    given = process_engine(2)
    assert engine_for(given, images, size) is given


def _die_on_third(unit: Unit) -> Receipt:
    if unit.id == "u3":
        os.kill(os.getpid(), signal.SIGKILL)
    return Receipt(unit.id)


def test_a_killed_worker_costs_only_its_own_unit() -> None:
    units = [Unit(f"u{i}", i, i, 0, 1, 0) for i in range(12)]
    receipts = {receipt.unit: receipt for receipt in process_engine(2).run(_die_on_third, units)}
    assert len(receipts) == 12
    error = receipts.pop("u3").error
    assert isinstance(error, MachineError)
    assert "u3" in error.message
    assert "--jobs" in error.hint
    assert all(receipt.error is None for receipt in receipts.values())


@dataclass(frozen=True)
class DieOnce:
    """A task whose worker is killed the first time that it does a unit."""

    folder: Path

    def __call__(self, unit: Unit) -> Receipt:
        try:
            (self.folder / unit.id).touch(exist_ok=False)
        except FileExistsError:
            return Receipt(unit.id)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def test_a_unit_whose_worker_was_lost_is_tried_once_more(tmp_path: Path) -> None:
    units = [Unit(f"u{i}", i, i, 0, 1, 0) for i in range(3)]
    (tmp_path / "u0").touch()
    (tmp_path / "u2").touch()
    receipts = {receipt.unit: receipt.error for receipt in process_engine(2).run(DieOnce(tmp_path), units)}
    assert receipts == {"u0": None, "u1": None, "u2": None}


def test_a_long_tmpdir_does_not_matter(tmp_path: Path) -> None:
    """The sockets of worker processes lie in it, whose paths have 107 bytes at most."""
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    line = "from ilsvrc.run.engine import process_engine; from ilsvrc.readers.units import Unit; import tempfile; "
    line += "from tests.run.test_engine import _variable; "
    line += "print(*process_engine(2).run(_variable, [Unit('u', 0, 0, 0, 1, 0)]), tempfile.gettempdir())"
    variables = os.environ | {"TMPDIR": str(folder), "ILSVRC_TEST_OF_WORKERS": "long"}
    done = subprocess.run([sys.executable, "-c", line], env=variables, capture_output=True, text=True, check=False)
    assert "unit='long'" in done.stdout, done.stderr
    assert str(folder) in done.stdout


def _variable(piece: Unit) -> Receipt:
    return Receipt(os.environ.get("ILSVRC_TEST_OF_WORKERS", "not set"))


def test_workers_have_the_environment_as_it_is_when_they_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fork server is older: it was started with the first processes of this one."""
    for value in ("first", "second"):
        monkeypatch.setenv("ILSVRC_TEST_OF_WORKERS", value)
        assert [receipt.unit for receipt in process_engine(2).run(_variable, [Unit("u", 0, 0, 0, 1, 0)])] == [value]


def test_an_executor_that_is_given_is_used_and_stays_open() -> None:
    units = [Unit(f"u{i}", i, i, 0, 1, 0) for i in range(9)]
    with ThreadPoolExecutor(2) as executor:
        engine = PoolEngine(executor)
        assert (engine.workers, engine.local) == (2, True)
        assert sorted(receipt.unit for receipt in engine.run(_name, units)) == [unit.id for unit in units]
        assert executor.submit(len, "abc").result() == 3


def _name(unit: Unit) -> Receipt:
    return Receipt(unit.id)


class Elsewhere(Executor):
    """An executor of some cluster: it loses every worker, with an error of its own."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_exception(ConnectionError("the cluster is gone"))
        return future


def test_an_executor_of_a_cluster_is_not_local_and_its_errors_become_receipts() -> None:
    engine = PoolEngine(Elsewhere(), 4)
    assert not engine.local
    (receipt,) = engine.run(_name, [Unit("u0", 0, 0, 0, 1, 0)])
    assert isinstance(receipt.error, MachineError)
    assert "u0" in receipt.error.message


@dataclass(frozen=True)
class Sleep:
    """A task that never ends by itself, and says that it began."""

    folder: Path

    def __call__(self, unit: Unit) -> Receipt:
        if unit.id != "u0":
            (self.folder / str(os.getpid())).touch()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(3600)
        return Receipt(unit.id)


def test_closing_ends_workers_whatever_they_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (engine_module, processes_module):
        monkeypatch.setattr(module, "GRACE", 0.5)
    receipts = process_engine(2).run(Sleep(tmp_path), [Unit(f"u{i}", i, i, 0, 1, 0) for i in range(9)])
    assert next(receipts).unit == "u0"
    while not any(tmp_path.iterdir()):
        time.sleep(0.01)
    receipts.close()
    deadline = time.monotonic() + 60
    while any(_alive(int(worker.name)) for worker in tmp_path.iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_no_thread_of_a_pool_outlives_its_run() -> None:
    """One that closed its pipe while Python ended printed a traceback, once in a hundred commands."""
    for _ in range(3):
        before = set(threading.enumerate())
        assert len(list(process_engine(2).run(_name, [Unit(f"u{i}", i, i, 0, 1, 0) for i in range(4)]))) == 4
        left = [type(thread).__name__ for thread in threading.enumerate() if thread not in before]
        assert "_ExecutorManagerThread" not in left


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True  # also for a moment after its end, until the fork server has taken its status


GUARDLESS = """
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from ilsvrc.readers.units import Unit
from ilsvrc.run.engine import PoolEngine, process_engine
from tests.run.test_engine import _name

engine = {engine}
print(sorted(receipt.unit for receipt in engine.run(_name, [Unit("u0", 0, 0, 0, 1, 0), Unit("u1", 0, 0, 0, 1, 0)])))
"""


def _script(folder: Path, engine: str) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(GUARDLESS.format(engine=engine))
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "script.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_script_needs_no_guard(tmp_path: Path) -> None:
    done = _script(tmp_path, "process_engine(2)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "['u0', 'u1']\n", "")


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_a_worker_that_runs_the_script_again_says_what_to_do_in_one_line(tmp_path: Path, method: str) -> None:
    done = _script(tmp_path, f"PoolEngine(ProcessPoolExecutor(1, get_context('{method}')))")
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    assert "if __name__ == '__main__'" in line


def test_one_job_needs_no_process() -> None:
    assert isinstance(process_engine(1), SerialEngine)
    assert default_jobs() >= 1
