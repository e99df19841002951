"""`--events`: a JSON object a line on standard error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ilsvrc.cli.event_lines import EventLines
from ilsvrc.events import Advanced, Finished, Note, Started
from tests.cli.helpers import ilsvrc


def _events(printed: str) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in printed.splitlines()]
    assert all(event["schema"] == "ilsvrc.event/1" and event["time"].endswith("+00:00") for event in events)
    return events


def test_a_run_tells_each_unit_with_its_worker(mini: Path, tmp_path: Path) -> None:
    done = ilsvrc("prepare", mini, tmp_path / "made", "--split", "train", "--events", "--jobs", "2")
    events = _events(done.stderr)
    assert events[-1]["event"] == "ended"
    assert events[-1]["exit_status"] == 0
    told = [event for event in events if event.get("stage") == "train"]
    assert [told[0]["event"], told[-1]["event"]] == ["started", "finished"]
    units = [event for event in told if event["event"] == "advanced"]
    assert len(units) == 6
    assert sum(unit["images"] for unit in units) == units[-1]["done_images"] == told[0]["total_images"] == 24
    assert all(unit["worker"].rpartition(":")[2].isdigit() for unit in units)
    report = json.loads((tmp_path / "made/.ilsvrc/report.json").read_text())
    workers = {worker["worker"]: worker["images"] for worker in report["splits"][0]["workers"]}
    assert set(workers) == {unit["worker"] for unit in units}
    assert sum(workers.values()) == 24


def test_standard_output_is_as_without_it(mini: Path, tmp_path: Path) -> None:
    done = ilsvrc("--json", "prepare", mini, tmp_path / "made", "--split", "val", "--events")
    assert json.loads(done.stdout)["ok"]
    _events(done.stderr)


def test_a_failure_is_an_event(tmp_path: Path) -> None:
    done = ilsvrc("--events", "prepare", tmp_path / "nothing", tmp_path / "made", status=2)
    failed, ended = _events(done.stderr)
    assert (failed["event"], failed["exit_status"]) == ("failed", 2)
    assert "nothing" in failed["error"]
    assert failed["hint"]
    assert (ended["event"], ended["exit_status"]) == ("ended", 2)


def test_progress_without_workers_is_told_once_in_a_while_and_nothing_is_lost() -> None:
    lines: list[str] = []
    with EventLines(lines.append) as listener:
        listener(Started("md5", 1000))
        for _ in range(1000):
            listener(Advanced("md5", bytes=1))
        listener(Note("mind the gap", warning=True))
        listener(Finished("md5"))
    events = _events("".join(lines))
    advanced = [event for event in events if event["event"] == "advanced"]
    assert len(advanced) < 1000
    assert sum(event["bytes"] for event in advanced) == advanced[-1]["done_bytes"] == 1000
    assert [event["text"] for event in events if event["event"] == "note"] == ["mind the gap"]
    assert events[-1]["event"] == "finished"


def test_a_stage_that_breaks_off_tells_the_rest() -> None:
    lines: list[str] = []
    with EventLines(lines.append) as listener:
        listener(Started("md5", 1000))
        listener(Advanced("md5", bytes=7))
    assert sum(event.get("bytes", 0) for event in _events("".join(lines))) == 7
