"""Index order is the order of torchvision's ImageFolder over the unpacked tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from ilsvrc import facts
from ilsvrc.archive.sidecar import index
from ilsvrc.prepare.prepare import prepare
from ilsvrc.tree.recognise import folder_order
from ilsvrc.tree.scan import survey
from tests.oracles import torchvision_datasets


@pytest.fixture(scope="module")
def tree(thousand: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("order")
    prepare(thousand, folder, jobs=1)
    return folder


@pytest.mark.parametrize("split", ["train", "val"])
def test_imagefolder_lists_the_same_images_with_the_same_labels(thousand: Path, tree: Path, split: str) -> None:
    folder = torchvision_datasets().ImageFolder(str(tree / split))
    (found,) = (one for one in index(thousand) if one.split == split)
    assert [Path(path).name for path, _ in folder.samples] == [member.name for member in found]
    assert folder.targets == found.labels.tolist()
    assert folder.classes == list(facts.classes().wnids)
    manifest = [line.rsplit(" ", 1) for line in (tree / f"{split}.txt").read_text().splitlines()]
    assert [(path, int(label)) for path, label in manifest] == [
        (str(Path(path).relative_to(tree / split)), label) for path, label in folder.samples
    ]


@pytest.mark.parametrize("layout", ["index", "padded"])
def test_what_check_says_of_imagefolder_is_what_imagefolder_does(thousand: Path, tmp_path: Path, layout: str) -> None:
    prepare(thousand, tmp_path, layout=layout, splits=("val",), jobs=1)
    folder = torchvision_datasets().ImageFolder(str(tmp_path / "val"))
    truth = {Path(path).name: facts.val_labels()[int(Path(path).name[15:23]) - 1] for path, _ in folder.samples}
    wrong = {Path(path).parent.name for path, label in folder.samples if truth[Path(path).name] != label}
    assert folder_order(survey(tmp_path / "val", "val")).wrong == len(wrong) == (988 if layout == "index" else 0)
