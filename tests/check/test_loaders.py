"""The labels that loaders give, beside what the loaders themselves give."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from ilsvrc import facts
from ilsvrc.check.loaders import LoaderLabels, class_labels, folder_labels
from ilsvrc.tree.scan import survey
from tests.oracles import needs, package, torchvision_datasets

WNIDS = facts.classes().wnids


def tree_of(folder: Path, folders: dict[str, int]) -> Path:
    """Write folders with two images of a class in each; none where the class is -1."""
    for name, label in folders.items():
        (folder / name).mkdir(parents=True)
        for number in range(2) if label >= 0 else ():
            (folder / name / f"{WNIDS[label]}_{number}.JPEG").write_bytes(b"\xff\xd8\xff\xd9")
    return folder


TREES = {
    "wnid": {WNIDS[label]: label for label in range(12)},
    "subset": {WNIDS[label]: label for label in (3, 5, 8)},
    "index": {str(label): label for label in range(12)},
    "padded": {f"{label:04}": label for label in range(12)},
    "hidden": {".ipynb_checkpoints": -1, **{WNIDS[label]: label for label in range(4)}},
    "empty": {"an_empty_one": -1, **{WNIDS[label]: label for label in range(4)}},
}


def given(folder: Path, loader: str) -> LoaderLabels:
    (found,) = [one for one in folder_labels(survey(folder, "train")) if one.loaders.startswith(loader)]
    return found


def wrong(class_to_label: dict[str, int], actual: dict[str, int]) -> int:
    """How many folders a loader labels otherwise than ILSVRC 2012, where they hold images."""
    return sum(actual[name] not in (label, -1) for name, label in class_to_label.items())


@pytest.mark.parametrize("kind", TREES)
def test_torchvision_gives_what_is_said(tmp_path: Path, kind: str) -> None:
    folder = tree_of(tmp_path / "train", TREES[kind])
    classes = torchvision_datasets().ImageFolder(str(folder), allow_empty=True).class_to_idx
    said = given(folder, "torchvision")
    assert (said.folders, said.wrong) == (len(classes), wrong(classes, TREES[kind]))


@pytest.mark.parametrize("kind", TREES)
def test_timm_gives_what_is_said(tmp_path: Path, kind: str) -> None:
    folder = tree_of(tmp_path / "train", TREES[kind])
    _, classes = package("timm.data.readers.reader_image_folder").find_images_and_targets(str(folder))
    said = given(folder, "timm")
    assert (said.folders, said.wrong) == (len(classes), wrong(classes, TREES[kind]))


@pytest.mark.parametrize("kind", TREES)
def test_keras_gives_what_is_said(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("keras", "torch")
    monkeypatch.setitem(os.environ, "KERAS_BACKEND", "torch")
    folder = tree_of(tmp_path / "train", TREES[kind])
    index = package("keras.src.utils.dataset_utils").index_directory
    _, labels, names = index(str(folder), "inferred", formats=(".jpeg",))
    said = given(folder, "Keras")
    assert (said.folders, said.wrong) == (
        len(names),
        wrong(dict(zip(names, range(len(names)), strict=True)), TREES[kind]),
    )
    assert max(labels) < len(names)


@pytest.mark.parametrize("kind", ["wnid", "subset", "index", "padded", "empty"])
def test_hugging_face_gives_what_is_said(tmp_path: Path, kind: str) -> None:
    folder = tree_of(tmp_path / "train", TREES[kind])
    load = package("datasets").load_dataset
    names = (
        load("imagefolder", data_dir=str(folder), cache_dir=str(tmp_path / "cache"))["train"].features["label"].names
    )
    said = given(folder, "Hugging Face")
    assert (said.folders, said.wrong) == (
        len(names),
        wrong(dict(zip(names, range(len(names)), strict=True)), TREES[kind]),
    )


def test_numbers_that_are_not_padded_are_right_for_timm_alone(tmp_path: Path) -> None:
    folder = tree_of(tmp_path / "train", TREES["index"])
    wrong_of = {one.loaders.split()[0]: one.wrong for one in folder_labels(survey(folder, "train"))}
    assert wrong_of == {"torchvision": 10, "Keras": 10, "Hugging": 10, "timm": 0}
    assert given(folder, "torchvision").example == "folder 10 gets label 2, is 10"


def test_classes_without_folders_are_those_of_folders_named_by_wnid() -> None:
    found = class_labels(np.array([3, 3, 5, -1, 8], np.int16))
    assert {(one.folders, one.wrong) for one in found} == {(3, 3)}
    assert found[0].example == f"folder {WNIDS[3]} gets label 0, is 3"
    assert {one.wrong for one in class_labels(np.arange(1000, dtype=np.int16))} == {0}
    assert class_labels(np.array([-1, -1], np.int16)) == ()


def test_test_split_has_no_labels(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    (tmp_path / "test/ILSVRC2012_test_00000001.JPEG").write_bytes(b"\xff\xd8\xff\xd9")
    assert folder_labels(survey(tmp_path / "test", "test")) == ()
