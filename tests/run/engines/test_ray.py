"""A real Ray cluster on this machine: its head with three processors, and the server for remote drivers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ilsvrc.run.engines.address import opened
from ilsvrc.run.engines.ray import RayEngine
from ilsvrc.testing.contracts import EngineContract
from tests.oracles import needs
from tests.run.engines.clusters import FORMATS, begun, command, contents, free_port, kill_all, receipts, run

pytestmark = pytest.mark.slow  # minutes, and Ray's server for remote drivers does not start on a busy machine

SOCKETS = "/tmp/ilsvrc-ray"
"""Ray's own folder: paths of sockets have at most 107 bytes, so it can't be pytest's."""


@dataclass(frozen=True)
class Cluster:
    """A head.

    address : for drivers on this machine
    client : for remote ones
    """

    address: str
    client: str


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    needs("ray", "psutil")
    os.environ["RAY_AUTH_MODE"] = "disabled"  # else Ray writes a token into the user's home folder
    port, client = free_port(), free_port()
    words = [Path(sys.executable).with_name("ray"), "start", "--head", "--block", f"--port={port}", "--num-cpus=3"]
    words += [f"--ray-client-server-port={client}", "--include-dashboard=false", "--disable-usage-stats"]
    words += ["--node-ip-address=127.0.0.1", f"--temp-dir={SOCKETS}-{os.getpid()}", "--object-store-memory=100000000"]
    with subprocess.Popen([*map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as head:
        assert head.stdout is not None
        printed = ""
        while "--block" not in printed and (line := head.stdout.readline()):
            printed += line
        found = re.search(r"--address='([^']+)'", printed)
        assert found, printed
        try:
            yield Cluster(found[1], f"ray://127.0.0.1:{client}")
        finally:
            kill_all([head])  # by itself it would drain for half a minute
            del os.environ["RAY_AUTH_MODE"]


@pytest.fixture(scope="module")
def engine(cluster: Cluster) -> Iterator[RayEngine]:
    os.environ["RAY_ADDRESS"] = cluster.address
    try:
        with opened("ray") as made:
            assert isinstance(made, RayEngine)
            yield made
    finally:
        del os.environ["RAY_ADDRESS"]


class TestRay(EngineContract):
    """The contract, in Ray's own workers."""


def test_it_has_the_places_of_its_nodes_and_is_not_local(engine: RayEngine) -> None:
    assert engine.workers == 3
    assert not engine.local
    (pid,) = engine.answers(os.getpid).values()  # of the one node
    assert pid != os.getpid()


@pytest.mark.parametrize("kind", FORMATS)
def test_a_worker_is_killed_and_the_result_is_the_pools(
    kind: str, cluster: Cluster, thousand: Path, tmp_path: Path, by_processes: dict[str, dict[str, str]]
) -> None:
    target = tmp_path / "made"
    with begun(command(thousand, target, kind, "--engine", cluster.client), target) as running:
        running.kill_a_worker()
        status, printed = running.end()
    assert status == 0, printed
    assert contents(target) == by_processes[kind]
    told = receipts(target)
    assert all(receipt["synced"] for receipt in told)
    units = [receipt["unit"] for receipt in told]
    assert len(units) == len(set(units)) > len(running.done)
    document = json.loads((target / ".ilsvrc/report.json").read_text())
    assert sum(worker["images"] for worker in document["splits"][0]["workers"]) == 3000


def test_a_driver_is_killed_and_begun_again_elsewhere(
    cluster: Cluster, thousand: Path, tmp_path: Path, by_processes: dict[str, dict[str, str]]
) -> None:
    target = tmp_path / "made"
    with begun(command(thousand, target, "webdataset", "--engine", cluster.client), target) as running:
        running.process.kill()
        running.process.wait()
    before = [receipt["unit"] for receipt in receipts(target)]
    run(command(thousand, target, "webdataset", "--jobs", "2"))
    assert contents(target) == by_processes["webdataset"]
    units = [receipt["unit"] for receipt in receipts(target)]
    assert units[: len(before)] == before
    assert len(units) == len(set(units))


def test_a_head_that_is_not_there(tmp_path: Path) -> None:
    needs("ray")
    program = """
from ilsvrc.errors import MachineError
from ilsvrc.run.engines.address import opened
try:
    with opened("ray://127.0.0.1:9"):
        pass
except MachineError as error:
    print(error.message, "|", error.hint)
"""
    environment = {**os.environ, "RAY_CLIENT_RECONNECT_GRACE_PERIOD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environment
    )
    assert "no Ray cluster answers at ray://127.0.0.1:9" in done.stdout, done.stdout + done.stderr
    assert "Warning" not in done.stderr
    assert "ray start --head" in done.stdout
