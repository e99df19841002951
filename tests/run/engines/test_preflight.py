"""Workers that are asked before the start: what they see is tested with a cluster, what they have here."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ilsvrc.errors import MachineError
from ilsvrc.prepare.transforms import transform_of
from ilsvrc.readers.locate import open_reader
from ilsvrc.run.claim import claimed
from ilsvrc.run.engine import PoolEngine, worker_name
from ilsvrc.run.engines import preflight
from ilsvrc.run.engines.preflight import Answer, Question, refuse_unfit_workers
from ilsvrc.run.plan import Plan


class Asked(PoolEngine):
    """An engine that hands a changed question to its workers."""

    def __init__(self, change: Callable[[Question], Any]) -> None:
        super().__init__(ThreadPoolExecutor(1), 1, local=False)
        self._change = change

    def answers(self, question: Callable[[], Any]) -> dict[str, Any]:
        assert isinstance(question, Question)
        changed = self._change(question)
        return {"place": changed() if callable(changed) else changed}


def _refused(change: Callable[[Question], Any], mini: Path, target: Path) -> str:
    """Return the message for a worker that answers a changed question."""
    plan = Plan(open_reader(mini, "train"), transform=transform_of(resize=64))
    with claimed(target) as claim, pytest.raises(MachineError) as refused:
        refuse_unfit_workers(Asked(change), claim, [plan])
    assert "DST must be one and the same" in refused.value.hint
    return refused.value.message


def test_a_fit_worker_is_not_refused(mini: Path, tmp_path: Path) -> None:
    with claimed(tmp_path) as claim:
        refuse_unfit_workers(Asked(lambda question: question), claim, [Plan(open_reader(mini, "train"))])


def test_another_version_is_refused(mini: Path, tmp_path: Path) -> None:
    message = _refused(lambda question: replace(question, version="9.9"), mini, tmp_path)
    assert f"{worker_name()} (place): it has ilsvrc" in message
    assert "the driver 9.9" in message


def test_other_image_libraries_are_refused(mini: Path, tmp_path: Path) -> None:
    message = _refused(lambda question: replace(question, settings={"codecs": {"pillow": "1.0"}}), mini, tmp_path)
    assert "other versions of the image libraries" in message


def test_a_worker_whose_answer_does_not_arrive_is_refused(mini: Path, tmp_path: Path) -> None:
    message = _refused(lambda _: Answer("node7:12", ()), mini, tmp_path)
    assert "node7:12 (place): its files in" in message
    assert "are not seen by the driver" in message


def test_a_worker_that_raises_is_named(mini: Path, tmp_path: Path) -> None:
    assert "place: ValueError: broken" in _refused(lambda _: ValueError("broken"), mini, tmp_path)


def test_a_message_names_some_workers_and_counts_all(mini: Path, tmp_path: Path) -> None:
    class Many(Asked):
        def answers(self, question: Callable[[], Any]) -> dict[str, Any]:
            return {f"tcp://{number}": Answer(f"node{number}:1", ("it does not see /data",)) for number in range(9)}

    with claimed(tmp_path) as claim, pytest.raises(MachineError, match="9 of 9 workers") as refused:
        refuse_unfit_workers(Many(lambda question: question), claim, [Plan(open_reader(mini, "train"))])
    assert refused.value.message.count("does not see") == preflight.LISTED
    assert refused.value.message.endswith("and 6 more")
