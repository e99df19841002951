"""The ranks of an MPI job, as `srun` and `mpiexec` start them: https://mpi4py.readthedocs.io.

Every rank runs the same command. Rank 0 drives; the others serve it until it is done. A lost rank ends the whole job,
as MPI jobs do: the same job, started again, resumes.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from ilsvrc.errors import MissingExtraError, UsageError
from ilsvrc.imports import hide_pandas
from ilsvrc.run.engine import P, PoolEngine
from ilsvrc.sinks.base import Receipt

POLL = 0.02
"""Seconds between two looks for a message: a rank that waited inside MPI would keep a processor busy."""

_BEGIN, _END = "begin", "end"
"""Messages to a rank: take units, or leave. Any other message is a question."""


class MpiEngine(PoolEngine):
    """Runs units on all ranks of a communicator but rank 0, which makes the engine; the others must `serve`.

    Parameters
    ----------
    world
        The communicator, of mpi4py.
    jobs
        Units at once; None for one per rank.
    """

    def __init__(self, world: Any, jobs: int | None = None) -> None:
        super().__init__(self._begin, jobs or world.size - 1, local=False)
        self._world, self._units = world, _units_of(world)
        self._begun = False

    def run(self, task: Callable[[P], Receipt], units: Iterable[P]) -> Generator[Receipt, None, None]:
        """Yield a receipt for each unit."""
        if not self._begun:
            self._executor = self._begin()
        return super().run(task, units)

    def answers(self, question: Callable[[], Any]) -> dict[str, Any]:
        """Call a function on every rank but 0, before the first run; return its results, or what was raised."""
        self._tell(question)
        return {f"rank {rank}": _received(self._world, rank) for rank in range(1, self._world.size)}

    def close(self) -> None:
        """Let the ranks leave, once they have ended the units that they are at."""
        if self._begun:
            self._executor.shutdown(wait=True, cancel_futures=True)  # type: ignore[union-attr]
        else:
            self._tell(_END)

    def _begin(self) -> Any:
        self._begun = True
        self._tell(_BEGIN)
        return self._units.__enter__()

    def _tell(self, message: object) -> None:
        for rank in range(1, self._world.size):
            self._world.send(message, rank)


def is_worker() -> bool:
    """Whether this process is a rank that serves: any but rank 0.

    Raises
    ------
    MissingExtraError
        If the package mpi4py is not installed.
    """
    return bool(_world().rank)


def serve() -> None:
    """Answer the questions of rank 0, then do its units, until it is done: for all other ranks."""
    hide_pandas()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver answers the terminal
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    world = _world()
    while (message := _received(world, 0)) not in (_BEGIN, _END):
        world.send(_answer(message), 0)
    if message == _BEGIN:
        with _units_of(world):
            pass  # entering does the units


@contextmanager
def driving(jobs: int | None) -> Iterator[MpiEngine]:
    """Yield the engine of the job that this process is rank 0 of.

    Raises
    ------
    MissingExtraError
        If the package mpi4py is not installed.
    UsageError
        In any other rank, or if there is none.
    """
    world = _world()
    if world.rank:
        hint = "hand over the executor of mpi4py.futures.MPICommExecutor; see docs/how-to/slurm.md"
        raise UsageError("the engine mpi drives from rank 0, and this is another rank", hint=hint)
    if world.size == 1:
        hint = "start it by MPI: mpiexec -n 4 ilsvrc prepare SRC DST --engine mpi; or by srun, with --mpi=pmix"
        raise UsageError("the engine mpi needs 2 ranks or more, and this job has 1", hint=hint)
    engine = MpiEngine(world, jobs)
    try:
        yield engine
    finally:
        engine.close()


def _world() -> Any:
    try:
        from mpi4py import MPI
    except ImportError:
        raise MissingExtraError("mpi4py with an MPI library", "mpi") from None
    return MPI.COMM_WORLD


def _units_of(world: Any) -> Any:
    """Return the context that makes rank 0 an executor, and has the other ranks work for it."""
    from mpi4py.futures import MPICommExecutor

    return MPICommExecutor(world, root=0)


def _received(world: Any, rank: int) -> Any:
    """Return the next message of a rank, without keeping a processor busy."""
    while not world.Iprobe(source=rank):
        time.sleep(POLL)
    return world.recv(source=rank)


def _answer(question: Callable[[], Any]) -> Any:
    """Return the result of a function, or the exception that it raised."""
    try:
        return question()
    except Exception as error:
        return error
