"""A plan is bound to content; the state of the source stands beside it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from ilsvrc import facts
from ilsvrc.archive.source import FileSource
from ilsvrc.readers.archive import ArchiveReader
from ilsvrc.readers.locate import open_reader
from ilsvrc.readers.subset import SubsetReader, relabelled
from ilsvrc.run.plan import Plan
from ilsvrc.tree.layout import Layout


def plan_of(archive: Path, layout: str = "wnid") -> Plan:
    return Plan(ArchiveReader.open(FileSource(archive)), Layout.parse(layout))


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
    assert len({before.reader.state, copied.reader.state, touched.reader.state}) == 3
    assert before.settings == touched.settings, "manifests hold settings: a split stays recognised"


def test_other_settings_and_other_content_make_another_plan(archive: Path, mini: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    val = Path(shutil.copy(mini / facts.VAL, tmp_path / "other" / facts.VAL))
    plan = plan_of(archive)
    some = Plan(SubsetReader(plan.reader, np.arange(4)), plan.layout)
    chosen = Plan(plan.reader, plan.layout, {"seed": 1})
    others = [plan_of(archive, "index"), plan_of(val), some, chosen, Plan(plan.reader)]
    assert len({one.digest for one in (plan, *others)}) == 6


def test_the_state_is_that_of_the_opening(archive: Path) -> None:
    plan = plan_of(archive)
    state = plan.reader.state
    archive.write_bytes(bytes(3))
    assert plan.reader.state == state


def test_images_are_those_of_the_parts_in_order(mini: Path) -> None:
    plan = plan_of(mini / facts.VAL, "padded")
    found = list(plan.images())
    assert len(found) == len(plan.reader)
    parts = [plan.part(unit) for unit in plan.units]
    keys = [
        f"val/{label:04}/{name}" for p in parts for label, name in zip(p.labels, p.names.to_pylist(), strict=True)
    ]
    assert [key for key, _ in found] == keys
    assert [size for _, size in found] == [size for part in parts for size in part.sizes.tolist()]


def test_without_a_layout_images_go_by_their_place_in_the_source(mini: Path, tree: Path) -> None:
    in_archive = {key for key, _ in Plan(open_reader(mini, "train")).images()}
    assert "n01440764.tar/n01440764_10026.JPEG"[:14] in {key[:14] for key in in_archive}
    in_tree = {key for key, _ in Plan(open_reader(tree, "train")).images()}
    assert in_tree == {str(path.relative_to(tree / "train")) for path in tree.glob("train/*/*.JPEG")}


def test_replaced_labels_reach_parts_and_paths(mini: Path) -> None:
    reader = open_reader(mini, "val")
    plan = Plan(relabelled(reader, (reader.labels + 1).astype(np.int16)), Layout.parse("index"))
    assert plan.digest != Plan(reader, Layout.parse("index")).digest
    truth = dict(zip(reader.names.to_pylist(), reader.labels.tolist(), strict=True))
    for unit in plan.units:
        part = plan.part(unit)
        for name, label in zip(part.names.to_pylist(), part.labels.tolist(), strict=True):
            assert label == truth[name] + 1
    assert all(int(key.split("/")[1]) == truth[key.split("/")[2]] + 1 for key, _ in plan.images())
