"""Folders renamed by the images in them, also when interrupted at every step."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from ilsvrc import facts
from ilsvrc.check.check import check
from ilsvrc.errors import DataError, UsageError
from ilsvrc.prepare.decision import PrepareOptions
from ilsvrc.prepare.prepare import prepare
from ilsvrc.relabel import relabel

module = sys.modules["ilsvrc.relabel"]  # the package's name for it is the function


@pytest.fixture
def tree(mini: Path, tmp_path: Path) -> Path:
    prepare(mini, tmp_path / "tree", PrepareOptions(jobs=1))
    return tmp_path / "tree"


def folders(tree: Path) -> dict[str, set[str]]:
    """The images of every folder."""
    return {f"{p.parent.name}/{p.name}": {i.name for i in p.iterdir()} for p in tree.glob("[tv]*/*") if p.is_dir()}


def shift(tree: Path, by: int) -> None:
    """Name folders by index plus something, so that new and old names overlap."""
    for split in ("train", "val"):
        for i in range(6):
            (tree / split / facts.classes()[i].wnid).rename(tree / split / f"tmp{i}")
        for i in range(6):
            (tree / split / f"tmp{i}").rename(tree / split / str(i + by))


def test_dry_run_changes_nothing(tree: Path) -> None:
    before = folders(tree)
    told = relabel(tree, "padded")
    assert not told.applied
    assert len(told.renames) == 12
    assert folders(tree) == before


@pytest.mark.parametrize("layout", ["index", "padded", "{split}/{word}/{name}", "{split}/{devkit_id}/{name}"])
def test_prepared_tree_becomes_what_prepare_would_have_made(
    tree: Path, mini: Path, tmp_path: Path, layout: str
) -> None:
    assert relabel(tree, layout, apply=True).applied
    prepare(mini, tmp_path / "other", PrepareOptions(layout=layout, jobs=1))
    assert folders(tree) == folders(tmp_path / "other")
    for split in ("train", "val"):
        assert (tree / f"{split}.txt").read_text() == (tmp_path / f"other/{split}.txt").read_text()
    assert check(tree, deep=True, jobs=1).ok
    again = prepare(mini, tree, PrepareOptions(layout=layout, jobs=1))
    assert [s.seconds for s in again.splits] == [0.0, 0.0], "prepare knows it again"


@pytest.mark.parametrize("by", [1, -0, 3])
def test_shifted_numbers_become_right(tree: Path, mini: Path, by: int) -> None:
    wanted = folders(tree)
    shutil.rmtree(tree / ".ilsvrc")
    shift(tree, by)
    assert check(tree, against=mini).ok is (by == 0)
    relabel(tree, "wnid", apply=True)
    assert folders(tree) == wanted
    assert check(tree, against=mini).ok
    assert relabel(tree, "wnid", apply=True).renames == ()


class Stop(Exception):
    """An interruption."""


@pytest.mark.parametrize("stop_at", range(1, 30))
def test_interrupted_anywhere_it_goes_on(tree: Path, monkeypatch: pytest.MonkeyPatch, stop_at: int) -> None:
    shift(tree, 1)
    shutil.rmtree(tree / ".ilsvrc")
    wanted = {
        f"{split}/{i:04}": names for split in ("train", "val") for i in range(6) for names in [_names(tree, split, i)]
    }
    count = 0

    def counting(name: str) -> object:
        real = getattr(module, name)

        def call(*arguments: object) -> object:
            nonlocal count
            count += 1
            if count == stop_at:
                raise Stop
            return real(*arguments)

        return call

    with monkeypatch.context() as patch:
        for name in ("_rename", "_sync", "_write_intent"):
            patch.setattr(module, name, counting(name))
        try:
            relabel(tree, "padded", apply=True)
        except Stop:
            assert count == stop_at
    relabel(tree, "padded", apply=True)
    assert folders(tree) == wanted
    assert not list(tree.glob(".ilsvrc/relabel.json"))


def _names(tree: Path, split: str, index: int) -> set[str]:
    return {p.name for p in (tree / split / str(index + 1)).iterdir()}


def test_mixed_folders_are_refused(tree: Path) -> None:
    image = next((tree / "train/n01440764").iterdir())
    image.rename(tree / "train/n01443537" / image.name)
    before = folders(tree)
    with pytest.raises(DataError, match="several classes"):
        relabel(tree, "index", apply=True)
    assert folders(tree) == before


def test_two_folders_of_one_class_are_refused(tree: Path) -> None:
    (tree / "train/copy").mkdir()
    image = next((tree / "train/n01440764").iterdir())
    shutil.copy(image, tree / "train/copy/n01440764_99999.JPEG")
    with pytest.raises(DataError, match="copy and n01440764 would both be n01440764"):
        relabel(tree, "wnid", apply=True)


@pytest.mark.parametrize("layout", ["flat", "{split}/{wnid}/{word}/{name}", "{split}/{wnid}/x_{name}"])
def test_layouts_without_a_folder_a_class_are_refused(tree: Path, layout: str) -> None:
    with pytest.raises(UsageError, match="no folder for each class"):
        relabel(tree, layout)


def test_no_tree_is_the_callers_fault(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no train or val"):
        relabel(tmp_path, "wnid")
