"""One run at a time on a tree, on this machine and across machines."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ilsvrc
from ilsvrc.errors import MachineError
from ilsvrc.events import Event, Note
from ilsvrc.run import claim as claim_module
from ilsvrc.run.claim import Claim, claimed
from ilsvrc.tree import paths

HOLDER = """
import sys, time
from pathlib import Path
from ilsvrc.run import claim
claim.BEAT = 0.1
claim.machine = lambda: "another machine"
with claim.claimed(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim_module, "BEAT", 0.1)
    monkeypatch.setattr(claim_module, "WATCH", 2.0)


@pytest.fixture
def without_shared_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make locks this process's own, as on a mount that keeps them on each machine."""
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)


@contextlib.contextmanager
def held_elsewhere(root: Path) -> Iterator[subprocess.Popen[str]]:
    """Let a process that takes itself for another machine hold a tree."""
    words = [sys.executable, "-c", HOLDER, str(root)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_a_claim_is_there_for_as_long_as_the_run(tmp_path: Path) -> None:
    with claimed(tmp_path) as claim:
        assert claim.holds()
        claim.require()
        claim.answer("host:1")
        claim.answer("host:1")
        assert claim.answered("host:1")
        assert not claim.answered("host:2")
        with (
            pytest.raises(MachineError, match=f"in use by another run, process {os.getpid()} on "),
            claimed(tmp_path),
        ):
            pass
        assert claim.holds()
    assert [path.name for path in paths.own(tmp_path).iterdir()] == ["lock"]
    with pytest.raises(MachineError, match="this run is over"):
        claim.require()


def test_the_claim_of_a_dead_run_of_this_machine_is_taken_over_at_once(tmp_path: Path) -> None:
    with claimed(tmp_path) as claim:
        text = claim.text
    paths.claim(tmp_path).write_text(text)
    events: list[Event] = []
    with claimed(tmp_path, events.append) as mine:
        assert mine.text != text
        assert not Claim(claim.path, text).holds()  # its workers, if there are any, take no more units
    assert events == []


@pytest.mark.usefixtures("without_shared_locks")
def test_a_living_run_on_another_machine_is_not_disturbed(tmp_path: Path) -> None:
    with held_elsewhere(tmp_path) as process:
        events: list[Event] = []
        refused = pytest.raises(MachineError, match=f"in use by another run, process {process.pid} on ")
        with refused, claimed(tmp_path, events.append):
            pass
        (note,) = events
        assert isinstance(note, Note)
        assert str(process.pid) in note.text


@pytest.mark.usefixtures("without_shared_locks")
def test_a_dead_run_on_another_machine_is_taken_over(tmp_path: Path) -> None:
    with held_elsewhere(tmp_path):
        pass
    assert paths.claim(tmp_path).exists()
    with claimed(tmp_path) as claim:
        assert claim.holds()


def test_a_run_that_lost_its_claim_publishes_nothing(mini: Path, tmp_path: Path) -> None:
    """A driver that was paused for long finds another run's claim in place of its own."""

    def take_over(event: Event) -> None:
        if isinstance(event, ilsvrc.Finished) and event.stage == "train":
            paths.claim(tmp_path / "made").write_text("another run's")

    with pytest.raises(MachineError, match="this run is over"):
        ilsvrc.prepare(mini, tmp_path / "made", splits=["train"], jobs=1, listener=take_over)
    assert not (tmp_path / "made/train").exists()
    assert paths.claim(tmp_path / "made").read_text() == "another run's"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"machine": 3}', "\xff"])
def test_a_claim_that_names_nobody_is_nobodys(text: str, tmp_path: Path) -> None:
    paths.own(tmp_path).mkdir()
    paths.claim(tmp_path).write_text(text)
    with claimed(tmp_path) as claim:
        assert claim.holds()


def test_every_start_of_a_machine_is_another_machine() -> None:
    assert claim_module.machine() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
