"""The pages about clusters: commands, job scripts and manifests, run with real clusters of this machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import DOCS
from tests.oracles import needs
from tests.run.engines.clusters import await_that, contents, free_port, kill_all
from tests.run.engines.test_mpi import mpiexec

PAGES = DOCS / "how-to"


def blocks(page: str, language: str) -> list[str]:
    """Return the blocks of a page in a language."""
    text = (PAGES / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[str]:
    """Return the commands that a page shows in console blocks, in their order."""
    return [line[2:] for block in blocks(page, "console") for line in block.splitlines() if line.startswith("$ ")]


@pytest.fixture(scope="module")
def pool(mini: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What worker processes make of the miniature, as the pages ask for it."""
    target = tmp_path_factory.mktemp("pool") / "small"
    run(f"ilsvrc prepare {mini} {target} --format webdataset --resize 256", target.parent)
    return contents(target)


@pytest.fixture
def data(mini: Path, tmp_path: Path) -> Path:
    """A folder to stand for /data."""
    shutil.copytree(mini, tmp_path / "data/archives")
    return tmp_path / "data"


class Background:
    """Processes that a page starts and leaves running."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[Any]] = []

    def start(self, command: str) -> None:
        """Start a command."""
        log = (self.folder / f"background-{len(self.processes)}.log").open("wb")
        with log:
            words = ["bash", "-c", f"exec {command}"]
            self.processes.append(subprocess.Popen(words, stdout=log, stderr=log, env=environment(), cwd=self.folder))


@pytest.fixture
def background(tmp_path: Path) -> Iterator[Background]:
    needs("distributed", "psutil")
    made = Background(tmp_path)
    try:
        yield made
    finally:
        kill_all(made.processes)


def environment(**more: str) -> dict[str, str]:
    """Return an environment in which programs of this Python are found, and MPI starts ranks as root."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ranks = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return {**os.environ, "PATH": path, **ranks, "OMPI_MCA_rmaps_base_oversubscribe": "1", **more}


def run(script: str, folder: Path, **more: str) -> None:
    """Run a script to its end."""
    done = subprocess.run(
        ["bash", "-c", script],
        env=environment(**more),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"


def test_no_block_of_the_pages_escapes() -> None:
    found = {page: re.findall(r"^```(\w+)$", (PAGES / page).read_text(), re.MULTILINE) for page in ("slurm.md",)}
    assert found["slurm.md"] == ["bash", "text", "bash"]
    assert {line.split()[0] for line in commands("cluster.md")} == {"dask", "ray", "ilsvrc", "mpiexec"}
    assert len(commands("cluster.md")) == 7
    assert len(blocks("kubernetes.md", "yaml")) == 1


def test_the_commands_about_dask_work(data: Path, background: Background, pool: dict[str, str]) -> None:
    port = str(free_port())
    for command in commands("cluster.md"):
        here = command.replace("8786", port).replace("/data/", f"{data}/")
        if here.startswith("dask"):
            background.start(here)
        elif "dask://" in here:
            run(here, data)
    assert contents(data / "small") == pool
    (program,) = blocks("cluster.md", "python")
    (data / "program.py").write_text(program.replace("8786", port).replace("/data/", f"{data}/"))
    run("python program.py", data)
    assert (data / "imagenet/val").is_dir()


def test_the_command_about_mpi_works(data: Path) -> None:
    mpiexec()
    (command,) = [line for line in commands("cluster.md") if line.startswith("mpiexec")]
    run(command.replace("/data/", f"{data}/"), data)
    assert (data / "by-mpi/val").is_dir()


@pytest.mark.slow
def test_the_commands_about_ray_work(data: Path, background: Background) -> None:
    needs("ray")
    start, by_ray, by_client = [line for line in commands("cluster.md") if "ray" in line]
    port, client, folder = str(free_port()), str(free_port()), f"/tmp/ilsvrc-docs-{os.getpid()}"
    here = start.replace("6379", port).replace("10001", client)
    os.environ["RAY_AUTH_MODE"] = "disabled"
    try:
        background.start(f"{here} --block --num-cpus=2 --include-dashboard=false --temp-dir={folder}")
        log = background.folder / "background-0.log"
        await_that(lambda: "--address='" in log.read_text(), "the head has started")
        found = re.search(r"--address='([^']+)'", log.read_text())
        assert found
        run(by_ray.replace("/data/", f"{data}/"), data, RAY_ADDRESS=found[1])
        run(by_client.replace("/data/", f"{data}/").replace("10001", client), data)
    finally:
        del os.environ["RAY_AUTH_MODE"]
    assert contents(data / "by-ray") == contents(data / "by-ray-client")


@pytest.mark.parametrize("number", [0, 1], ids=["mpi", "dask"])
def test_the_scripts_for_slurm_work(number: int, data: Path, pool: dict[str, str]) -> None:
    """The lines of the script, as SLURM would run them in a job of one node with four processors."""
    needs("distributed")
    mpiexec()
    script = blocks("slurm.md", "bash")[number]
    assert script.startswith("#!/bin/bash\n#SBATCH ")
    (data / "bin").mkdir()
    srun = data / "bin/srun"  # in a job of one task, srun starts the command
    srun.write_text('#!/bin/sh\nexec "$@"\n')
    srun.chmod(0o755)
    told = {"SLURM_NTASKS": "4", "SLURM_CPUS_PER_TASK": "2", "SLURM_JOB_NUM_NODES": "1", "SLURM_JOB_ID": "7"}
    if number == 0:
        del told["SLURM_JOB_ID"]  # or Open MPI would ask a SLURM that is not there
    path = f"{data / 'bin'}{os.pathsep}{environment()['PATH']}"
    run(script, data, SOURCE=str(data / "archives"), TARGET=str(data / "small"), PATH=path, **told)
    assert contents(data / "small") == pool
    assert not list(data.glob("scheduler-*.json"))


def test_the_manifest_for_kubernetes_works(data: Path, background: Background, pool: dict[str, str]) -> None:
    """Its parts fit together, and the commands of its containers do the work, with a Service that is a port."""
    yaml = pytest.importorskip("yaml")
    (text,) = blocks("kubernetes.md", "yaml")
    parts = {(part["kind"], part["metadata"]["name"]): part["spec"] for part in yaml.safe_load_all(text)}
    service = parts["Service", "imagenet-scheduler"]
    scheduler, workers = parts["Deployment", "imagenet-scheduler"], parts["Deployment", "imagenet-workers"]
    job = parts["Job", "imagenet-prepare"]
    for deployment in (scheduler, workers):
        assert deployment["selector"]["matchLabels"] == deployment["template"]["metadata"]["labels"]
    assert service["selector"] == scheduler["template"]["metadata"]["labels"]
    (port,) = [entry["port"] for entry in service["ports"]]
    containers = [part["template"]["spec"]["containers"][0] for part in (scheduler, workers, job)]
    assert len({container["image"] for container in containers}) == 1
    assert containers[1]["volumeMounts"] == containers[2]["volumeMounts"]
    assert workers["template"]["spec"]["volumes"] == job["template"]["spec"]["volumes"]
    free = str(free_port())
    words = [
        [
            word.replace(f"imagenet-scheduler:{port}", f"127.0.0.1:{free}")
            .replace(str(port), free)
            .replace("/data/", f"{data}/")
            for word in container["command"]
        ]
        for container in containers
    ]
    background.start(" ".join(words[0]))
    background.start(" ".join(words[1]))
    assert str(workers["replicas"]) == words[2][words[2].index("--jobs") + 1]
    run(" ".join(words[2]), data)
    assert contents(data / "small") == pool
