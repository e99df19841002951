"""A real Dask cluster: a scheduler and three workers as processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ilsvrc
from ilsvrc.errors import MachineError, UsageError
from ilsvrc.readers.units import Unit
from ilsvrc.run.engines.address import opened
from ilsvrc.run.engines.dask import DaskEngine
from ilsvrc.testing.contracts import EngineContract
from tests.oracles import needs
from tests.run.engines.clusters import FORMATS, Dask, await_that, begun, command, contents, receipts, run


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dask]:
    needs("distributed", "psutil")
    dask = Dask(tmp_path_factory.mktemp("dask"))
    try:
        dask.start()
        yield dask
    finally:
        dask.stop()


@pytest.fixture(scope="module")
def client(cluster: Dask) -> Iterator[Any]:
    from distributed import Client

    with Client(f"tcp://127.0.0.1:{cluster.port}", set_as_default=False) as made:
        yield made


class TestDask(EngineContract):
    @pytest.fixture
    def engine(self, client: Any) -> DaskEngine:
        return DaskEngine(client)

    def test_it_has_the_places_of_its_workers_and_is_not_local(self, engine: DaskEngine) -> None:
        assert engine.workers == 3
        assert not engine.local
        pids = engine.answers(os.getpid)
        assert len(set(pids.values()) - {os.getpid()}) == 3


@pytest.mark.parametrize("kind", FORMATS)
def test_a_worker_is_killed_and_the_result_is_the_pools(
    kind: str, cluster: Dask, thousand: Path, tmp_path: Path, by_processes: dict[str, dict[str, str]]
) -> None:
    target = tmp_path / "made"
    with begun(command(thousand, target, kind, "--engine", cluster.address), target) as running:
        running.kill_a_worker()
        status, printed = running.end()
    assert status == 0, printed
    assert contents(target) == by_processes[kind]
    told = receipts(target)
    assert all(receipt["synced"] for receipt in told)
    units = [receipt["unit"] for receipt in told]
    assert len(units) == len(set(units)) > len(running.done)
    document = json.loads((target / ".ilsvrc/report.json").read_text())
    workers = document["splits"][0]["workers"]
    assert len(workers) >= 3
    assert sum(worker["images"] for worker in workers) == 3000
    assert not list((target / ".ilsvrc").glob("claim*"))


def test_a_driver_is_killed_and_begun_again_elsewhere(
    cluster: Dask, thousand: Path, tmp_path: Path, by_processes: dict[str, dict[str, str]]
) -> None:
    target = tmp_path / "made"
    with begun(command(thousand, target, "webdataset", "--engine", cluster.address), target) as running:
        running.process.send_signal(signal.SIGKILL)
        running.process.wait()
    before = [receipt["unit"] for receipt in receipts(target)]
    run(command(thousand, target, "webdataset", "--jobs", "2"))  # elsewhere: without the cluster
    assert contents(target) == by_processes["webdataset"]
    units = [receipt["unit"] for receipt in receipts(target)]
    assert units[: len(before)] == before
    assert len(units) == len(set(units))  # none was done again


def test_the_scheduler_is_killed_and_restarted(
    thousand: Path, tmp_path: Path, by_processes: dict[str, dict[str, str]]
) -> None:
    needs("distributed")
    target, dask = tmp_path / "made", Dask(tmp_path)
    words = command(thousand, target, "webdataset", "--engine", dask.address)
    try:
        dask.start(workers=2)
        with begun(words, target) as running:
            dask.processes[0].kill()
            status, printed = running.end()
        assert status == 3, printed
        assert "the Dask scheduler at" in printed
        assert "it resumes" in printed
        before = [receipt["unit"] for receipt in receipts(target)]
        dask.stop()
        dask.start(workers=2)
        run(words)
    finally:
        dask.stop()
    assert contents(target) == by_processes["webdataset"]
    units = [receipt["unit"] for receipt in receipts(target)]
    assert units[: len(before)] == before
    assert len(units) == len(set(units))


def test_a_client_its_executor_and_a_scheduler_file_name_the_cluster(
    client: Any, cluster: Dask, mini: Path, tmp_path: Path
) -> None:
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"address": client.scheduler.address}))  # what Dask reads of the file
    report = ilsvrc.prepare(mini, tmp_path / "pool", splits=["val"], jobs=1)
    for name, given in {"client": client, "executor": client.get_executor(), "file": f"dask:{file}"}.items():
        made = ilsvrc.prepare(mini, tmp_path / name, splits=["val"], engine=given)
        assert made.splits[0].images == report.splits[0].images
        assert contents(tmp_path / name) == contents(tmp_path / "pool")
    assert client.status == "running"  # it stays its owner's


def test_sources_and_targets_by_relative_paths_are_found_by_workers(
    cluster: Dask, mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(mini, tmp_path / "source")
    monkeypatch.chdir(tmp_path)
    assert ilsvrc.prepare("source", "made", splits=["val"], engine=cluster.address).ok


def test_repair_on_a_cluster(cluster: Dask, mini: Path, tmp_path: Path) -> None:
    target = tmp_path / "made"
    ilsvrc.prepare(mini, target, splits=["train"], engine=cluster.address)
    right = contents(target)
    image = next((target / "train").rglob("*.JPEG"))
    image.write_bytes(b"x" * image.stat().st_size)
    ilsvrc.prepare(mini, target, splits=["train"], engine=cluster.address, repair=True)
    assert contents(target) == right


@pytest.fixture(scope="module")
def lone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dask]:
    """A cluster of one worker, to which others are added."""
    needs("distributed")
    dask = Dask(tmp_path_factory.mktemp("lone"))
    try:
        dask.start(workers=1)
        yield dask
    finally:
        dask.stop()


@contextlib.contextmanager
def joined(dask: Dask, *around: str) -> Iterator[None]:
    """Add a worker that another program starts, for as long as the block lasts."""
    from distributed import Client

    dask.start_worker(*around)
    try:
        with Client(f"tcp://127.0.0.1:{dask.port}", set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
        yield
    finally:
        dask.stop_last()
        with Client(f"tcp://127.0.0.1:{dask.port}", set_as_default=False) as client:
            await_that(lambda: _workers(client) == 1, "the worker has left")


def _workers(client: Any) -> int:
    return len(client.scheduler_info(n_workers=-1)["workers"])


def _elsewhere(hidden: Path, script: str) -> list[str]:
    """Return the program around a worker in a mount namespace of its own, where a script changes a folder."""
    if subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode:
        pytest.skip("a namespace can't be mounted here")
    return ["unshare", "-m", "sh", "-ec", f'{script}\nexec "$@"', "sh", str(hidden)]


@pytest.mark.parametrize(
    ("hidden", "script", "fault"),
    [
        ("source", 'mount -t tmpfs none "$1"; shift', "does not see"),
        ("source", 'cp -r "$1" "$1.copy"; mount --bind "$1.copy" "$1"; shift', "another file"),
        ("target", 'mount -t tmpfs none "$1"; shift', "does not see"),
        ("target", 'mount -t tmpfs none "$1"; mkdir "$1/.ilsvrc"; shift', "another folder"),
        ("target", 'mount --bind "$1" "$1"; mount -o remount,ro,bind "$1"; shift', "can't write"),
    ],
)
def test_a_worker_that_sees_something_else_is_named_before_the_start(  # noqa: PLR0917
    hidden: str, script: str, fault: str, lone: Dask, mini: Path, tmp_path: Path
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    shutil.copytree(mini, source)
    (target / ".ilsvrc").mkdir(parents=True)
    with joined(lone, *_elsewhere(tmp_path / hidden, script)), pytest.raises(MachineError, match=fault) as refused:
        ilsvrc.prepare(source, target, engine=lone.address)
    assert refused.value.message.startswith("1 of 2 workers")
    assert f"{socket.gethostname()}:" in refused.value.message
    assert "tcp://127.0.0.1:" in refused.value.message  # its address in the cluster
    assert str(tmp_path / hidden) in refused.value.message
    assert [path.name for path in target.iterdir()] in ([".ilsvrc"], [])
    assert not list(target.rglob("token-*"))


def test_a_worker_without_ilsvrc_is_named(lone: Dask, mini: Path, tmp_path: Path) -> None:
    (tmp_path / "ilsvrc.py").write_text("raise ModuleNotFoundError(\"No module named 'ilsvrc'\", name='ilsvrc')\n")
    bare = joined(lone, "env", f"PYTHONPATH={tmp_path}")
    with bare, pytest.raises(MachineError, match="it has no ilsvrc: pip install"):
        ilsvrc.prepare(mini, tmp_path / "made", engine=lone.address)
    assert not (tmp_path / "made").exists()


def test_a_unit_that_kills_every_worker_ends_with_a_message(client: Any) -> None:
    engine = DaskEngine(client)
    (receipt,) = engine.run(_die, [Unit("u0", 0, 0, 0, 1, 0)])
    assert isinstance(receipt.error, MachineError)
    assert "u0" in receipt.error.message
    assert "Dask workers died" in receipt.error.message
    client.wait_for_workers(3, timeout=60)


def _die(unit: Unit) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_scheduler_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    needs("distributed")
    monkeypatch.setattr("ilsvrc.run.engines.dask.CONNECT", 0.5)
    refuses = pytest.raises(MachineError, match=r"no Dask scheduler answers at 127\.0\.0\.1:9")
    with refuses as refused, opened("dask://127.0.0.1:9"):
        pass
    assert "dask scheduler" in refused.value.hint
    with pytest.raises(UsageError, match="no scheduler file"), opened("dask:/nowhere/scheduler.json"):
        pass


@pytest.mark.parametrize(
    "place",
    ["//127.0.0.1", "//user:hunter2@127.0.0.1:9", "//127.0.0.1:99999", "//127.0.0.1:x", "//:9", "//127.0.0.1:9/x"],
)
def test_what_is_no_address_of_a_scheduler_is_refused_at_once(place: str) -> None:
    needs("distributed")
    with pytest.raises(UsageError, match="no address of a scheduler") as refused, opened(f"dask:{place}"):
        pass
    assert "dask://HOST:PORT" in refused.value.hint
    assert "hunter2" not in refused.value.message + refused.value.hint


@pytest.mark.parametrize("text", ["", "garbage", "[]", "{}", '{"address": 1}'])
def test_a_file_that_names_no_scheduler_is_refused(text: str, tmp_path: Path) -> None:
    needs("distributed")
    (tmp_path / "scheduler.json").write_text(text)
    refuses = pytest.raises(UsageError, match="no scheduler file")
    with refuses, opened(f"dask:{tmp_path / 'scheduler.json'}"):
        pass


def test_a_cluster_without_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("distributed")
    monkeypatch.setattr("ilsvrc.run.engines.dask.WORKERS", 0.2)
    dask = Dask(tmp_path)
    try:
        dask.start(workers=0)
        with pytest.raises(MachineError, match="has no workers"), opened(dask.address):
            pass
    finally:
        dask.stop()
