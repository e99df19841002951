"""Real MPI jobs of four ranks on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ilsvrc
from ilsvrc.errors import UsageError
from ilsvrc.run.engines import mpi
from ilsvrc.run.engines.address import opened
from ilsvrc.run.engines.mpi import MpiEngine
from ilsvrc.testing.contracts import EngineContract
from tests.oracles import needs
from tests.run.engines.clusters import FORMATS, begun, command, contents, receipts, run

INSIDE = "ILSVRC_TEST_RANKS"
"""Set where this file is run again as an MPI job, for the contract."""

ELSEWHERE = "run in a job of its own, by test_the_contract_holds_in_a_job"


def mpiexec(ranks: int = 4) -> list[str]:
    """Return the beginning of the command that starts so many ranks."""
    needs("mpi4py")
    program = shutil.which("mpiexec")
    if program is None:
        pytest.skip("there is no mpiexec: apt-get install openmpi-bin")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    ours = ["--allow-run-as-root", "--oversubscribe"] if "Open" in version else []
    return [program, *ours, "-n", str(ranks)]


@pytest.fixture(scope="module")
def engine() -> Iterator[MpiEngine]:
    from mpi4py import MPI

    engine = MpiEngine(MPI.COMM_WORLD)
    pids = engine.answers(os.getpid)
    assert len(set(pids.values()) | {os.getpid()}) == MPI.COMM_WORLD.size
    yield engine
    engine.close()


@pytest.mark.skipif(INSIDE not in os.environ, reason=ELSEWHERE)
class TestMpi(EngineContract):
    """The contract, in the ranks of the job that this process is rank 0 of."""


def test_the_contract_holds_in_a_job(tmp_path: Path) -> None:
    program = f"""
import sys, pytest
from ilsvrc.run.engines import mpi
if mpi.is_worker():
    mpi.serve()
else:
    sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", {str(Path(__file__))!r} + "::TestMpi"]))
"""
    words = [*mpiexec(), sys.executable, "-c", program]
    environment = {**os.environ, INSIDE: "1"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    count = sum(name.startswith("test_") for name in dir(EngineContract))
    assert f"{count} passed" in done.stdout


@pytest.mark.parametrize("kind", FORMATS)
def test_a_rank_is_killed_and_the_job_begun_again(
    kind: str, thousand: Path, tmp_path: Path, by_processes: dict[str, dict[str, str]]
) -> None:
    target = tmp_path / "made"
    words = [*mpiexec(), *command(thousand, target, kind, "--engine", "mpi")]
    with begun(words, target) as running:
        running.kill_a_worker()
        status, _ = running.end()
    assert status != 0  # a lost rank ends the job
    before = [receipt["unit"] for receipt in receipts(target)]
    run(words)
    assert contents(target) == by_processes[kind]
    units = [receipt["unit"] for receipt in receipts(target)]
    assert units[: len(before)] == before
    assert len(units) == len(set(units))
    assert all(receipt["synced"] for receipt in receipts(target))


def test_an_error_of_the_driver_ends_the_job(mini: Path, tmp_path: Path) -> None:
    program = [sys.executable, "-m", "ilsvrc", "prepare", tmp_path / "nothing", tmp_path / "made", "--engine", "mpi"]
    done = run([*mpiexec(), *map(str, program)], status=2)
    assert "nothing" in done.stderr
    classes = [*program[:4], mini, tmp_path / "made", "--engine", "mpi", "--classes", "no-such-class"]
    run([*mpiexec(), *map(str, classes)], status=2)


def test_one_rank_is_too_few(mini: Path, tmp_path: Path) -> None:
    program = [sys.executable, "-m", "ilsvrc", "prepare", str(mini), str(tmp_path / "made"), "--engine", "mpi"]
    done = run([*mpiexec(1), *program], status=2)
    assert "needs 2 ranks or more" in done.stderr
    assert "mpiexec -n 4" in done.stderr


def test_the_library_takes_the_executor_of_a_job(mini: Path, tmp_path: Path) -> None:
    ilsvrc.prepare(mini, tmp_path / "pool", splits=["val"], jobs=1)
    (tmp_path / "job.py").write_text(f"""
import ilsvrc
from mpi4py.futures import MPICommExecutor

with MPICommExecutor() as executor:
    if executor is not None:
        report = ilsvrc.prepare({str(mini)!r}, {str(tmp_path / "made")!r}, splits=["val"], engine=executor)
        assert report.ok
""")
    run([*mpiexec(3), sys.executable, str(tmp_path / "job.py")])
    assert contents(tmp_path / "made") == contents(tmp_path / "pool")


def test_a_rank_other_than_0_does_not_drive(monkeypatch: pytest.MonkeyPatch) -> None:
    class World:
        rank, size = 2, 4

    monkeypatch.setattr(mpi, "_world", World)
    with pytest.raises(UsageError, match="from rank 0"), opened("mpi"):
        pass
