"""Threads that begin, or say that they could not."""

from __future__ import annotations

import _thread
import contextlib
from collections.abc import Callable

BEGIN = 20.0
"""Seconds that a thread may take to begin."""


class Thread:
    """A thread that ends with the process.

    Python's own `Thread.start` waits for ever for a thread that dies for want of memory before its first line.

    Parameters
    ----------
    target
        What it does; it must not raise.
    """

    def __init__(self, target: Callable[[], None]) -> None:
        self._target = target
        self._begun, self._running = _thread.allocate_lock(), _thread.allocate_lock()
        self.started = False

    def start(self) -> None:
        """Start the thread, and wait until it has begun.

        Raises
        ------
        RuntimeError, MemoryError
            If the system has no thread or no memory for it.
        """
        self._begun.acquire()
        self._running.acquire()
        _thread.start_new_thread(self._run, ())
        if not self._begun.acquire(timeout=BEGIN):
            raise MemoryError("a thread could not begin")
        self.started = True

    def join(self, timeout: float | None = None) -> None:
        """Wait until the thread has ended, or so many seconds."""
        if self.started and self._running.acquire(timeout=-1 if timeout is None else timeout):
            self._running.release()

    def _run(self) -> None:
        try:
            with contextlib.suppress(SystemExit):
                self._begun.release()
                self._target()
        finally:
            self._running.release()
