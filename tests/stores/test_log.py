"""A log in a store: lines in the order in which they were appended, one writer, nothing torn."""

from __future__ import annotations

import pytest

from ilsvrc.errors import MachineError
from ilsvrc.run.journal import Journal
from ilsvrc.sinks.base import Output, Receipt
from ilsvrc.stores.log import StoreLog
from ilsvrc.stores.path import StorePath
from tests.stores.servers import Bucket


@pytest.fixture
def folder(bucket: Bucket) -> StorePath:
    return StorePath(bucket.url("data/.ilsvrc/journal"))


def test_lines_come_back_in_order_by_another_log_too(folder: StorePath) -> None:
    log = StoreLog(folder)
    assert log.read() == ""
    for number in range(12):
        log.append(f"{number}\n")
        assert log.read().split() == [str(seen) for seen in range(number + 1)]
    assert StoreLog(folder).read() == log.read()


def test_what_replaces_all_is_read_even_under_a_number_that_was_taken(folder: StorePath) -> None:
    log = StoreLog(folder)
    log.append("old\n")
    assert log.read() == "old\n"
    log.replace("")
    assert log.read() == ""
    log.append("new\n")
    assert log.read() == "new\n"
    log.replace("other\n")
    assert log.read() == StoreLog(folder).read() == "other\n"


def test_a_second_writer_is_refused(folder: StorePath, monkeypatch: pytest.MonkeyPatch) -> None:
    """It had listed the log before the first one appended."""
    late = StoreLog(folder)
    monkeypatch.setattr(late, "_keys", list)
    StoreLog(folder).append("first\n")
    with pytest.raises(MachineError, match="another run"):
        late.append("second\n")
    assert StoreLog(folder).read() == "first\n"


def test_whoever_may_not_write_writes_nothing(folder: StorePath, bucket: Bucket) -> None:
    def refuse() -> None:
        raise MachineError("lost")

    log = StoreLog(folder, refuse)
    for write in (log.append, log.replace):
        with pytest.raises(MachineError, match="lost"):
            write("text\n")
    assert bucket.keys() == []


def test_a_journal_in_it_is_resumed_and_forgets(folder: StorePath) -> None:
    receipt = Receipt("n01440764", (Output("a", 1, "00"),), 3, 6)
    journal = Journal(StoreLog(folder))
    assert journal.begin("plan", {"split": "train"}, {"inode": 1}) == {}
    journal.append([receipt])
    again = Journal(StoreLog(folder))
    assert again.begin("plan", {"split": "train"}, {"inode": 1}) == {"n01440764": receipt}
    assert again.begin("plan", {"split": "train"}, {"inode": 2}) == {}
    assert [header["plan"] for header in again.plans("train")] == ["plan"]
    again.forget("train")
    assert Journal(StoreLog(folder)).plans("train") == []
