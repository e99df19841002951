"""Run a task over units: in this process, in worker processes, or on any executor of the standard form."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import multiprocessing.util
import os
import platform
import queue
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from ilsvrc.errors import IlsvrcError, MachineError, UsageError
from ilsvrc.run.processes import GRACE, WorkerProcesses
from ilsvrc.run.threads import Thread
from ilsvrc.sinks.base import Receipt


class Piece(Protocol):
    """A part of the work: a unit of an archive, or a batch of files."""

    @property
    def id(self) -> str:
        """The unit's name in messages."""


P = TypeVar("P", bound=Piece)
AHEAD = 2
"""Units in flight for every worker: one at work, one waiting."""

ANSWER = 120.0
"""Seconds that a worker may take to answer a question."""

_log = logging.getLogger(__name__)


class Engine(Protocol):
    """Runs a task over units.

    Yields one receipt for every unit, in any order. A receipt that is ready comes out while the next unit is still
    awaited: taking a unit from the iterator may block for long, since a unit may have to be hashed first. Takes no
    more units than it can soon begin. The iterator of units may be advanced in another thread; an exception that it
    raises comes out where receipts are taken.

    A failure that the task did not expect, and a lost worker, become the `error` of the unit's receipt. A unit whose
    worker was lost is tried once more before that.

    Close the generator of receipts before the iterator of units: closing drops what has not begun, ends own worker
    processes, and waits a few seconds at most.

    local : whether tasks run on this machine. If not, what a sink writes must be durable when `write` returns.
    """

    @property
    def local(self) -> bool:
        """Whether tasks run on this machine."""

    def run(self, task: Callable[[P], Receipt], units: Iterable[P]) -> Generator[Receipt, None, None]:
        """Yield a receipt for each unit."""


class SerialEngine:
    """Runs every unit in this thread."""

    local = True

    def run(self, task: Callable[[P], Receipt], units: Iterable[P]) -> Generator[Receipt, None, None]:
        """Yield a receipt for each unit."""
        for unit in units:
            try:
                receipt = task(unit)
            except Exception as error:
                receipt = _failed(unit, error)
            yield receipt


class PoolEngine:
    """Runs units on an executor of the standard form (`concurrent.futures.Executor`).

    Parameters
    ----------
    executor
        An executor, which stays its owner's and is not shut down; or a function that makes one, which is called
        again if the executor breaks. Tasks and receipts are pickled where the executor needs that.
    workers
        How many units it works on at once; None to ask the executor, or to count this machine's processors.
    local
        Whether its workers run on this machine; None for: yes if it is a pool of the standard library.

    A subclass for the executor of a cluster overrides `answers` and `explained`.

    Raises
    ------
    UsageError
        In a worker process that runs the user's script again.
    """

    def __init__(
        self, executor: Executor | Callable[[], Executor], workers: int | None = None, *, local: bool | None = None
    ) -> None:
        refuse_rerun_script()
        self._executor = executor
        self.workers = workers or getattr(executor, "_max_workers", None) or default_jobs()
        known = isinstance(executor, (ThreadPoolExecutor, ProcessPoolExecutor)) or not isinstance(executor, Executor)
        self.local = known if local is None else local

    def run(self, task: Callable[[P], Receipt], units: Iterable[P]) -> Generator[Receipt, None, None]:
        """Yield a receipt for each unit."""
        run = _Run(self._executor, AHEAD * self.workers, task, units, self.explained)
        try:
            yield from run.receipts()
        finally:
            run.stop()

    def answers(self, question: Callable[[], Any]) -> dict[str, Any]:
        """Call a function on every worker; return by worker its result, or the exception that came instead.

        Here: on as many workers as the executor gives so many calls to, which may be fewer than there are.
        """
        if not isinstance(self._executor, Executor):
            return {}
        futures = [self._executor.submit(question) for _ in range(self.workers)]
        return {f"call {number}": result_of(future) for number, future in enumerate(futures)}

    def explained(self, unit: str, error: BaseException) -> IlsvrcError | None:
        """Return an error of the executor's own in the words of ilsvrc; None for any other error."""
        if isinstance(error, CancelledError):
            detail = f"{unit} was cancelled by the executor that was to do it"
            return MachineError(detail, hint="run the same command again: it resumes")
        return None


def result_of(future: Future[Any]) -> Any:
    """Return the result of a future, or the exception that came instead."""
    try:
        return future.result(ANSWER)
    except BaseException as error:  # CancelledError is no Exception everywhere
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        return error


class _Run(Generic[P]):
    """One run of a `PoolEngine`.

    Three threads: the feeder takes units from their iterator, the dispatcher alone deals with the executor, and the
    caller's thread takes receipts. So nothing waits for anything but its own input, and Ctrl-C, which strikes the
    main thread at any line, never leaves an executor half changed.
    """

    def __init__(
        self,
        executor: Executor | Callable[[], Executor],
        most: int,
        task: Callable[[P], Receipt],
        units: Iterable[P],
        explained: Callable[[str, BaseException], IlsvrcError | None],
    ) -> None:
        self._explained = explained
        self._given = executor if isinstance(executor, Executor) else None
        self._make = executor if not isinstance(executor, Executor) else None
        self._executor: Executor | None = self._given
        self._task = task
        self._units = units
        self._slots = threading.Semaphore(most)
        self._events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._ready: queue.SimpleQueue[Receipt | BaseException | None] = queue.SimpleQueue()
        self._waiting: deque[P] = deque()
        self._lost: deque[P] = deque()
        self._running: dict[Future[Receipt], P] = {}
        self._alone: P | None = None
        self._all_taken = self._stopped = False
        self._feeder = Thread(self._feed)
        self._dispatcher = Thread(self._dispatch)

    def receipts(self) -> Iterator[Receipt]:
        """Start, and yield the receipts."""
        self._dispatcher.start()
        while (item := self._ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            self._slots.release()
            yield item

    def stop(self) -> None:
        """End all threads; what runs is given up. Does nothing once every receipt has come out."""
        self._stopped = True
        self._slots.release()
        self._events.put(_nothing)
        self._dispatcher.join(3 * GRACE)
        self._feeder.join(GRACE)  # a generator that is being advanced can't be closed

    def _feed(self) -> None:
        """Take units as slots become free, in the feeder's thread."""
        try:
            source = iter(self._units)
            while self._slots.acquire() and not self._stopped:
                unit = next(source, None)
                if unit is None:
                    self._events.put(self._end_of_units)
                    return
                self._events.put(partial(self._waiting.append, unit))
        except BaseException as error:
            self._events.put(partial(_throw, error))

    def _dispatch(self) -> None:
        """Answer events until all is done, in the dispatcher's thread."""
        end: BaseException | None = None
        try:
            self._feeder.start()
            while not (self._stopped or self._done):
                self._events.get()()
                self._submit_next()
        except BaseException as error:
            end = error
        finally:
            self._end_executor()
            self._ready.put(end)

    @property
    def _done(self) -> bool:
        return self._all_taken and not (self._waiting or self._lost or self._running)

    def _end_of_units(self) -> None:
        self._all_taken = True

    def _submit_next(self) -> None:
        """Submit what may begin: units of a lost worker one by one, so that the one at fault is known; else all."""
        while self._lost and not self._running:
            self._alone = self._lost.popleft()
            self._submit(self._alone)
        if not self._lost and self._alone is None:
            while self._waiting and not self._lost:
                self._submit(self._waiting.popleft())

    def _submit(self, unit: P) -> None:
        try:
            if self._executor is None:
                assert self._make is not None
                self._executor = self._make()
            future = self._executor.submit(self._task, unit)
        except Exception as error:
            self._settle(unit, error)
        else:
            self._running[future] = unit
            future.add_done_callback(lambda future: self._events.put(partial(self._collect, future)))

    def _collect(self, future: Future[Receipt]) -> None:
        unit = self._running.pop(future)
        try:
            receipt = future.result()
        except BaseException as error:  # CancelledError is no Exception everywhere
            self._settle(unit, error)
        else:
            self._alone = None if unit is self._alone else self._alone
            self._ready.put(receipt)

    def _settle(self, unit: P, error: BaseException) -> None:
        """Keep a unit for a second try if its worker was lost; otherwise its receipt has the error."""
        alone, self._alone = unit is self._alone, None if unit is self._alone else self._alone
        if isinstance(error, BrokenExecutor) and self._make is not None:
            self._let_go_of_executor()
            if not alone:
                self._lost.append(unit)
                return
        explained = self._explained(unit.id, error)
        self._ready.put(Receipt(unit.id, error=explained) if explained else _failed(unit, error))

    def _let_go_of_executor(self) -> None:
        """Drop a broken executor once nothing runs on it; the next unit gets a new one."""
        if self._executor is not None and not self._running:
            self._executor.shutdown(wait=False)
            self._executor = None

    def _end_executor(self) -> None:
        """Leave an executor that was given as it is, but without our work; end one that was made here."""
        for future in self._running:
            future.cancel()
        if self._given is not None:
            wait(self._running, GRACE)
        elif self._executor is not None:
            if isinstance(self._executor, WorkerProcesses):
                self._executor.end(give_up=bool(self._running))
            else:
                self._executor.shutdown(wait=False, cancel_futures=True)
                wait(self._running, GRACE)


def _nothing() -> None:
    """Wake the dispatcher."""


def _throw(error: BaseException) -> None:
    raise error


def _failed(unit: Piece, error: BaseException) -> Receipt:
    """Return the receipt of a unit whose task raised what it should not, or whose worker was lost."""
    if isinstance(error, IlsvrcError):
        return Receipt(unit.id, error=error)
    memory = "try fewer --jobs, then run the same command again"
    if isinstance(error, BrokenExecutor):
        hint = f"the system may have killed it for want of memory: {memory}"
        told = MachineError(f"a worker process died while it wrote {unit.id}", hint=hint)
    elif isinstance(error, MemoryError) or "can't start new thread" in str(error):
        told = MachineError(f"{unit.id}: out of memory or of threads ({error})", hint=memory)
    elif isinstance(error, OSError):
        told = MachineError.of(error, unit.id)
    else:
        _log.debug("%s failed", unit.id, exc_info=error)
        hint = "run the same command again; if it fails again, report it as a fault of ilsvrc, with this message"
        told = MachineError(f"{unit.id}: {type(error).__name__}: {error}", hint=hint)
    told.__cause__ = error
    return Receipt(unit.id, error=told)


SMALL_BYTES = 8 << 20
SMALL_IMAGES = 4_000
"""Work of at most so much takes less time in this process than worker processes need to start."""


class AsNeededEngine(PoolEngine):
    """As many processes as there are processors; none for small work, which the caller does in this process."""

    def __init__(self) -> None:
        jobs = default_jobs()
        super().__init__(partial(WorkerProcesses, jobs), jobs)


def engine_for(engine: Engine, images: int, size: int) -> Engine:
    """Return the engine that does so many images of so many bytes: this process if they are few and it is free to."""
    small = images <= SMALL_IMAGES and size <= SMALL_BYTES
    return SerialEngine() if small and isinstance(engine, AsNeededEngine) else engine


def process_engine(jobs: int | None = None) -> Engine:
    """Return an engine of this many processes; of one, the work is done in this process.

    Without a number, there are as many as processors, and small work is done in this process too.

    Raises
    ------
    UsageError
        In a worker process that runs the user's script again.
    """
    refuse_rerun_script()
    if jobs is None and default_jobs() > 1:
        return AsNeededEngine()
    return SerialEngine() if jobs in (None, 1) else PoolEngine(partial(WorkerProcesses, jobs), jobs)


def default_jobs() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def worker_name() -> str:
    """Return the name of this process in reports: its host and number."""
    return f"{platform.node()}:{os.getpid()}"


def refuse_jobs(jobs: int | None) -> None:
    """Refuse a number of processes that can't do anything."""
    if jobs is not None and jobs < 1:
        raise UsageError(f"{jobs} jobs can't do anything", hint="give 1 or more")


def refuse_rerun_script() -> None:
    """Refuse to work in a process that only imports the user's script, to begin as a worker of an executor.

    Raises
    ------
    UsageError
        Then. The worker prints it as one line, since nobody is there to catch it.
    """
    if not getattr(multiprocessing.current_process(), "_inheriting", False):  # as multiprocessing itself asks
        return
    sys.excepthook = _print_one_line
    raise UsageError(
        "a worker process ran this script again: put the calls of ilsvrc under `if __name__ == '__main__':`",
        hint="every executor that starts processes needs this, unless it forks them",
    )


def _print_one_line(_kind: type[BaseException], error: BaseException, _trace: object) -> None:
    with contextlib.suppress(OSError, AttributeError):
        sys.stderr.write(f"error: {error}\n")
