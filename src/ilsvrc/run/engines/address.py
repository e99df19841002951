"""The engine that a user names: by text, by a client of a cluster, by any executor."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from ilsvrc.errors import UsageError
from ilsvrc.run.engine import Engine, PoolEngine, process_engine, refuse_jobs, refuse_rerun_script

PROCESSES = "processes"
MPI = "mpi"
FORMS = (PROCESSES, "dask://HOST:PORT", "dask:SCHEDULER_FILE", "ray", "ray://HOST:PORT", MPI)
"""The texts that name an engine."""


@runtime_checkable
class Client(Protocol):
    """A client of a Dask cluster (`distributed.Client`), as far as it is recognised by."""

    def get_executor(self, **options: Any) -> Executor:
        """Return an executor."""

    def scheduler_info(self, *words: Any, **options: Any) -> Any:
        """Return what the scheduler knows of its workers."""


Given = Engine | Executor | Client | str | None
"""What a caller may name an engine by."""


@contextmanager
def opened(given: Given, jobs: int | None = None) -> Iterator[Engine]:
    """Yield the engine that is named; a connection that is made for it is closed at the end.

    Parameters
    ----------
    given
        A text of one of the `FORMS`, an Engine, a Dask client, or any Executor; what is no text stays its owner's.
        None for processes.
    jobs
        Units to work on at once: processes, or places of a cluster. None for one per processor
        (none for small work), or all places.

    Raises
    ------
    UsageError
        If the text names no engine.
    MissingExtraError
        If the library of a cluster is not installed.
    MachineError
        If the cluster can't be reached, or has no workers.
    """
    refuse_jobs(jobs)
    refuse_rerun_script()
    if isinstance(given, str) and given != PROCESSES:
        with _connected(given, jobs) as engine:
            yield engine
    elif given is None or isinstance(given, str):
        yield process_engine(jobs)
    elif isinstance(given, (Executor, Client)):
        yield _of_owner(given, jobs)
    else:
        yield given


@contextmanager
def _connected(text: str, jobs: int | None) -> Iterator[Engine]:
    """Yield the engine of a cluster that a text names."""
    kind, _, rest = text.partition(":")
    if kind == "dask" and rest.strip("/"):
        from ilsvrc.run.engines.dask import connected as connected_to_dask

        with connected_to_dask(rest, jobs) as engine:
            yield engine
    elif text == "ray" or (kind == "ray" and rest.startswith("//") and rest.strip("/")):
        from ilsvrc.run.engines.ray import connected as connected_to_ray

        with connected_to_ray(text if rest else None, jobs) as engine:
            yield engine
    elif text == MPI:
        from ilsvrc.run.engines.mpi import driving

        with driving(jobs) as engine:
            yield engine
    else:
        raise UsageError(f"there is no engine {text!r}", hint=f"use one of {', '.join(FORMS)}")


def _of_owner(given: Executor | Client, jobs: int | None) -> Engine:
    """Return the engine of an executor or a client that a caller made."""
    if type(given).__module__.startswith("distributed."):
        from ilsvrc.run.engines.dask import DaskEngine, client_of

        return DaskEngine(client_of(given), jobs)
    if isinstance(given, Executor):
        return PoolEngine(given, jobs)
    return PoolEngine(given.get_executor(), jobs, local=False)
