"""A Dask cluster: https://distributed.dask.org."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future, InvalidStateError
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ilsvrc.errors import IlsvrcError, MachineError, MissingExtraError, UsageError
from ilsvrc.run.engine import PoolEngine

CONNECT = 30.0
"""Seconds that a scheduler may take to answer."""

WORKERS = 60.0
"""Seconds that the first worker may take to come."""


class DaskExecutor(Executor):
    """Runs each call as a task of a Dask cluster.

    Dask has such an executor (`Client.get_executor`), whose futures never end where the scheduler is lost while a
    result is fetched (cfexecutor.py, `_cascade_future`, of version 2026.8).

    Parameters
    ----------
    client
        A `distributed.Client`.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Start a task and return its future."""
        task, future = self._client.submit(fn, *args, pure=False, **kwargs), Future[Any]()
        task.add_done_callback(partial(_settle, future))
        future.add_done_callback(lambda future: task.cancel() if future.cancelled() else None)
        return future


def _settle(future: Future[Any], task: Any) -> None:
    """Give a future the result of a task that is over, or its exception; in a thread of Dask's."""
    try:
        result = task.result()
    except BaseException as error:
        outcome: Callable[[], None] = partial(future.set_exception, error)
    else:
        outcome = partial(future.set_result, result)
    with suppress(InvalidStateError):  # it was cancelled
        outcome()


class DaskEngine(PoolEngine):
    """Runs units on the workers of a Dask cluster.

    A unit whose worker died is done again elsewhere by Dask itself, as often as its setting
    `distributed.scheduler.allowed-failures` says.

    Parameters
    ----------
    client
        A `distributed.Client`, which stays its owner's.
    jobs
        Units at once; None for one per thread of the workers that are there now.

    Raises
    ------
    MachineError
        If no worker comes.
    """

    def __init__(self, client: Any, jobs: int | None = None) -> None:
        self._client = client
        try:
            client.wait_for_workers(1, timeout=WORKERS)
        except TimeoutError:
            detail = f"the Dask cluster at {_name(client)} has no workers"
            raise MachineError(detail, hint=f"start some: dask worker {_name(client)}") from None
        super().__init__(DaskExecutor(client), jobs or sum(client.nthreads().values()), local=False)

    def answers(self, question: Callable[[], Any]) -> dict[str, Any]:
        """Call a function on every worker; return by worker its result, or the exception that came instead."""
        return dict(self._client.run(question, on_error="return"))

    def explained(self, unit: str, error: BaseException) -> IlsvrcError | None:
        """Return an error of Dask's own in the words of ilsvrc; None for any other error."""
        from distributed import KilledWorker

        if isinstance(error, KilledWorker):
            detail = f"{unit}: {error.allowed_failures + 1} Dask workers died while they did it"
            hint = "they may have run out of memory: see their logs, give them more; the same command resumes"
            return MachineError(detail, hint=hint)
        lost = isinstance(error, (CancelledError, asyncio.CancelledError, OSError))  # a task returns its own OSErrors
        if lost or self._client.status != "running":
            detail = f"the Dask scheduler at {_name(self._client)} was lost while {unit} was done"
            return MachineError(detail, hint="start it and its workers again, then run the same command: it resumes")
        return super().explained(unit, error)


@contextmanager
def connected(place: str, jobs: int | None) -> Iterator[DaskEngine]:
    """Yield the engine of a cluster: `//HOST:PORT` of its scheduler, or the file that the scheduler wrote.

    Raises
    ------
    MissingExtraError
        If the package distributed is not installed.
    UsageError
        If the address is not HOST:PORT, or there is no such file.
    MachineError
        If the scheduler does not answer.
    """
    try:
        from distributed import Client
    except ImportError:
        raise MissingExtraError("distributed", "dask") from None
    where = {"address": _address(place)} if place.startswith("//") else {"scheduler_file": _file(place)}
    with _quiet():
        try:
            client: Any = Client(**where, timeout=CONNECT, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            detail = f"no Dask scheduler answers at {place.removeprefix('//')}: {error}"
            hint = "start one: dask scheduler; then workers: dask worker HOST:PORT"
            raise MachineError(detail, hint=hint) from error
        try:
            yield DaskEngine(client, jobs)
        finally:
            with suppress(Exception):  # the work is done, or has failed for a better reason
                client.close(timeout=5)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask from printing what ilsvrc says in its own words, such as the traceback of a lost connection."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client", "tornado.application")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def client_of(given: Any) -> Any:
    """Return the client of a Dask executor, or a client itself."""
    return getattr(given, "_client", given)


def _address(place: str) -> str:
    """Return Dask's address of `//HOST:PORT`; refuse what is none, for which Dask takes minutes and a traceback."""
    try:
        parts = urlsplit(place)
        sound = parts.hostname and parts.port and "@" not in parts.netloc and parts.path in ("", "/")
    except ValueError:
        sound = False
    if not sound:
        hint = "write dask://HOST:PORT, as the scheduler says when it starts, without a name or a password"
        raise UsageError("what follows dask: is no address of a scheduler", hint=hint)
    return f"tcp://{parts.netloc}"


def _file(text: str) -> str:
    path = Path(text).expanduser()
    try:
        names_address = isinstance(json.loads(path.read_bytes())["address"], str)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        names_address = False
    if not names_address:
        hint = "give the file that `dask scheduler --scheduler-file FILE` writes, on a disk that this machine sees"
        raise UsageError(f"{path} is no scheduler file", hint=hint)
    return str(path)


def _name(client: Any) -> str:
    return str(client.scheduler.address if client.scheduler else "?").removeprefix("tcp://")
