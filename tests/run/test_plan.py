"""A plan is bound to content; the state of the archive stands beside it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ilsvrc import facts
from ilsvrc.archive.sidecar import open_index
from ilsvrc.archive.source import FileSource, FileState
from ilsvrc.readers.units import Wanted
from ilsvrc.run.plan import Plan
from ilsvrc.tree.layout import Layout


def plan_of(archive: Path, layout: str = "wnid") -> Plan:
    source = FileSource(archive)
    return Plan(source, open_index(source), Wanted(Layout.parse(layout)))


@pytest.fixture
def archive(tmp_path: Path, mini: Path) -> Path:
    return Path(shutil.copy(mini / facts.TRAIN, tmp_path / facts.TRAIN))


def test_a_touched_or_copied_archive_has_the_same_plan_and_another_state(archive: Path) -> None:
    before = plan_of(archive)
    (archive.parent / "copy").mkdir()
    copied = plan_of(Path(shutil.copy(archive, archive.parent / "copy" / archive.name)))
    os.utime(archive, ns=(1, 1))
    touched = plan_of(archive)
    assert before.digest == copied.digest == touched.digest
    assert len({before.state, copied.state, touched.state}) == 3
    assert before.settings == touched.settings, "manifests hold settings: a split stays known"


def test_other_settings_and_other_content_make_another_plan(archive: Path, mini: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    val = Path(shutil.copy(mini / facts.VAL, tmp_path / "other" / facts.VAL))
    assert len({plan_of(archive).digest, plan_of(archive, "index").digest, plan_of(val).digest}) == 3


def test_the_state_is_that_of_the_opening(archive: Path) -> None:
    plan, opened = plan_of(archive), FileState.of(archive)
    archive.write_bytes(bytes(3))
    assert plan.state == opened
