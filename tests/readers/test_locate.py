"""Splits are found in archives and in trees."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from ilsvrc import facts
from ilsvrc.errors import UsageError
from ilsvrc.readers.archive import ArchiveReader
from ilsvrc.readers.locate import open_reader, splits_at
from ilsvrc.readers.tree import TreeReader
from tests.cli.helpers import ilsvrc


def test_archives_come_before_trees(own_tree: Path, mini: Path) -> None:
    shutil.copy(mini / facts.VAL, own_tree)
    assert isinstance(open_reader(own_tree, "val"), ArchiveReader)
    assert isinstance(open_reader(own_tree, "train"), TreeReader)
    assert splits_at(own_tree) == ["train", "val"]


def test_one_archive_is_its_split(mini: Path) -> None:
    assert open_reader(mini / facts.VAL, "val").split == "val"
    assert splits_at(mini / facts.TRAIN) == ["train"]
    with pytest.raises(UsageError, match="holds the val split") as caught:
        open_reader(mini / facts.VAL, "train")
    assert caught.value.hint == "use split='val'"


def test_what_is_not_there_is_named(mini: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no test split"):
        open_reader(mini, "test")
    with pytest.raises(UsageError, match="no split 'validation'"):
        open_reader(mini, "validation")
    with pytest.raises(UsageError, match="does not exist"):
        open_reader(tmp_path / "nowhere", "val")
    with pytest.raises(UsageError, match="holds no split"):
        splits_at(tmp_path)
    (tmp_path / "val" / "cats").mkdir(parents=True)
    (tmp_path / "val" / "cats" / "tom.jpg").write_bytes(b"")
    with pytest.raises(UsageError, match="no val image of ILSVRC 2012"):
        open_reader(tmp_path, "val")


def test_missing_split_names_those_that_are_there(mini: Path, tree: Path) -> None:
    for root in (mini, tree):
        with pytest.raises(UsageError, match="no test split") as caught:
            open_reader(root, "test")
        listed = ilsvrc(*shlex.split(caught.value.hint.split("`")[1])[1:]).stdout
        assert "train/" in listed
        assert "val/" in listed
