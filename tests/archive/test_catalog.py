"""Which paths are images, and what name and folders say of them; the facts are the oracle."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ilsvrc import facts
from ilsvrc.archive.catalog import SPLITS, UNKNOWN, UNSAID, images_of, official_name
from ilsvrc.facts.names import image_split, true_label, val_name

WNIDS = st.sampled_from(facts.classes().wnids)
TRAIN = st.builds("{}_{}.JPEG".format, WNIDS, st.integers(0, 99_999))
VAL = st.builds(val_name, st.integers(1, 50_000))
TEST = st.builds("ILSVRC2012_test_{:08}.JPEG".format, st.integers(1, 100_000))
OTHERS = st.sampled_from(["readme.txt", "n01440764_1.xml", "._n01440764_1.JPEG", "n01440764_1.JPEG.txt", "", "x"])
FOLDERS = st.sampled_from(["", "a/", "./", "ILSVRC/Data/CLS-LOC/", "é/"])


@given(st.lists(st.tuples(FOLDERS, TRAIN | VAL | TEST | OTHERS), max_size=30))
def test_names_say_split_and_label(members: list[tuple[str, str]]) -> None:
    found = images_of(pa.array([folder + name for folder, name in members], pa.string()))
    wanted = [row for row, (_, name) in enumerate(members) if name.endswith(".JPEG") and image_split(name)]
    assert found.rows.tolist() == wanted
    assert found.names.to_pylist() == [members[row][1] for row in wanted]
    assert [SPLITS[split] for split in found.splits] == [image_split(members[row][1]) for row in wanted]
    labels = [-1 if "_test_" in members[row][1] else true_label(members[row][1]) for row in wanted]
    assert found.labels.tolist() == labels
    assert set(found.folder_labels.tolist()) | set(found.folder_splits.tolist()) <= {UNSAID}
    assert not found.unsafe.any()


@pytest.mark.parametrize(
    ("given", "official"),
    [
        ("ILSVRC2012_val_1.JPEG", "ILSVRC2012_val_00000001.JPEG"),
        ("ILSVRC2012_test_00000001.jpg", "ILSVRC2012_test_00000001.JPEG"),
        ("n01440764_18.jpeg", "n01440764_18.JPEG"),
        ("n01440764_18.JPG", "n01440764_18.JPEG"),
        ("n01440764_18.png", ""),
        ("ILSVRC2012_val_000000001.JPEG", ""),
        ("n01440764_18\n.JPEG", ""),
        ("cat.JPEG", ""),
    ],
)
def test_names_become_official(given: str, official: str) -> None:
    assert official_name(given) == official


@pytest.mark.parametrize("name", ["n99999999_1.JPEG", "ILSVRC2012_val_00050001.JPEG", "ILSVRC2012_test_0.JPEG"])
def test_images_that_ilsvrc_2012_has_not_are_unknown(name: str) -> None:
    assert images_of(pa.array([name])).labels.tolist() == [UNKNOWN]


@pytest.mark.parametrize(
    ("folder", "label", "split"),
    [
        ("train/n01440764/", 0, 0),
        ("n01443537/n01440764/images/", 0, UNSAID),
        ("n99999999/", UNKNOWN, UNSAID),
        ("val/train/VAL/", UNSAID, 1),
        ("validation/000/", UNSAID, 1),
        ("trainset/n0144076/", UNSAID, UNSAID),
    ],
)
def test_the_nearest_folders_say_class_and_split(folder: str, label: int, split: int) -> None:
    found = images_of(pa.array([f"{folder}n01440764_18.JPEG"]))
    assert (found.folder_labels.item(), found.folder_splits.item()) == (label, split)


@pytest.mark.parametrize("folder", ["__MACOSX/train/", ".Trash/", "train/.ipynb_checkpoints/"])
def test_hidden_folders_are_left_out(folder: str) -> None:
    assert not len(images_of(pa.array([f"{folder}n01440764_18.JPEG"])).rows)


@pytest.mark.parametrize("folder", ["/", "/train/", "../", "train/../../", "a/.."])
def test_paths_that_lead_out_are_unsafe(folder: str) -> None:
    assert images_of(pa.array([f"{folder}/n01440764_18.JPEG"])).unsafe.all()
