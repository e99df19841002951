from __future__ import annotations

import csv
import gzip
import io
import shutil
import subprocess
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import pytest

from ilsvrc.facts import classes
from ilsvrc.testing import Form, State
from tests.oracles import torchvision_datasets
from tests.testing.conftest import Written
from tests.testing.forms.test_folders import WNIDS, labels
from tests.testing.helpers import decode, images_of, tree, untar

DATA, SETS, BOXES = (f"ILSVRC/{name}/CLS-LOC" for name in ("Data", "ImageSets", "Annotations"))


def lines(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    assert text == "" or text.endswith("\n")
    return text.splitlines()


def boxes(folder: Path, split: str) -> dict[str, list[list[str]]]:
    """Return of each image of a solution the wnid and four numbers of each box."""
    rows = csv.DictReader(io.StringIO((folder / f"LOC_{split}_solution.csv").read_text()))
    assert rows.fieldnames == ["ImageId", "PredictionString"]
    words = {row["ImageId"]: row["PredictionString"].split() for row in rows}
    return {name: [found[k : k + 5] for k in range(0, len(found), 5)] for name, found in words.items()}


def test_its_images_are_those_of_the_archives(written: Written) -> None:
    data, images = written(Form.KAGGLE) / DATA, images_of(written())
    assert tree(data / "train") == {f"{name[:9]}/{name}": jpeg for name, jpeg in sorted(images["train"].items())}
    assert tree(data / "val") == images["val"]
    assert tree(data / "test") == images["test"]


def test_torchvision_reads_its_train_images(written: Written) -> None:
    folder = torchvision_datasets().ImageFolder(written(Form.KAGGLE) / DATA / "train")
    assert {Path(path).name: folder.classes[label] for path, label in folder.samples} == labels(written(), "train")


def test_its_files_are_those_that_kaggle_has(written: Written) -> None:
    root = written(Form.KAGGLE)
    lists = ["LOC_sample_submission.csv", "LOC_synset_mapping.txt", "LOC_train_solution.csv", "LOC_val_solution.csv"]
    assert sorted(path.name for path in root.iterdir()) == ["ILSVRC", *lists]
    assert sorted(path.name for path in (root / "ILSVRC").iterdir()) == ["Annotations", "Data", "ImageSets"]
    names = ["test.txt", "train_cls.txt", "train_loc.txt", "val.txt"]
    assert sorted(path.name for path in (root / SETS).iterdir()) == names


def test_the_lists_name_every_image_and_its_line(written: Written) -> None:
    root, images = written(Form.KAGGLE), images_of(written())
    in_order = [f"{name[:9]}/{name.removesuffix('.JPEG')}" for name in sorted(images["train"])]
    assert lines(root / SETS / "train_cls.txt") == [f"{name} {k}" for k, name in enumerate(in_order, 1)]
    boxed = [name.split()[0] for name in lines(root / SETS / "train_loc.txt")]
    assert lines(root / SETS / "train_loc.txt") == [f"{name} {k}" for k, name in enumerate(boxed, 1)]
    assert boxed == [name for name in in_order if name in set(boxed)]
    assert {name[:9] for name in boxed} == set(WNIDS)
    assert len(boxed) == 12 * round(5 * 0.425)
    for split in ("val", "test"):
        names = sorted(name.removesuffix(".JPEG") for name in images[split])
        assert lines(root / SETS / f"{split}.txt") == [f"{name} {int(name[-8:])}" for name in names]


def test_the_mapping_has_all_classes_in_the_order_of_their_labels(written: Written) -> None:
    mapping = lines(written(Form.KAGGLE) / "LOC_synset_mapping.txt")
    assert mapping[:2] == ["n01440764 tench, Tinca tinca", "n01443537 goldfish, Carassius auratus"]
    assert [line[:9] for line in mapping] == [synset.wnid for synset in classes()]


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_solution_has_the_right_label_and_boxes_inside_the_picture(written: Written, split: str) -> None:
    root, truth = written(Form.KAGGLE), labels(written(), split)
    solution = boxes(root, split)
    listed = lines(root / SETS / ("train_loc.txt" if split == "train" else "val.txt"))
    assert sorted(solution) == sorted(line.split()[0].rpartition("/")[2] for line in listed)
    assert list(solution) != sorted(solution)
    for name, found in solution.items():
        width, height = decode(images_of(written())[split][f"{name}.JPEG"]).size
        assert {wnid for wnid, *_ in found} == {truth[f"{name}.JPEG"]}
        for left, top, right, bottom in (map(int, box[1:]) for box in found):
            assert 0 <= left < right <= width
            assert 0 <= top < bottom <= height


@pytest.mark.parametrize("split", ["train", "val"])
def test_the_boxes_are_the_same_as_xml(written: Written, split: str) -> None:
    root, truth = written(Form.KAGGLE), labels(written(), split)
    solution = boxes(root, split)
    found = {path.stem: path for path in (root / BOXES / split).rglob("*.xml")}
    assert sorted(found) == sorted(solution)
    for name, path in found.items():
        annotation = ET.parse(path).getroot()
        assert annotation.findtext("filename") == name
        assert annotation.findtext("folder") == (truth[f"{name}.JPEG"] if split == "train" else "val")
        assert path.parent.name == annotation.findtext("folder")
        size = decode(images_of(written())[split][f"{name}.JPEG"]).size
        assert (annotation.findtext("size/width"), annotation.findtext("size/height")) == tuple(map(str, size))
        numbers = ("name", "bndbox/xmin", "bndbox/ymin", "bndbox/xmax", "bndbox/ymax")
        assert [[o.findtext(n) for n in numbers] for o in annotation.findall("object")] == solution[name]


def test_a_sample_submission_names_every_test_image(written: Written) -> None:
    first, *rows = lines(written(Form.KAGGLE) / "LOC_sample_submission.csv")
    assert first == "ImageId,PredictionString"
    assert [row.partition(",")[0] for row in rows] == [f"ILSVRC2012_test_{k:08}" for k in (1, 2, 3)]
    assert all(len(row.partition(",")[2].split()) % 5 == 0 for row in rows)


def test_without_test_images_their_lists_are_empty(written: Written) -> None:
    root = written(Form.KAGGLE, test_images=0)
    assert lines(root / SETS / "test.txt") == []
    assert lines(root / "LOC_sample_submission.csv") == ["ImageId,PredictionString"]
    assert not (root / DATA / "test").exists()


@pytest.mark.parametrize("compressed", [False, True])
def test_the_zip_holds_the_same_files(written: Written, compressed: bool) -> None:
    folder = written(Form.KAGGLE_ZIP, compressed=compressed)
    [path] = folder.iterdir()
    assert path.name == "imagenet-object-localization-challenge.zip"
    if shutil.which("unzip"):
        subprocess.run(["unzip", "-tqq", str(path)], check=True, capture_output=True)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == tree(written(Form.KAGGLE))
        assert archive.namelist() == sorted(archive.namelist())
        kinds = {member.compress_type for member in archive.infolist()}
    assert kinds == {zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED}


def test_the_tar_unpacks_to_the_same_tree(written: Written, tmp_path: Path) -> None:
    folder, whole = written(Form.KAGGLE_TARGZ), tree(written(Form.KAGGLE))
    name = "imagenet_object_localization_patched2019.tar.gz"
    untar(folder / name, tmp_path)
    assert tree(tmp_path) == {path: data for path, data in whole.items() if path.startswith("ILSVRC/")}
    beside = {path: data for path, data in tree(folder).items() if path != name}
    assert beside == {path: data for path, data in whole.items() if path.startswith("LOC_")}
    with gzip.open(folder / name) as file:
        assert file.read(7) == b"ILSVRC/"


def test_valprep_stopped_half_way(written: Written) -> None:
    half = written(Form.KAGGLE, state=State.HALF_VALPREP)
    assert tree(half / DATA / "val") == tree(written(Form.HEAP, state=State.HALF_VALPREP) / "val")
    rest = {path: data for path, data in tree(written(Form.KAGGLE)).items() if not path.startswith(f"{DATA}/val")}
    assert rest.items() <= tree(half).items()
