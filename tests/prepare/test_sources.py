"""`prepare` from what is no archive: a tree gives the same images as the archives that it came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from ilsvrc.errors import DamageError, UsageError
from ilsvrc.prepare.prepare import prepare
from tests.prepare.test_prepare import images, options, unpacked


def test_a_tree_is_prepared_under_another_layout(mini: Path, tree: Path, tmp_path: Path) -> None:
    report = prepare(tree, tmp_path / "out", **options(layout="flat"))
    assert report.ok
    assert [one["form"] for one in report.decisions] == ["class folders"] * 2
    by_name = {Path(path).name: data for path, data in unpacked(mini).items()}
    assert {Path(path).name: data for path, data in images(tmp_path / "out").items()} == by_name


def test_one_split_from_archives_and_the_other_from_a_tree(mini: Path, tree: Path, tmp_path: Path) -> None:
    prepare(mini, tmp_path / "out", **options(splits=("train",)))
    prepare(tree, tmp_path / "out", **options(splits=("val",)))
    assert images(tmp_path / "out") == unpacked(mini)


def test_a_tree_is_never_deleted(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no archive"):
        prepare(tree, tmp_path / "out", **options(source="delete"))
    assert (tree / "train").is_dir()


def test_an_image_that_is_no_longer_the_recorded_one_is_refused(mini: Path, tmp_path: Path) -> None:
    prepare(mini, tmp_path / "tree", **options())
    image = next((tmp_path / "tree/val").glob("*/*.JPEG"))
    image.write_bytes(bytes(image.stat().st_size))
    with pytest.raises(DamageError, match=image.name):
        prepare(tmp_path / "tree", tmp_path / "out", **options(layout="flat", splits=("val",)))
    assert not (tmp_path / "out/val").exists()
