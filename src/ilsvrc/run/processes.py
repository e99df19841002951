"""Worker processes of ilsvrc's own: how they start, whose signals they answer, how they end."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.util
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import connection, context, resource_tracker
from typing import Any

from ilsvrc.imports import hide_pandas

GRACE = 5.0
"""Seconds that an early end waits for running work, and for worker processes after each signal to them."""


class WorkerProcesses(ProcessPoolExecutor):
    """Worker processes of ilsvrc's own, which end within a deadline and never run the user's script again.

    They start from a fork server: never as a fork of this process, which has threads.
    """

    def __init__(self, jobs: int) -> None:
        _keep_paths_of_sockets_short()
        self._context = _Context()
        with _terminal_signals_blocked():
            resource_tracker.ensure_running()
        super().__init__(jobs, self._context, initializer=_begin_worker, initargs=(dict(os.environ),))

    def end(self, *, give_up: bool) -> None:
        """End every process that was started; with `give_up` at once, whatever it is doing.

        Terminating is safe: `Sink.write` may break off anywhere, as with `kill -9`. Python 3.14 has
        `terminate_workers` and `kill_workers` for this. The pool's own thread is awaited too: it closes a pipe that
        Python's end writes to, which prints a traceback if it is closed in that moment.
        """
        manager: threading.Thread | None = getattr(self, "_executor_manager_thread", None)
        self.shutdown(wait=False, cancel_futures=True)
        workers = self._context.started
        if give_up:
            _signal(workers, signal.SIGTERM)
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not _await_end(workers, GRACE):
                _signal(workers, number)
        _await_end(workers, GRACE)
        if manager is not None:
            manager.join(GRACE)


_LONGEST_FOLDER = 70
"""Bytes of the path of a folder in which multiprocessing can have its sockets: theirs have 107 at most."""


def _keep_paths_of_sockets_short() -> None:
    """Let multiprocessing have its folder of sockets in /tmp where TMPDIR is too long; Python 3.14 does so itself."""
    given = tempfile.gettempdir()
    if len(os.fsencode(given)) > _LONGEST_FOLDER:
        tempfile.tempdir = "/tmp"  # noqa: S108  -- the folder in it is made for this user alone
        try:
            multiprocessing.util.get_temp_dir()  # it remembers the folder
        finally:
            tempfile.tempdir = given


class _Worker(context.ForkServerProcess):
    """A process that doesn't import the user's script: tasks come from ilsvrc's modules.

    So a script needs no `if __name__ == "__main__":`. A task whose class the script itself defines needs an executor
    of the user's (`PoolEngine`).
    """

    def start(self) -> None:
        """Start, and the fork server before the first one."""
        with _terminal_signals_blocked(), _nameless_script():
            super().start()


@contextlib.contextmanager
def _terminal_signals_blocked() -> Iterator[None]:
    """Let processes that start in this block inherit blocked Ctrl-C and hangup: the driver answers them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Context(context.ForkServerContext):
    """A context that remembers the processes that it made, so that all of them can be ended."""

    def __init__(self) -> None:
        self.started: list[_Worker] = []
        self.set_forkserver_preload(["ilsvrc.run.loop"])

    def Process(self, *words: Any, **options: Any) -> _Worker:  # type: ignore[override]  # noqa: N802
        """Return a process that is not started."""
        self.started.append(_Worker(*words, **options))
        return self.started[-1]


@contextlib.contextmanager
def _nameless_script() -> Iterator[None]:
    """Hide where the main module came from, which `multiprocessing` would have a new process import."""
    main = sys.modules["__main__"]
    with _START:
        hidden = {name: vars(main).pop(name) for name in ("__file__",) if name in vars(main)}
        spec, main.__spec__ = main.__spec__, None
        try:
            yield
        finally:
            vars(main).update(hidden)
            main.__spec__ = spec


_START = threading.Lock()


def _signal(workers: Iterable[_Worker], number: int) -> None:
    for worker in workers:
        if worker.pid is not None and not _await_end([worker], 0):
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, number)


def _await_end(workers: Iterable[_Worker], seconds: float) -> bool:
    """Say whether all processes end within so many seconds; by sentinels, since the executor reads exit codes."""
    deadline = time.monotonic() + seconds
    left = {worker.sentinel for worker in workers if worker.pid is not None}
    while left:
        ended = connection.wait(left, max(deadline - time.monotonic(), 0))
        left -= set(ended)
        if not ended and time.monotonic() >= deadline:
            return False
    return True


def _begin_worker(environment: dict[str, str]) -> None:
    """Leave the terminal's signals to the driver; die with it, or an orphan writes into the next run's files.

    The fork server keeps the environment that it was started in; credentials may have been set since.
    """
    os.environ.clear()
    os.environ.update(environment)
    hide_pandas()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    if parent is not None:
        try:
            threading.Thread(target=_die_with, args=(parent.sentinel,), daemon=True).start()
        except RuntimeError:  # no thread to be had: the driver reports a lost worker
            os._exit(1)


def _die_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
