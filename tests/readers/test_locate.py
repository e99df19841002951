"""Splits are found in archives and in trees."""

from __future__ import annotations

import shlex
import shutil
import zipfile
from pathlib import Path

import pytest

from ilsvrc import facts, prepare
from ilsvrc.check.check import check
from ilsvrc.errors import ArchiveError, UsageError
from ilsvrc.issues import Code
from ilsvrc.readers.archive import ArchiveReader
from ilsvrc.readers.locate import find_all, open_reader, splits_at
from ilsvrc.readers.tree import TreeReader
from ilsvrc.testing import write_mini
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


LOGIN_PAGE = b"<!DOCTYPE html><title>Log in</title>" * 20


@pytest.mark.parametrize(
    "name",
    ["val.zip", "val.tar", "val.tar.gz", "data/val_images.tar.gz", "data/validation-00000-of-00001.parquet"],
)
@pytest.mark.parametrize("content", [b"", LOGIN_PAGE, b"\x01" * 5_000, b"\x1f\x8b\x08" + bytes(5_000)])
def test_file_that_cannot_be_read_is_found_by_its_name_and_opening_it_says_why(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / name).write_bytes(content)
    [found] = find_all(tmp_path)
    assert (found.split, found.damaged) == ("val", True)
    with pytest.raises(ArchiveError) as caught:
        found.open()
    assert caught.value.archive == str(tmp_path / name)
    assert caught.value.hint


def test_split_that_can_be_read_comes_before_a_file_that_cannot(own_tree: Path) -> None:
    for name in ("val.zip", "val.tar.gz"):
        (own_tree / name).write_bytes(LOGIN_PAGE)
    assert isinstance(open_reader(own_tree, "val"), TreeReader)
    assert [found.damaged for found in find_all(own_tree) if found.split == "val"] == [False, True, True]


def test_part_of_a_split_that_cannot_be_read_is_not_passed_over(tmp_path: Path) -> None:
    write_mini(tmp_path / "hf", form="hf-tar", classes=6, per_class=3, mean_bytes=3_000)
    part = tmp_path / "hf" / "data" / "train_images_3.tar.gz"
    part.write_bytes(LOGIN_PAGE)
    with pytest.raises(ArchiveError, match="web page") as caught:
        open_reader(tmp_path / "hf", "train")
    assert caught.value.archive == str(part)


def test_other_files_are_not_taken_for_splits(tmp_path: Path) -> None:
    for name in ("notes.zip", "trainers.tar.gz", "devkit.tar.gz", "cat.parquet"):
        (tmp_path / name).write_bytes(LOGIN_PAGE)
    assert find_all(tmp_path) == []


@pytest.fixture
def heap_beside(own_tree: Path) -> Path:
    """A tree whose validation images lie in the root as one heap, beside train, with files of no concern."""
    for image in (own_tree / "val").glob("*/*"):
        image.rename(own_tree / image.name)
    shutil.rmtree(own_tree / "val")
    (own_tree / ".ilsvrc/val.arrow").unlink()
    (own_tree / "notes.txt").write_text("no image")
    return own_tree


def test_a_heap_beside_the_folder_of_another_split_is_val(heap_beside: Path, mini: Path, tmp_path: Path) -> None:
    assert splits_at(heap_beside) == ["train", "val"]
    reader, official = open_reader(heap_beside, "val"), open_reader(mini, "val")
    assert reader.names.equals(official.names)
    assert reader.labels.tolist() == official.labels.tolist()
    assert [reader.read(row) for row in range(len(reader))] == [official.read(row) for row in range(len(official))]
    reader.require_unchanged()
    report = prepare(heap_beside, tmp_path / "sorted", jobs=1)
    assert [(split.split, split.images) for split in report.splits] == [("train", 24), ("val", 12)]


def test_the_rest_of_a_heaps_folder_is_no_part_of_it(heap_beside: Path) -> None:
    train, val = check(heap_beside, jobs=1).parts
    assert (train.split, train.images, train.issues) == ("train", 24, ())
    assert (val.split, val.images, val.layout) == ("val", 12, "flat")
    assert {issue.code for issue in val.issues} == {Code.MISSING_IMAGE, Code.MISSING_CLASS}, "no strays"


def test_images_beside_the_folder_of_their_split_are_not_looked_at(own_tree: Path) -> None:
    image = next((own_tree / "val").glob("*/*"))
    shutil.copy(image, own_tree)
    assert open_reader(own_tree, "val").path == own_tree / "val"


@pytest.mark.parametrize("name", ["train.tar", "pictures.tar"])
def test_a_tar_of_zeros_is_called_so(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(bytes(10_240))
    told = ilsvrc("prepare", tmp_path, tmp_path / "out", status=2).stderr
    assert f"{name} (10,240 bytes, zeros at its beginning: an empty tar" in told
    told = ilsvrc("prepare", tmp_path / name, tmp_path / "out", status=1).stderr
    assert "hint: it is an empty tar" in told


@pytest.mark.parametrize("name", ["train.zip", "pictures.zip"])
def test_a_zip_behind_a_program_is_called_so(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "plain", "w") as file:
        file.writestr("train/n01440764/n01440764_1.JPEG", b"x")
    (tmp_path / "my zips").mkdir()
    path = tmp_path / "my zips" / name
    path.write_bytes(b"#!/bin/sh\nexit 0\n" + (tmp_path / "plain").read_bytes())
    assert zipfile.is_zipfile(path)
    for given in (path, path.parent):
        told = ilsvrc("prepare", given, tmp_path / "out", status=None)
        assert told.returncode in (1, 2)
        assert "other bytes lie before the zip" in told.stderr
        assert f"`unzip '{path}' -d FOLDER`" in told.stderr
