"""`ilsvrc relabel` as a user runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.helpers import ilsvrc, ilsvrc_json


@pytest.fixture
def tree(mini: Path, tmp_path: Path) -> Path:
    ilsvrc("-q", "prepare", mini, tmp_path / "tree")
    return tmp_path / "tree"


def test_it_says_what_it_would_do_then_does_it(tree: Path) -> None:
    told = ilsvrc("relabel", tree, "--layout", "padded").stdout
    assert f"{tree}/train: n01440764 -> 0000" in told
    assert "12 folders would be renamed: add --apply to do it" in told
    assert (tree / "train/n01440764").is_dir()
    assert "12 folders renamed" in ilsvrc("relabel", tree, "--layout", "padded", "--apply").stdout
    assert (
        "every folder with images already has its name in layout padded"
        in ilsvrc("relabel", tree, "--layout", "padded").stdout
    )


def test_where_it_recognises_nothing_it_ends_with_1(tree: Path) -> None:
    for image in tree.glob("*/*/*.JPEG"):
        image.rename(image.with_suffix(".png"))
    told = ilsvrc_json("relabel", tree, status=1)
    assert "no image of ILSVRC 2012 was recognised" in told["error"]
    assert f"ilsvrc check {tree}" in told["hint"]
    assert "every folder" not in ilsvrc("relabel", tree, status=1).stdout


def test_folders_without_images_are_named(tree: Path) -> None:
    (tree / "train/dogs").mkdir()
    assert "folders without a recognised image keep their names (1): train/dogs" in ilsvrc("relabel", tree).stdout
    assert ilsvrc_json("relabel", tree)["unrecognised"] == ["train/dogs"]


def test_lists_that_are_behind_are_spoken_of(tree: Path) -> None:
    listed = (tree / "val.txt").read_text()
    ilsvrc("relabel", tree, "--layout", "padded", "--apply")
    (tree / "val.txt").write_text(listed)  # as an interruption leaves it
    told = ilsvrc("relabel", tree, "--layout", "padded").stdout
    assert "manifest and list of val would be brought up to date: add --apply to do it" in told
    assert (
        "manifest and list of val brought up to date"
        in ilsvrc("relabel", tree, "--layout", "padded", "--apply").stdout
    )
    assert (tree / "val.txt").read_text() != listed
