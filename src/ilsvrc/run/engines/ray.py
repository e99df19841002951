"""A Ray cluster: https://docs.ray.io."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any

from ilsvrc.errors import IlsvrcError, MachineError, MissingExtraError
from ilsvrc.run.engine import PoolEngine, result_of


class RayExecutor(Executor):
    """Runs each call as a task of the Ray cluster that this process is connected to.

    A task whose worker or node died is done again by Ray itself, three times at most (`max_retries` of its tasks).
    """

    def __init__(self) -> None:
        import ray

        self._remote = ray.remote(_call)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Start a task and return its future."""
        future: Future[Any] = self._remote.remote(fn, *args, **kwargs).future()
        return future

    def on_node(self, node: str, fn: Callable[[], Any]) -> Future[Any]:
        """Start a task on this node, without waiting for a free processor."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
        future: Future[Any] = self._remote.options(num_cpus=0, scheduling_strategy=here).remote(fn).future()
        return future


def _call(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Do the work of a task, in a worker."""
    return fn(*args, **kwargs)


class RayEngine(PoolEngine):
    """Runs units on the Ray cluster that this process is connected to.

    Parameters
    ----------
    jobs
        Units at once; None for one per processor that the cluster has now.
    """

    def __init__(self, jobs: int | None = None) -> None:
        import ray

        self._ray, self._tasks = ray, RayExecutor()
        places = int(ray.cluster_resources().get("CPU", 0))
        if not places:
            hint = "start a node with some: ray start --address=HEAD:6379 --num-cpus=N"
            raise MachineError("the Ray cluster has no processors", hint=hint)
        super().__init__(self._tasks, jobs or places, local=False)

    def answers(self, question: Callable[[], Any]) -> dict[str, Any]:
        """Call a function on every node that has processors; return by node its result, or what was raised."""
        nodes = [node for node in self._ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        asked = {node["NodeManagerAddress"]: self._tasks.on_node(node["NodeID"], question) for node in nodes}
        return {node: result_of(future) for node, future in asked.items()}

    def explained(self, unit: str, error: BaseException) -> IlsvrcError | None:
        """Return an error of Ray's own in the words of ilsvrc; None for any other error."""
        kinds = self._ray.exceptions
        if isinstance(error, kinds.RayTaskError):
            return None
        if isinstance(error, (kinds.RayError, ConnectionError)):
            hint = "see `ray status` and the logs of its nodes; the same command resumes"
            return MachineError(f"{unit}: Ray lost it: {type(error).__name__}: {_said(error)}", hint=hint)
        return super().explained(unit, error)


@contextmanager
def connected(address: str | None, jobs: int | None) -> Iterator[RayEngine]:
    """Yield the engine of a cluster.

    Parameters
    ----------
    address
        `ray://HOST:PORT` of its head; None for the cluster that RAY_ADDRESS names, the one that was started on this
        machine, or a new one of this machine alone, as Ray itself decides.
    jobs
        See `RayEngine`.

    Raises
    ------
    MissingExtraError
        If the package ray is not installed.
    MachineError
        If the cluster can't be reached.
    """
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else Ray warns at every task without a GPU
    try:
        import ray
    except ImportError:
        raise MissingExtraError("ray", "ray") from None
    begun_here = not ray.is_initialized()
    if begun_here:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of a head that is not there: the error says so
                ray.init(address, logging_level=logging.ERROR, log_to_driver=False, include_dashboard=None)
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            where = address or os.environ.get("RAY_ADDRESS") or "this machine"
            detail = f"no Ray cluster answers at {where}: {_said(error)}"
            raise MachineError(detail, hint="start one: ray start --head --ray-client-server-port=10001") from error
    try:
        yield RayEngine(jobs)
    finally:
        if begun_here:
            ray.shutdown()


def _said(error: BaseException) -> str:
    """Return the first and the last line of an error: Ray puts a traceback between them."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(dict.fromkeys([*lines[:1], *lines[-1:]]))
