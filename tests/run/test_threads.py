"""Threads that begin, or say that they could not."""

from __future__ import annotations

import _thread
import threading
import time
from collections.abc import Callable

import pytest

from ilsvrc.run import threads
from ilsvrc.run.threads import Thread


def test_it_runs_and_is_joined() -> None:
    done = threading.Event()
    thread = Thread(done.set)
    thread.join()  # one that was not started has nothing to wait for
    thread.start()
    thread.join()
    thread.join()
    assert done.is_set()


def test_joining_gives_up_in_time() -> None:
    go = threading.Event()

    def wait() -> None:
        go.wait()

    thread = Thread(wait)
    thread.start()
    began = time.monotonic()
    thread.join(0.01)
    assert time.monotonic() - began < 5
    go.set()
    thread.join()


def test_a_thread_that_never_begins_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where memory runs out within the new thread: Python's own `start` would wait for ever."""

    def lost(_target: Callable[[], None], _arguments: tuple[object, ...]) -> int:
        return 1

    monkeypatch.setattr(threads, "BEGIN", 0.01)
    monkeypatch.setattr(_thread, "start_new_thread", lost)
    thread = Thread(lambda: None)
    with pytest.raises(MemoryError, match="could not begin"):
        thread.start()
    thread.join()
