"""What paths of members mean, against a plain reading of the same rules."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ilsvrc import facts
from ilsvrc.facts.names import true_label
from ilsvrc.readers.tars.names import SPLITS, UnknownImage, contradicted, images_among, named

WNIDS = st.sampled_from(facts.classes().wnids)
FOLDERS = st.sampled_from(
    ["", "train/", "val/", "imagenet/train/", "a/b/c/", "ILSVRC/Data/CLS-LOC/val/", "validation/"]
)
TRAIN = st.tuples(WNIDS, st.integers(0, 10**6)).map(lambda pair: f"{pair[0]}_{pair[1]}.JPEG")
FLAT = st.tuples(st.sampled_from(["val", "test"]), st.integers(1, 50_000), st.integers(1, 8)).map(
    lambda given: f"ILSVRC2012_{given[0]}_{given[1]:0{given[2]}}.JPEG"
)
PATHS = st.tuples(FOLDERS, st.one_of(TRAIN, FLAT)).map("".join)
OTHER = st.text(max_size=20).filter(lambda text: not text.endswith(".JPEG"))


@given(st.lists(st.one_of(PATHS, OTHER), max_size=30))
def test_labels_are_those_of_the_names(paths: list[str]) -> None:
    images = images_among(pa.array(paths, pa.string()))
    for place, split, label, name in zip(
        images.places.tolist(), images.splits.tolist(), images.labels.tolist(), images.names.to_pylist(), strict=True
    ):
        last = paths[place].rpartition("/")[2]
        if "test" in last:
            assert (SPLITS[split], label) == ("test", -1)
        else:
            assert label == true_label(last) == true_label(name)
    ours = [place for place, path in enumerate(paths) if path.endswith(".JPEG")]
    assert images.places.tolist() == ours


@pytest.mark.parametrize(
    ("path", "split", "name"),
    [
        ("n01440764_10026.JPEG", "train", "n01440764_10026.JPEG"),
        ("n01440764_10026_n01440764.JPEG", "train", "n01440764_10026.JPEG"),
        ("ILSVRC2012_val_00000001_n01751748.JPEG", "val", "ILSVRC2012_val_00000001.JPEG"),
        ("x/ILSVRC2012_val_0000001.jpeg", "val", "ILSVRC2012_val_00000001.JPEG"),
        ("x/ILSVRC2012_test_00000009.jpg", "test", "ILSVRC2012_test_00000009.JPEG"),
        ("val/n01440764/n01440764_1.JPEG", "val", "n01440764_1.JPEG"),
        ("train/n01751748/ILSVRC2012_val_00000001.JPEG", "train", "ILSVRC2012_val_00000001.JPEG"),
        ("val/train/n01440764/n01440764_1.JPEG", "train", "n01440764_1.JPEG"),
        ("train_val/n01440764_1.JPEG", "train", "n01440764_1.JPEG"),
    ],
)
def test_names_become_official(path: str, split: str, name: str) -> None:
    images = images_among(pa.array([path]))
    assert [SPLITS[number] for number in images.splits] == [split]
    assert images.names.to_pylist() == [name]
    assert not len(contradicted(images))


@pytest.mark.parametrize(
    "path",
    [
        "README",
        "train/._n01440764_1.JPEG",
        "__MACOSX/train/n01440764_1.JPEG",
        ".Trash/n01440764_1.JPEG",
        "n01440764_1.xml",
        "n01440764_1.JPEG/notes",
        "n01440764_1\n.JPEG",
        "n01440764_٣.JPEG",
        "xn01440764_1.JPEG",
        "",
    ],
)
def test_other_files_are_passed_over(path: str) -> None:
    assert not len(images_among(pa.array([path])).places)


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("n01440764/n01440764_1.JPEG", False),
        ("n01443537/n01440764_1.JPEG", True),
        ("n01443537.tar/n01440764_1.JPEG", True),
        ("n01443537/more/n01440764_1.JPEG", True),
        ("n01443537/n01440764/n01440764_1.JPEG", False),
        ("n01440764/n01440764_1_n01443537.JPEG", True),
        ("val/n01751748/ILSVRC2012_val_00000001.JPEG", False),
        ("val/n01440764/ILSVRC2012_val_00000001.JPEG", True),
        ("test/n01440764/ILSVRC2012_test_00000001.JPEG", False),
        ("n99999999/n01440764_1.JPEG", False),
    ],
)
def test_folders_and_names_are_compared(path: str, wrong: bool) -> None:
    assert contradicted(images_among(pa.array([path]))).tolist() == ([0] if wrong else [])


@pytest.mark.parametrize(
    "path", ["n00004475_1.JPEG", "ILSVRC2012_val_00000000.JPEG", "ILSVRC2012_test_00100001.JPEG"]
)
def test_other_releases_are_told(path: str) -> None:
    with pytest.raises(UnknownImage) as caught:
        images_among(pa.array(["README", path]))
    assert caught.value.place == 1


def test_labels_in_words() -> None:
    assert named(0) == "n01440764 (tench, index 0)"
    assert named(-1) == "no class"
