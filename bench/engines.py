"""Prepare resized shards on engines of two workers each, against the process pool of two.

Clusters stand before the first run, as they do for users; the time is that of the whole program, its connection to
the cluster included. Workers of clusters sync each shard where they wrote it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

from bench.command import run
from bench.data import DATA, ILSVRC, miniature, warm
from bench.harness import Command, Work, measure, ratio, wall
from bench.table import Row

SIZE = ("--size", 5e8, "bytes of the archive")
TREES = DATA / "engine-trees"
WORKERS = 2
MPIEXEC = ("mpiexec", "--allow-run-as-root", "--oversubscribe", "-n", str(WORKERS + 1))
"""One rank drives."""

MOST = 1.1


def rows(size: float, runs: int) -> list[Row]:
    """Return the lines of the table about an archive of so many bytes."""
    archive = miniature(size)
    warm(archive)
    shutil.rmtree(TREES, ignore_errors=True)
    TREES.mkdir(parents=True)
    numbers = count()
    pool = f"{WORKERS} processes"
    try:
        with dask() as scheduler, ray() as head:
            works = [
                Work(pool, partial(_prepare, archive, numbers, "--jobs", str(WORKERS))),
                Work("Dask", partial(_prepare, archive, numbers, "--engine", scheduler)),
                Work("Ray", partial(_on_ray, archive, numbers, head)),
                Work("MPI", partial(_on_mpi, archive, numbers)),
            ]
            rounds = measure(works, runs)
    finally:
        shutil.rmtree(TREES, ignore_errors=True)
    return [
        Row(
            f"prepare --resize 256, {work.name}: time", pool, ratio(rounds[work.name], rounds[pool], wall), runs, MOST
        )
        for work in works[1:]
    ]


def _prepare(archive: Path, numbers: Iterator[int], *more: str) -> Command:
    target = TREES / str(next(numbers))
    made = ("--format", "webdataset", "--resize", "256", "--shard-images", "100")
    return (*ILSVRC, "prepare", archive, target, *made, *more)


def _on_ray(archive: Path, numbers: Iterator[int], head: str) -> Command:
    return ("env", f"RAY_ADDRESS={head}", *_prepare(archive, numbers, "--engine", "ray"))


def _on_mpi(archive: Path, numbers: Iterator[int]) -> Command:
    return (*MPIEXEC, *_prepare(archive, numbers, "--engine", "mpi"))


@contextlib.contextmanager
def dask() -> Iterator[str]:
    """Start a Dask cluster on this machine; yield its address."""
    file = DATA / f"scheduler-{os.getpid()}.json"
    program = [sys.executable, "-m", "dask"]
    options = ["--scheduler-file", file, "--no-dashboard"]
    commands = [[*program, "scheduler", "--host", "127.0.0.1", "--port", "0", *options]]
    commands += [[*program, "worker", "--nthreads", "1", *options]] * WORKERS
    with contextlib.ExitStack() as stack:
        stack.callback(file.unlink, missing_ok=True)
        for command in commands:
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            process = stack.enter_context(subprocess.Popen([*map(str, command)], **quiet))  # type: ignore[call-overload]
            stack.callback(process.terminate)
            while not file.exists():
                time.sleep(0.1)
        _await_dask_workers(file)
        yield f"dask:{file}"


def _await_dask_workers(file: Path) -> None:
    from distributed import Client

    with Client(scheduler_file=str(file), set_as_default=False) as client:
        client.wait_for_workers(WORKERS, timeout=60)


@contextlib.contextmanager
def ray() -> Iterator[str]:
    """Start a Ray cluster on this machine; yield its address."""
    program = Path(sys.executable).with_name("ray")
    words = [program, "start", "--head", "--block", "--port=0", f"--num-cpus={WORKERS}", "--include-dashboard=false"]
    words += ["--disable-usage-stats", f"--temp-dir=/tmp/bench-ray-{os.getpid()}"]  # paths of sockets are short
    os.environ["RAY_AUTH_MODE"] = "disabled"
    with subprocess.Popen([*map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as head:
        assert head.stdout is not None
        found = None
        while found is None and (line := head.stdout.readline()):
            found = re.search(r"--address='([^']+)'", line)
        if found is None:
            raise SystemExit("no Ray cluster started: pip install 'ilsvrc[ray]'")
        try:
            yield found[1]
        finally:
            _kill(head.pid)


def _kill(head: int) -> None:
    """End a head and its processes at once: by itself it would drain for half a minute."""
    import psutil

    for process in [*psutil.Process(head).children(recursive=True), psutil.Process(head)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


if __name__ == "__main__":
    run(__doc__, SIZE, rows, runs=3)
