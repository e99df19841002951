"""The job scripts of docs/how-to/slurm.md, submitted to a real SLURM of this machine: make campaign-slurm."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.test_clusters import blocks, environment
from tests.docs.test_clusters import run as run_script
from tests.oracles import needs
from tests.run.engines.clusters import contents, free_port, kill_all

pytestmark = pytest.mark.slow

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldPort={controller}
SlurmdPort={node}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=8
PartitionName=all Nodes={host} Default=YES State=UP
"""


@dataclass(frozen=True)
class Slurm:
    """A controller and one node of eight processors, whatever the machine has.

    folder : of its configuration, its state and its logs
    """

    folder: Path

    def submit(self, script: Path, *options: str, **variables: str) -> None:
        """Submit a job script and wait for its end."""
        here = {"SLURM_CONF": str(self.folder / "slurm.conf"), **variables}
        words = ["sbatch", "--wait", *options, str(script)]
        done = subprocess.run(
            words,
            cwd=script.parent,
            env=environment(**here),
            capture_output=True,
            text=True,
            check=False,
            timeout=400,
        )
        printed = "".join(path.read_text() for path in script.parent.glob("slurm-*.out"))
        assert done.returncode == 0, done.stdout + done.stderr + printed


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    needs("psutil", "distributed", "mpi4py")
    missing = [name for name in ("munged", "slurmctld", "slurmd", "sbatch", "mpiexec") if not shutil.which(name)]
    if missing or os.geteuid():
        pytest.skip(f"no {', '.join(missing) or 'root'}: apt-get install slurm-wlm munge openmpi-bin")
    folder = Path("/tmp") / f"ilsvrc-slurm-{os.getpid()}"  # munge refuses folders that others may write to
    for name in ("", "state", "spool"):
        (folder / name).mkdir(mode=0o755)
    host = socket.gethostname().partition(".")[0]
    text = CONFIGURATION.format(folder=folder, host=host, controller=free_port(), node=free_port())
    (folder / "slurm.conf").write_text(text)
    (folder / "munge.key").write_bytes(secrets.token_bytes(1024))
    (folder / "munge.key").chmod(0o400)
    files = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
    daemons = [["munged", "--force", "-F", f"--socket={folder}/munge.socket", *files]]
    daemons += [["slurmctld", "-D", "-c"], ["slurmd", "-D"]]
    variables = environment(SLURM_CONF=str(folder / "slurm.conf"))
    processes = []
    try:
        for words in daemons:
            log = (folder / f"{words[0]}.log").open("wb")
            with log:
                processes.append(subprocess.Popen(words, env=variables, stdout=log, stderr=log))
            time.sleep(2)
        _await_idle(variables)
        yield Slurm(folder)
    finally:
        kill_all(processes)
        shutil.rmtree(folder, ignore_errors=True)


def _await_idle(variables: dict[str, str]) -> None:
    deadline = time.monotonic() + 60
    while True:
        words = ["sinfo", "--noheader", "--format=%t"]
        done = subprocess.run(words, env=variables, capture_output=True, text=True, check=False)
        if done.stdout.strip() == "idle":
            return
        assert time.monotonic() < deadline, done.stdout + done.stderr
        time.sleep(0.5)


@pytest.mark.parametrize(
    ("number", "options"),
    [(0, ["--ntasks=4"]), (1, ["--nodes=1", "--cpus-per-task=3"])],
    ids=["mpi", "dask"],
)
def test_a_job_script_makes_what_processes_make(
    number: int, options: list[str], slurm: Slurm, mini: Path, tmp_path: Path
) -> None:
    script = tmp_path / "job.sh"
    script.write_text(blocks("slurm.md", "bash")[number])
    target = tmp_path / "small"
    slurm.submit(script, *options, SOURCE=str(mini), TARGET=str(target))
    run_script(f"ilsvrc prepare {mini} pool --format webdataset --resize 256", tmp_path)
    assert contents(target) == contents(tmp_path / "pool")
