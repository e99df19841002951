"""Texts, clients and executors that name an engine; packages that are missing."""

from __future__ import annotations

import sys
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import pytest

from ilsvrc.errors import MissingExtraError, UsageError
from ilsvrc.run.engine import PoolEngine, SerialEngine
from ilsvrc.run.engines.address import opened


@pytest.mark.parametrize("given", [None, "processes"])
def test_processes_are_the_default(given: str | None) -> None:
    with opened(given, 1) as engine:
        assert isinstance(engine, SerialEngine)
    with opened(given, 3) as engine:
        assert isinstance(engine, PoolEngine)
        assert (engine.workers, engine.local) == (3, True)


@pytest.mark.parametrize(
    "text", ["", "dask", "dask:", "dask://", "ray:", "ray://", "raye", "spark://host", "mpi:4", "Dask://h:1"]
)
def test_any_other_text_is_refused_with_those_that_there_are(text: str) -> None:
    with pytest.raises(UsageError, match="there is no engine") as refused, opened(text):
        pass
    assert "dask://HOST:PORT" in refused.value.hint
    assert "mpi" in refused.value.hint


@pytest.mark.parametrize(
    ("text", "package", "extra"),
    [("dask://127.0.0.1:9", "distributed", "dask"), ("ray", "ray", "ray"), ("mpi", "mpi4py", "mpi")],
)
def test_a_missing_package_names_the_line_that_installs_it(
    text: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=package) as refused, opened(text):
        pass
    assert refused.value.hint == f"pip install 'ilsvrc[{extra}]'"


def test_an_executor_and_an_engine_stay_their_owners() -> None:
    with ThreadPoolExecutor(2) as executor:
        with opened(executor) as engine:
            assert isinstance(engine, PoolEngine)
            assert engine.workers == 2
        with opened(engine) as same:
            assert same is engine
        assert executor.submit(len, "ab").result() == 2


def test_a_client_of_another_library_is_taken_by_its_executor() -> None:
    class Client:
        """Looks like `distributed.Client`."""

        def __init__(self) -> None:
            self.executor = ThreadPoolExecutor(1)

        def get_executor(self, **options: Any) -> Executor:
            return self.executor

        def scheduler_info(self, *words: Any, **options: Any) -> Any:
            return {}

    with opened(Client()) as engine:
        assert isinstance(engine, PoolEngine)
        assert not engine.local


def test_no_jobs_are_refused() -> None:
    with pytest.raises(UsageError, match="0 jobs"), opened(None, 0):
        pass
