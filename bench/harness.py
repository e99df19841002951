"""Run commands in turn and compare them by what the system says they took."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_RUNNER = Path(__file__).with_name("runner.py")


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


Command = Sequence[str | Path]


@dataclass(frozen=True, slots=True)
class Work:
    """A command to be measured.

    name : for messages
    command : program and arguments, or a function that returns them anew for every run; a last line `seconds: 1.25`
        of its output gives `Run.stated`
    before, after : what is done around every run, not timed: the same state for each, and nothing left behind
    """

    name: str
    command: Command | Callable[[], Command]
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


def run_once(command: Command) -> Run:
    """Run a command to its end, the processes that it leaves behind included.

    Raises
    ------
    RuntimeError
        With what it printed, if its exit status is not 0.
    """
    done = subprocess.run([sys.executable, _RUNNER, *command], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    if found["status"]:
        raise RuntimeError(f"{command} ended with status {found['status']}:\n{found['printed']}")
    seconds = _stated(found["printed"], found["wall"])
    return Run(found["wall"], found["cpu"], found["rss"], found["written"], seconds)


def _around(work: Work) -> Run:
    work.before()
    try:
        return run_once(work.command() if callable(work.command) else work.command)
    finally:
        work.after()


def _stated(printed: str, seconds: float) -> float:
    last = printed.rstrip().rpartition("\n")[2]
    return float(last.removeprefix("seconds: ")) if last.startswith("seconds: ") else seconds
