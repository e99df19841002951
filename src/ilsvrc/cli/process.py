"""The program's process: its signals, its standard streams, its end.

Only the standard library is imported here, so that signals are answered before the slow imports begin.

A signal (Ctrl-C, SIGTERM, SIGHUP) before the command begins ends the process at once. While the command runs, the
first one is raised as KeyboardInterrupt, so that finished work is committed; the second only says so; the third ends
the process at once, which loses no more than `kill -9` does. The exit status is 128 plus the signal's number.
"""

from __future__ import annotations

import contextlib
import enum
import io
import os
import signal
import sys
from types import FrameType
from typing import NoReturn, TextIO

SIGNALS = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated (SIGTERM)",
    signal.SIGHUP: "the terminal is gone (SIGHUP)",
}
RESUME = "run the same command again to resume"
AT_ONCE = 3
"""This many signals end the process at once, whatever it is doing."""


class Phase(enum.Enum):
    """The phases of the program; a signal is answered differently in each."""

    STARTING = enum.auto()
    RUNNING = enum.auto()
    ENDING = enum.auto()


class _Signals:
    """The phase, and the signals received so far."""

    phase = Phase.STARTING
    first = 0
    count = 0


_signals = _Signals()


def listen() -> None:
    """Answer signals from now on, except those that the program was started to ignore, as by `nohup`."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _answer)
    signal.signal(signal.SIGALRM, _raise)
    sys.unraisablehook = _unraisable
    sys.warnoptions.append("ignore:resource_tracker")  # multiprocessing's tracker would print after a sudden end
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # it sends SIGINT to the process if it gets no thread


def enter(phase: Phase) -> None:
    """Set the phase that the program enters."""
    _signals.phase = phase


def received() -> int:
    """Return the number of the first signal that was received while the command ran, 0 if there was none."""
    return _signals.first


def _answer(number: int, _frame: FrameType | None) -> None:
    _signals.count += 1
    if _signals.phase is not Phase.RUNNING:
        if _signals.phase is Phase.STARTING:
            _say_end(number)
        os._exit(128 + number)
    if _signals.count == 1:
        _signals.first = number
        raise KeyboardInterrupt
    if _signals.count >= AT_ONCE:
        _say_end(_signals.first)
        os._exit(128 + _signals.first)
    write_error("stopping: finished work is being written to disk; interrupt again to quit at once\n")


def _raise(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _unraisable(fault: sys.UnraisableHookArgs) -> None:
    """Raise an interruption again that came where Python can't raise it, such as in a finalizer."""
    if isinstance(fault.exc_value, KeyboardInterrupt):
        if _signals.phase is Phase.RUNNING:
            signal.setitimer(signal.ITIMER_REAL, 0.02)
    else:
        sys.__unraisablehook__(fault)


def _say_end(number: int) -> None:
    text = ended_by(number)
    write_error(f"{text}\n")
    if "--json" in sys.argv:
        write_document({"ok": False, "error": text})


def ended_by(number: int) -> str:
    """Return the message for an end by a signal."""
    return f"{SIGNALS[signal.Signals(number)]}: {RESUME}"


def write_error(text: str) -> None:
    """Write to standard error, past Python's streams: for signal handlers, and where memory is short."""
    with contextlib.suppress(OSError):
        os.write(2, text.encode())


def write_document(document: dict[str, object]) -> None:
    """Write one JSON document to standard output, past Python's streams."""
    import json

    with contextlib.suppress(OSError):
        os.write(1, (json.dumps(document, indent=2) + "\n").encode())


class Stream(io.TextIOWrapper):
    """A standard stream that discards text once writing to it has failed, so that printing never ends the work.

    failed : the error, None while writing works
    """

    failed: OSError | None = None

    def write(self, text: str) -> int:
        """Write text."""
        try:
            return super().write(text)
        except OSError as error:
            self._lose(error)
            return len(text)

    def flush(self) -> None:
        """Write what is buffered."""
        try:
            super().flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        self.failed = self.failed or error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def prepare_streams() -> None:
    """Open streams that were closed, so that no other file gets their numbers; make both outputs a `Stream`."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
    sys.stdout = _lasting(sys.stdout, 1)
    sys.stderr = _lasting(sys.stderr, 2)


def _lasting(stream: TextIO | None, number: int) -> TextIO:
    if stream is None:  # it was closed, and goes nowhere
        return Stream(open(number, "wb", closefd=False), errors="backslashreplace")
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.flush()
    settings = {"encoding": stream.encoding, "line_buffering": stream.line_buffering}
    return Stream(stream.detach(), errors="backslashreplace", **settings)  # type: ignore[arg-type]


def end(status: int) -> NoReturn:
    """End the process; 3 if standard output took less than was printed and the reader has not just gone away."""
    enter(Phase.ENDING)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    failed = sys.stdout.failed if isinstance(sys.stdout, Stream) else None
    if failed and not isinstance(failed, BrokenPipeError):
        write_error(
            f"error: standard output: {failed.strerror}\nhint: the work itself is done; only its output is lost\n"
        )
        status = status or 3
    for number in SIGNALS:  # the work is done and reported; while Python ends, a signal would only change the status
        signal.signal(number, signal.SIG_IGN)
    if received():
        os._exit(status)  # no library's cleanup may keep waiting
    sys.exit(status)
