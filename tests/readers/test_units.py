"""Units tile a split in storage order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ilsvrc.readers import units as module
from ilsvrc.readers.locate import open_reader
from ilsvrc.readers.reader import Reader
from ilsvrc.readers.subset import Subset, SubsetReader
from ilsvrc.readers.units import units_of


def assert_tiled(reader: Reader) -> None:
    units = units_of(reader)
    assert [u.start for u in units] == [0, *(u.stop for u in units[:-1])]
    assert units[-1].stop == len(reader) == sum(u.images for u in units)
    assert all(u.images == u.stop - u.start > 0 for u in units)
    assert sum(u.bytes for u in units) == reader.sizes.sum()
    assert len({u.id for u in units}) == len(units)


@pytest.mark.parametrize("split", ["train", "val"])
def test_units_tile_an_archive_in_its_order(mini: Path, split: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNIT", 9_000)
    reader = open_reader(mini, split)
    assert_tiled(reader)
    units = units_of(reader)
    assert len(units) > 3
    spans = reader.spans(reader.storage_order())
    assert spans is not None
    ends = [spans[u.start : u.stop, 1].max() for u in units]
    assert [u.end for u in units] == ends == sorted(ends)


def test_train_units_are_classes(mini: Path) -> None:
    reader = open_reader(mini, "train")
    rows = reader.storage_order()
    for unit in units_of(reader):
        assert {reader.name(row)[:9] for row in rows[unit.start : unit.stop].tolist()} == {unit.id}


class Shuffled(SubsetReader):
    """A train split that lies in a random order, as in shards."""

    def storage_order(self) -> np.ndarray:
        return np.random.default_rng(0).permutation(len(self))


def test_train_that_lies_shuffled_is_cut_by_size(mini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNIT", 9_000)
    reader = open_reader(mini, "train")
    shuffled = Shuffled(reader, np.arange(len(reader)))
    assert_tiled(shuffled)
    assert all(unit.id.startswith("train-") for unit in units_of(shuffled))
    assert all(unit.bytes < 20_000 for unit in units_of(shuffled))


def test_images_in_files_of_their_own_end_nowhere(tree: Path) -> None:
    reader = open_reader(tree, "train")
    assert_tiled(reader)
    assert {unit.end for unit in units_of(reader)} == {0}


@given(st.frozensets(st.integers(0, 5), min_size=1))
def test_units_of_some_classes(mini: Path, labels: frozenset[int]) -> None:
    for split, per_class in (("train", 4), ("val", 2)):
        reader = Subset(labels=labels).of(open_reader(mini, split))
        assert set(reader.labels.tolist()) == labels
        assert_tiled(reader)
        assert sum(u.images for u in units_of(reader)) == per_class * len(labels)
