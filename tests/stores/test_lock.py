"""The lock of a folder in a store: one holder, who is named; taken over from the dead and the silent alone."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading

import pytest

from ilsvrc.errors import MachineError
from ilsvrc.events import Note
from ilsvrc.stores import lock
from ilsvrc.stores.lock import Lock
from ilsvrc.stores.path import StorePath
from tests.stores.proxy import Fault, proxy_to
from tests.stores.servers import Bucket

OTHER = {"host": "node7", "process": 99, "machine": "another boot", "begun": "2026-01-01T00:00:00+00:00"}


@pytest.fixture
def path(bucket: Bucket) -> StorePath:
    return StorePath(bucket.url("data/.ilsvrc/lock"))


def test_it_names_its_holder_and_is_gone_afterwards(path: StorePath, bucket: Bucket) -> None:
    with Lock(path).held():
        told = json.loads(bucket.get(path.key))
        assert told["process"] == os.getpid()
        assert told["host"]
    assert bucket.keys() == []


def test_one_of_many_gets_it(path: StorePath) -> None:
    """Sixteen threads ask for it at the same moment."""
    begin, done, got, refused = threading.Barrier(16), threading.Event(), [], []

    def ask() -> None:
        begin.wait()
        try:
            with Lock(path).held():
                got.append(1)
                done.wait(20)
        except MachineError as error:
            refused.append(error.message)
            if len(refused) == 15:
                done.set()

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 15)
    assert all("in use by another run" in message for message in refused)


def test_another_machine_is_believed_until_it_is_silent_for_long(
    path: StorePath, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put({path.key: json.dumps(OTHER).encode()})
    with pytest.raises(MachineError, match="process 99 on node7") as caught, Lock(path).held():
        raise AssertionError("it was held")
    assert "takes over from" in caught.value.hint
    assert bucket.keys() == [path.key]
    monkeypatch.setattr(lock, "PATIENCE", -1.0)
    notes: list[str] = []
    with Lock(path).held(lambda event: notes.append(event.text) if isinstance(event, Note) else None):
        assert json.loads(bucket.get(path.key))["process"] == os.getpid()
    assert "process 99 on node7" in notes[0]


def test_a_process_of_this_machine_that_is_gone_is_not_waited_for(path: StorePath, bucket: Bucket) -> None:
    """A process takes it and is killed by itself, as by kill -9."""
    program = (
        "import os, signal, sys\nfrom ilsvrc.stores.lock import Lock\nfrom ilsvrc.stores.path import StorePath\n"
        "with Lock(StorePath(sys.argv[1])).held():\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert bucket.keys() == [path.key]
    with Lock(path).held():
        assert json.loads(bucket.get(path.key))["process"] == os.getpid()


def test_it_is_renewed_and_a_loss_is_noticed(
    path: StorePath, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "PERIOD", 0.05)
    held = Lock(path)
    with held.held():
        first = bucket.get(path.key)
        assert _soon(lambda: bucket.get(path.key) != first)
        held.require()
        bucket.put({path.key: json.dumps(OTHER).encode()})
        assert _soon(lambda: _refuses(held))
    assert json.loads(bucket.get(path.key)) == OTHER, "the lock of another run was removed"


def test_an_answer_that_is_lost_is_no_other_holder(
    path: StorePath, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server did what was asked, the answer never came, and the same request again meets what it did."""
    monkeypatch.setattr(lock, "PERIOD", 0.05)
    lost = itertools.cycle([Fault(cut=0), None])
    with proxy_to(bucket.server.endpoint) as proxy:
        proxy.plan = lambda request: next(lost) if request.method == "PUT" else None
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        monkeypatch.setattr(path.bucket, "_pid", -1)
        held = Lock(path)
        with held.held():
            assert _soon(lambda: proxy.count("PUT") > 12)
            held.require()
    assert bucket.keys() == []


def test_what_is_no_lock_is_waited_for_too(path: StorePath, bucket: Bucket) -> None:
    bucket.put({path.key: b"\xff not json"})
    with pytest.raises(MachineError, match="in use by another run, unknown"), Lock(path).held():
        raise AssertionError("it was held")


def _refuses(held: Lock) -> bool:
    try:
        held.require()
    except MachineError:
        return True
    return False


def _soon(condition: object) -> bool:
    """Whether a condition holds within a minute."""
    assert callable(condition)
    never = threading.Event()
    return any(condition() or never.wait(0.05) for _ in range(1200))
