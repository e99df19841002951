"""Receipts that are durable, and a committer that never hides what went wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ilsvrc.run.journal import Committer, Journal
from ilsvrc.sinks.base import Output, Receipt
from ilsvrc.sinks.null import NullSink

RECEIPT = Receipt("n01440764", (Output("a.arrow", 3, "00"),), 3, 6)


class FailingSink(NullSink):
    """Its sync fails in a way that nobody foresaw."""

    def sync(self) -> None:
        raise ZeroDivisionError("unforeseen")


def test_whatever_a_sync_raises_ends_the_run() -> None:
    with pytest.raises(ZeroDivisionError, match="unforeseen"), Committer(FailingSink(), None) as committer:
        committer.add(RECEIPT)


def add_for_ever(committer: Committer) -> None:
    with committer:
        for _ in range(100_000):
            committer.add(RECEIPT)


def fail_within(committer: Committer) -> None:
    with committer:
        committer.add(RECEIPT)
        raise ZeroDivisionError("of the run")


def test_after_a_failure_nothing_more_is_taken() -> None:
    committer = Committer(FailingSink(), None)
    with pytest.raises(ZeroDivisionError):
        add_for_ever(committer)


def test_an_error_of_the_run_is_not_replaced_by_one_of_the_commit() -> None:
    committer = Committer(FailingSink(), None)
    with pytest.raises(ZeroDivisionError, match="of the run"):
        fail_within(committer)


def test_receipts_come_back_by_plan_and_state(tmp_path: Path) -> None:
    path = tmp_path / ".ilsvrc/journal.jsonl"
    journal = Journal(path)
    assert journal.begin("plan", {"split": "train"}, {"inode": 1}) == {}
    journal.append([RECEIPT])
    assert Journal(path).begin("plan", {}, {"inode": 1}) == {"n01440764": RECEIPT}
    assert Journal(path).begin("plan", {}, {"inode": 2}) == {}, "what another state gave may be other images"
    assert Journal(path).begin("other", {}, {"inode": 1}) == {}
    assert Journal(path).done_units("plan") == {"n01440764"}


def receipt_line(**changes: object) -> bytes:
    line: dict[str, object] = {
        "plan": "plan",
        "state": None,
        "unit": "u",
        "outputs": [],
        "samples": 1,
        "bytes": 1,
        "issues": [],
    }
    return json.dumps(line | changes).encode()


@pytest.mark.parametrize(
    "line",
    [
        b'{"plan": "plan", "uni',
        b"[]",
        b"null",
        b"\xff\xfe",
        receipt_line(unit=5),
        receipt_line(samples=True),
        receipt_line(outputs=[{"path": 1}]),
        receipt_line(outputs=7),
        receipt_line(issues={"a": 1}),
    ],
)
def test_a_line_that_is_no_receipt_is_left_out(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / ".ilsvrc/journal.jsonl"
    path.parent.mkdir()
    path.write_bytes(line)
    journal = Journal(path)
    assert journal.begin("plan", {"split": "train"}, None) == {}
    journal.append([RECEIPT])
    assert Journal(path).begin("plan", {}, None) == {"n01440764": RECEIPT}


def test_forgetting_a_split_keeps_the_others(tmp_path: Path) -> None:
    path = tmp_path / ".ilsvrc/journal.jsonl"
    for split in ("train", "val"):
        journal = Journal(path)
        journal.begin(split, {"split": split}, None)
        journal.append([RECEIPT])
    journal.forget("train")
    assert [json.loads(line)["plan"] for line in path.read_text().splitlines()] == ["val", "val"]


def test_units_that_their_workers_synced_are_not_synced_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.begin("plan", {"split": "train"}, "state")
    with Committer(FailingSink(), journal) as committer:
        committer.add(Receipt("u0", samples=1, bytes=2, worker="node:1", synced=True))
    (line,) = [line for line in map(json.loads, path.read_text().splitlines()) if "unit" in line]
    assert (line["worker"], line["synced"]) == ("node:1", True)
    (earlier,) = journal.begin("plan", {}, "state").values()
    assert earlier == Receipt("u0", samples=1, bytes=2)  # its worker is an earlier run's
