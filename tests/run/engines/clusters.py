"""Clusters of real processes on this machine, runs of the program on them, and targets compared byte for byte."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FORMATS = {"folders": (), "webdataset": ("--format", "webdataset", "--shard-images", "50")}
"""The options of each target that is compared; all images are made anew."""

NOT_COMPARED = {"report.json", "journal.jsonl", "lock"}
"""Files in a target that say who did the work, and when."""


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def command(source: Path, target: Path, kind: str, *more: str) -> list[str]:
    """Return the command that prepares the train split in a format."""
    words = ["prepare", source, target, "--split", "train", "--resize", "48", *FORMATS[kind], *more]
    return [sys.executable, "-m", "ilsvrc", *map(str, words)]


def run(words: Sequence[str], status: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, and require its exit status and no traceback."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == status, f"{words}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def contents(target: Path) -> dict[str, str]:
    """Return the digest of every file in a target that every run must make alike."""
    files = [path for path in target.rglob("*") if path.is_file() and path.name not in NOT_COMPARED]
    return {str(path.relative_to(target)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def receipts(target: Path) -> list[dict[str, object]]:
    """Return the receipts in a target's journal."""
    try:
        lines = (target / ".ilsvrc/journal.jsonl").read_text().splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        with contextlib.suppress(ValueError):  # the last one may be in the making
            found.append(json.loads(line))
    return [line for line in found if "unit" in line]


def await_that(condition: Callable[[], object], what: str) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.005)


@dataclass
class Begun:
    """A run of the program that was begun and is in the middle of its work.

    process : the program
    target : what it writes
    done : receipts that it had when it was looked at
    """

    process: subprocess.Popen[str]
    target: Path
    done: list[dict[str, object]]

    def kill_a_worker(self) -> None:
        """Kill the worker that did the first unit; it is this machine's, and at work again."""
        host, _, pid = str(self.done[0]["worker"]).rpartition(":")
        assert host == socket.gethostname()
        os.kill(int(pid), signal.SIGKILL)

    def end(self) -> tuple[int, str]:
        """Wait for its end; return exit status and what it printed on standard error."""
        _, printed = self.process.communicate(timeout=300)
        assert "Traceback" not in printed, printed
        return self.process.returncode, printed


@contextlib.contextmanager
def begun(words: Sequence[str], target: Path) -> Iterator[Begun]:
    """Start a run and wait until some of its units are done, and most are not."""
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        await_that(lambda: receipts(target) or process.poll() is not None, "the first receipt")
        assert process.poll() is None, process.communicate()
        yield Begun(process, target, receipts(target))
    finally:
        process.kill()
        process.communicate()


@dataclass
class Dask:
    """A scheduler and workers, each a process of its own.

    folder : gets their logs
    port : the scheduler's
    """

    folder: Path
    port: int = field(default_factory=free_port)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        """The address that the program takes."""
        return f"dask://127.0.0.1:{self.port}"

    def start(self, workers: int = 3) -> None:
        """Start the scheduler and workers; wait until all have come."""
        from distributed import Client

        self.start_process("scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard")
        for _ in range(workers):
            self.start_worker()
        with Client(f"tcp://127.0.0.1:{self.port}", timeout=120, set_as_default=False) as client:
            if workers:
                client.wait_for_workers(workers, timeout=120)

    def start_worker(self, *around: str, name: str = "") -> None:
        """Start a worker, by another program around it if one is given."""
        words = (
            "worker",
            f"tcp://127.0.0.1:{self.port}",
            "--nthreads",
            "1",
            "--no-dashboard",
            "--death-timeout",
            "60",
        )
        self.start_process(*words, *(("--name", name) if name else ()), around=around)

    def start_process(self, *words: str, around: Sequence[str] = ()) -> None:
        """Start `dask` with these words."""
        program = [*around, sys.executable, "-m", "dask", *words]
        log = (self.folder / f"dask-{len(self.processes)}.log").open("wb")
        path = os.pathsep.join([str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path}  # workers import the tests' own tasks
        with log:
            self.processes.append(subprocess.Popen(program, stdout=log, stderr=log, cwd=self.folder, env=environment))

    def stop_last(self) -> None:
        """End the process that was started last."""
        kill_all([self.processes.pop()])

    def stop(self) -> None:
        """End all of them."""
        kill_all(self.processes)
        self.processes.clear()


def kill_all(processes: Sequence[subprocess.Popen[Any]]) -> None:
    """Kill processes and those that they started, at once: left to themselves, clusters take half a minute to end."""
    import psutil

    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
        process.wait(60)
