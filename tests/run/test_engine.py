"""Engines under their contract, and workers that die."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ilsvrc.errors import MachineError
from ilsvrc.readers.units import Unit
from ilsvrc.run.engine import PoolEngine, SerialEngine, default_jobs, process_engine
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


def _die_on_third(unit: Unit) -> Receipt:
    if unit.id == "u3":
        os.kill(os.getpid(), signal.SIGKILL)
    return Receipt(unit.id)


def test_a_killed_worker_leaves_a_receipt_for_every_unit() -> None:
    units = [Unit(f"u{i}", i, i, 0, 1, 0) for i in range(12)]
    receipts = {receipt.unit: receipt for receipt in process_engine(2).run(_die_on_third, units)}
    assert len(receipts) == 12
    error = receipts["u3"].error
    assert isinstance(error, MachineError)
    assert "u3" in error.message
    assert "--jobs" in error.hint
    done = [receipt for receipt in receipts.values() if receipt.error is None]
    assert len(done) >= 3, "what was not in flight is done by new workers"


def _raise(unit: Unit) -> Receipt:
    raise ZeroDivisionError(unit.id)


def test_a_bug_in_a_task_is_raised_and_not_taken_for_a_lost_worker(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        list(process_engine(2).run(_raise, [Unit("a", 0, 0, 0, 0, 0)]))


def test_one_job_needs_no_process() -> None:
    assert isinstance(process_engine(1), SerialEngine)
    assert default_jobs() >= 1
