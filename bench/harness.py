"""Run commands in turn and compare them by what the system says they took."""

from __future__ import annotations

import ctypes
import gc
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of a command took, all its processes together.

    wall : seconds from its start to its end
    cpu : seconds of processor time, user and system
    rss : bytes, the peak of its largest process
    written : bytes that it gave to file systems on disks, in whole pages; 0 where the system does not count them
    stated : seconds that it says its work itself took, without the start of the program; else `wall`
    """

    wall: float
    cpu: float
    rss: int
    written: int
    stated: float


@dataclass(frozen=True, slots=True)
class Work:
    """A command to be measured.

    name : for messages
    command : program and arguments; a last line `seconds: 1.25` of its output gives `Run.stated`
    before, after : what is done around every run, not timed: the same state for each, and nothing left behind
    """

    name: str
    command: Sequence[str | Path]
    before: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, least and greatest of some figures."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> Spread:
        """Return the spread of at least one figure."""
        return cls(statistics.median(figures), min(figures), max(figures))


Figure = Callable[[Run], float]
Rounds = dict[str, list[Run]]


def measure(works: Sequence[Work], runs: int, warmups: int = 1) -> Rounds:
    """Run every command so many times, one after the other in every round; return their runs by name.

    Whatever else the machine does falls on neighbours alike. The warm-up rounds are not counted.
    """
    rounds: Rounds = {work.name: [] for work in works}
    for number in range(-warmups, runs):
        for work in works:
            run = _around(work)
            said = "warm-up" if number < 0 else f"run {number + 1}/{runs}"
            print(f"  {said}: {work.name}: {run.stated:.2f} s", file=sys.stderr, flush=True)
            if number >= 0:
                rounds[work.name].append(run)
    return rounds


def ratio(ours: Sequence[Run], theirs: Sequence[Run], figure: Figure) -> Spread:
    """Return the spread of ours to theirs, round by round."""
    return Spread.of([figure(a) / figure(b) for a, b in zip(ours, theirs, strict=True)])


def wall(run: Run) -> float:
    """Return seconds from start to end."""
    return run.wall


def stated(run: Run) -> float:
    """Return seconds of the work itself."""
    return run.stated


def cpu(run: Run) -> float:
    """Return seconds of processor time."""
    return run.cpu


def run_once(command: Sequence[str | Path]) -> Run:
    """Run a command to its end, the processes that it leaves behind included.

    Raises
    ------
    RuntimeError
        With what it printed, if its exit status is not 0.
    """
    _adopt_orphans()
    gc.collect()
    written, begun = _written(), time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    with process.stdout as stdout:
        printed = stdout.read()
    seconds, seen, rss = 0.0, 0.0, 0
    with suppress(ChildProcessError):
        while True:
            pid, status, usage = os.wait4(-1, 0)
            seen += usage.ru_utime + usage.ru_stime
            rss = max(rss, usage.ru_maxrss * _RSS_UNIT)
            if pid == process.pid:
                seconds = time.perf_counter() - begun
                process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} ended with status {process.returncode}:\n{printed}")
    return Run(seconds, seen, rss, _written() - written, _stated(printed, seconds))


def _around(work: Work) -> Run:
    work.before()
    try:
        return run_once(work.command)
    finally:
        work.after()


def _stated(printed: str, seconds: float) -> float:
    last = printed.rstrip().rpartition("\n")[2]
    return float(last.removeprefix("seconds: ")) if last.startswith("seconds: ") else seconds


def _adopt_orphans() -> None:
    """Become the parent of grandchildren whose parent ends, so that they are counted too (Linux: prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _written() -> int:
    """Return the bytes that this process and its reaped children wrote (Linux: proc_pid_io(5))."""
    try:
        text = Path("/proc/self/io").read_text(encoding="ascii")
    except OSError:
        return 0
    return int(text.partition("\nwrite_bytes: ")[2].partition("\n")[0])
