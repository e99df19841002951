"""From an issue to its image."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from ilsvrc.check.check import check
from ilsvrc.check.places import NO_ROW, rows_of
from ilsvrc.issues import Code, Issue
from ilsvrc.readers.locate import find_splits
from ilsvrc.testing.mini import MiniSpec, write_mini
from ilsvrc.testing.spec import Form


@pytest.mark.parametrize("form", Form)
def test_key_of_every_image_leads_to_its_row_in_every_form(tmp_path: Path, form: Form) -> None:
    write_mini(tmp_path, MiniSpec(classes=3, per_class=2, val_per_class=1, mean_bytes=3_000, form=form))
    for split in ("train", "val"):
        reader = find_splits(tmp_path)[split].open()
        issues = [Issue(reader.where(row).key, Code.UNREADABLE, "") for row in range(len(reader))]
        np.testing.assert_array_equal(rows_of(reader, issues[::-1]), np.arange(len(reader))[::-1])


def test_issue_about_no_image_leads_nowhere(tree: Path) -> None:
    reader = find_splits(tree)["train"].open()
    keys = [".", "n01440764", "n01440764/n01440764_999999.JPEG", "elsewhere/" + reader.where(0).key, ""]
    assert rows_of(reader, [Issue(key, Code.MISSING_IMAGE, "") for key in keys]).tolist() == [NO_ROW] * len(keys)
    assert rows_of(reader, []).shape == (0,)


def test_image_that_is_there_twice_is_told_apart_by_its_path(tree: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tree, tmp_path / "tree"))
    first = sorted((copy / "train").glob("*/*.JPEG"))[0]
    shutil.copy(first, copy / "train/n01443537" / first.name)
    (part,) = (part for part in check(copy, overview=True).parts if part.split == "train")
    twice = next(number for number, issue in enumerate(part.issues) if issue.code is Code.DUPLICATE_IMAGE)
    assert part.overview is not None
    place = part.overview.place(twice)
    assert place is not None
    assert place.file == f"{copy}/train/{part.issues[twice].key}"
    assert part.overview.images.read(part.overview.rows.item(twice)) == first.read_bytes()
