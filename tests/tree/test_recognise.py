"""Layouts and labels by the names of folders and images."""

from __future__ import annotations

from pathlib import Path

import pytest

from ilsvrc import facts
from ilsvrc.issues import Code
from ilsvrc.tree.recognise import UNKNOWN, folder_order, label_issues, layout_of
from ilsvrc.tree.scan import Tree, survey

WNIDS = [synset.wnid for synset in facts.classes()][:4]


def tree_of(root: Path, folders: dict[str, str], split: str = "train") -> Tree:
    """A split with an empty image in each folder, of the class of this wnid; no image for an empty wnid."""
    for name, wnid in folders.items():
        (root / split / name).mkdir(parents=True)
        if wnid:
            (root / split / name / f"{wnid}_1.JPEG").touch()
    return survey(root / split, split)


@pytest.mark.parametrize(
    ("names", "layout"),
    [
        (WNIDS, "wnid"),
        (["0", "1", "2", "3"], "index"),
        (["0000", "0001", "0002", "0003"], "padded"),
        (["tench", "goldfish", "shark", "ray"], UNKNOWN),
    ],
)
def test_layouts_are_told_by_folder_names(tmp_path: Path, names: list[str], layout: str) -> None:
    tree = tree_of(tmp_path, dict(zip(names, WNIDS, strict=True)))
    assert layout_of(tree) == layout
    assert label_issues(tree, layout) == []


@pytest.mark.parametrize("number", ["9" * 19, "9" * 200, "18446744073709551616", "1844674407370955161"])
@pytest.mark.parametrize("wnid", ["", WNIDS[3]])
def test_numbers_that_no_integer_takes_are_stray_folders(tmp_path: Path, number: str, wnid: str) -> None:
    folders = dict(zip(["0", "1", "2"], WNIDS, strict=False)) | {number: wnid}
    tree = tree_of(tmp_path, folders)
    codes = {(issue.key, issue.code) for issue in label_issues(tree, layout_of(tree))}
    assert (number, Code.STRAY_FOLDER) in codes


def test_test_images_are_of_no_wrong_class_in_whatever_layout(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    (tmp_path / "test/ILSVRC2012_test_00000001.JPEG").touch()
    tree = survey(tmp_path / "test", "test")
    assert layout_of(tree) == "flat"
    assert [label_issues(tree, layout) for layout in ("flat", "wnid", "index", "padded", UNKNOWN)] == [[]] * 5


def test_imagefolder_numbers_the_folders_that_it_finds(tmp_path: Path) -> None:
    order = folder_order(tree_of(tmp_path, {WNIDS[1]: WNIDS[1], WNIDS[3]: WNIDS[3]}))
    assert (order.folders, order.wrong) == (2, 2)
    assert order.example == f"folder {WNIDS[1]} gets label 0, is 1"
