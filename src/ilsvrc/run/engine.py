"""Run a task over units: here, in processes, or on any executor of the standard form."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, forkserver
from typing import Protocol, TypeVar

from ilsvrc.errors import MachineError, UsageError
from ilsvrc.sinks.base import Receipt


class Piece(Protocol):
    """A part of the work: a unit of an archive, or a batch of files."""

    @property
    def id(self) -> str:
        """What messages call it."""


P = TypeVar("P", bound=Piece)
AHEAD = 2
"""Units in flight for every worker: one at work, one waiting."""


class Engine(Protocol):
    """Runs a task over units.

    Yields one receipt for every unit in any order, a lost worker's included, and takes no more units from the
    iterator than it can soon begin. Closing the iterator of receipts drops what has not begun.
    """

    def run(self, task: Callable[[P], Receipt], units: Iterable[P]) -> Generator[Receipt, None, None]:
        """Yield a receipt for each unit."""


class SerialEngine:
    """Runs every unit here and now."""

    def run(self, task: Callable[[P], Receipt], units: Iterable[P]) -> Generator[Receipt, None, None]:
        """Yield a receipt for each unit."""
        yield from map(task, units)


class PoolEngine:
    """Runs units on an executor of the standard form.

    executor : makes it; called again if the executor breaks
    workers : how many units it works on at once
    """

    def __init__(self, executor: Callable[[], Executor], workers: int) -> None:
        self._executor = executor
        self._workers = workers

    def run(self, task: Callable[[P], Receipt], units: Iterable[P]) -> Generator[Receipt, None, None]:
        """Yield a receipt for each unit."""
        executor = self._executor()
        futures: dict[Future[Receipt], P] = {}
        source = iter(units)
        try:
            while True:
                _fill(futures, source, lambda unit: executor.submit(task, unit), AHEAD * self._workers)  # noqa: B023
                if not futures:
                    return
                done, _ = wait(futures, return_when=FIRST_COMPLETED)
                receipts = [_receipt(future, futures.pop(future)) for future in done]
                yield from receipts
                if any(isinstance(future.exception(), BrokenProcessPool) for future in done):
                    yield from (_receipt(future, unit) for future, unit in futures.items())
                    futures.clear()
                    executor.shutdown(wait=False)
                    executor = self._executor()
        finally:
            executor.shutdown(wait=True, cancel_futures=True)


def process_engine(jobs: int) -> Engine:
    """Return an engine of this many processes; of one, the work is done in this process."""
    if jobs == 1:
        return SerialEngine()
    context = _context()
    return PoolEngine(lambda: ProcessPoolExecutor(jobs, context, initializer=_begin_worker), jobs)


def default_jobs() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def refuse_jobs(jobs: int | None) -> None:
    """Refuse a number of processes that can't do anything."""
    if jobs is not None and jobs < 1:
        raise UsageError(f"{jobs} jobs can't do anything", hint="give 1 or more")


def _fill(
    futures: dict[Future[Receipt], P], units: Iterator[P], submit: Callable[[P], Future[Receipt]], most: int
) -> None:
    while len(futures) < most:
        unit = next(units, None)
        if unit is None:
            return
        try:
            futures[submit(unit)] = unit
        except BrokenProcessPool as error:  # it broke since the last receipt: this unit is lost with the others
            lost: Future[Receipt] = Future()
            lost.set_exception(error)
            futures[lost] = unit
            return


def _receipt(future: Future[Receipt], unit: Piece) -> Receipt:
    """Return a unit's receipt; one that says so if its worker died."""
    if not future.done() or isinstance(future.exception(), BrokenProcessPool):
        hint = "the system may have killed it for want of memory: try fewer --jobs, then run the same command again"
        return Receipt(unit.id, error=MachineError(f"a worker process died while it wrote {unit.id}", hint=hint))
    return future.result()


def _context() -> multiprocessing.context.BaseContext:
    """Return how processes start: never by forking this one, which has threads."""
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if "forkserver" in methods:
        context.set_forkserver_preload(["ilsvrc.run.loop"])
        _start_fork_server()
    return context


def _start_fork_server() -> None:
    """Start it with Ctrl-C ignored, which it inherits: the driver alone answers the user."""
    if threading.current_thread() is not threading.main_thread():
        return  # signals can't be set here; it is started when it is needed
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, before)


def _begin_worker() -> None:
    """Leave Ctrl-C to the driver, and die when it dies: an orphan would write into the next run's files."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent.sentinel,), daemon=True).start()


def _die_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
