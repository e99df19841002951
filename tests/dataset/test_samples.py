"""Assigned samples, targets and imgs: every way that people assign them, beside torchvision's ImageFolder."""

from __future__ import annotations

import copy
import pickle
import random
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ilsvrc import BlockShuffle, ImageNet, facts, prepare
from ilsvrc.errors import UsageError
from ilsvrc.facts.names import val_name
from tests.oracles import package, torchvision_datasets

Change = Callable[[Any], None]

EVERY_THIRD = [1, 4, 7, 10, 13, 16, 19, 22]


def the_first(dataset: Any) -> None:
    dataset.samples = dataset.samples[:7]


def the_first_of_all_lists(dataset: Any) -> None:
    dataset.samples = dataset.samples[:7]
    dataset.targets = dataset.targets[:7]
    dataset.imgs = dataset.imgs[:7]


def some_of_all_lists(dataset: Any) -> None:
    dataset.imgs = [dataset.imgs[index] for index in EVERY_THIRD]
    dataset.samples = [dataset.samples[index] for index in EVERY_THIRD]
    dataset.targets = [dataset.targets[index] for index in EVERY_THIRD]


def targets_first(dataset: Any) -> None:
    wanted = {1, 3}
    dataset.targets = [label for label in dataset.targets if label in wanted]
    dataset.samples = [pair for pair in dataset.samples if pair[1] in wanted]


def permuted(dataset: Any) -> None:
    order = random.Random(3).sample(range(len(dataset)), len(dataset))
    dataset.samples = [dataset.samples[index] for index in order]
    dataset.targets = [dataset.targets[index] for index in order]


def other_labels(dataset: Any) -> None:
    dataset.samples = [(path, 5 - label) for path, label in dataset.samples]
    dataset.targets = [pair[1] for pair in dataset.samples]
    dataset.imgs = dataset.samples


def drawn_with_repetition(dataset: Any) -> None:
    dataset.samples = [dataset.samples[index] for index in np.random.RandomState(1).randint(0, 24, 40)]


def joined(dataset: Any) -> None:
    dataset.samples = dataset.samples + dataset.samples[:5]


def twice(dataset: Any) -> None:
    dataset.samples = dataset.samples[4:20]
    dataset.samples = dataset.samples[::3]


def a_tensor_of_targets(dataset: Any) -> None:
    dataset.targets = package("torch").as_tensor(np.asarray(dataset.targets))


def none(dataset: Any) -> None:
    dataset.samples = []


CHANGES = [
    the_first,
    the_first_of_all_lists,
    some_of_all_lists,
    targets_first,
    permuted,
    other_labels,
    drawn_with_repetition,
    joined,
    twice,
    a_tensor_of_targets,
    none,
]


@pytest.mark.parametrize("change", CHANGES)
def test_does_as_imagefolder_does(mini: Path, tree: Path, change: Change) -> None:
    theirs = torchvision_datasets().ImageFolder(tree / "train")
    ours, packed = ImageNet(tree, relabel=True), ImageNet(mini, relabel=True)
    for dataset in (theirs, ours, packed):
        change(dataset)
    assert len(ours) == len(packed) == len(theirs)
    assert list(ours.samples) == list(theirs.samples)
    assert list(ours.imgs) == list(theirs.imgs)
    assert [label for _, label in packed.samples] == [label for _, label in theirs.samples]
    assert list(ours.targets) == list(packed.targets) == list(theirs.targets)
    for index in range(len(theirs)):
        data = Path(theirs.samples[index][0]).read_bytes()
        assert ours.bytes(index) == packed.bytes(index) == data
        image, label = theirs[index]
        for other in (ours[index], packed[index]):
            assert other[1] == label
            assert other[0].tobytes() == image.tobytes()


@pytest.mark.parametrize("change", CHANGES)
def test_copies_have_the_assigned_lists(mini: Path, change: Change) -> None:
    dataset = ImageNet(mini, loader=len)
    change(dataset)
    for other in (pickle.loads(pickle.dumps(dataset)), copy.deepcopy(dataset)):
        assert list(other) == list(dataset)
        assert list(other.targets) == list(dataset.targets)


def test_a_copy_is_changed_alone(mini: Path) -> None:
    dataset = ImageNet(mini)
    other = copy.copy(dataset)
    the_first(other)
    assert (len(other), len(dataset)) == (7, 24)


def labels_alone(dataset: Any) -> None:
    dataset.targets = [5 - label for label in dataset.targets]


def fewer_targets(dataset: Any) -> None:
    dataset.targets = dataset.targets[:5]


def pairs_as_targets(dataset: Any) -> None:
    dataset.targets = [(1, 2), (1,)]


def imgs_alone(dataset: Any) -> None:
    dataset.imgs = dataset.imgs[:5]


def stale_targets(dataset: Any) -> None:
    the_first_of_all_lists(dataset)
    dataset.samples = dataset.samples[:3]


@pytest.mark.parametrize("change", [labels_alone, fewer_targets, pairs_as_targets, imgs_alone, stale_targets])
def test_a_list_without_effect_is_refused_when_images_are_read(mini: Path, change: Change) -> None:
    dataset = ImageNet(mini)
    change(dataset)
    for _ in range(2):
        with pytest.raises(UsageError, match="differs from `samples`, by which images are read") as caught:
            dataset[0]
        assert "assign `samples`" in caught.value.hint
    dataset.targets = [label for _, label in dataset.samples]
    dataset.imgs = dataset.samples
    assert dataset[0][1] == 0


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["x"], "no pair"),
        ([("x", 1, 2)], "no pair"),
        ([3], "no pair"),
        ([("x.JPEG", 1)], "no image of this data set"),
        ([("x.JPEG", 1.5)], "no integer"),
        ([("x.JPEG", "tench")], "no integer"),
    ],
)
def test_samples_that_can_not_be_read_are_refused(mini: Path, pairs: list[Any], message: str) -> None:
    dataset = ImageNet(mini)
    with pytest.raises(UsageError, match=message):
        dataset.samples = pairs
    assert len(dataset) == 24


def test_samples_of_another_split_are_refused(mini: Path) -> None:
    dataset = ImageNet(mini)
    with pytest.raises(UsageError, match="no image of this data set"):
        dataset.samples = ImageNet(mini, "val").samples


@pytest.mark.parametrize("root", ["archives", "tree"])
def test_every_path_is_found_again(thousand: Path, thousand_tree: Path, root: str) -> None:
    for split in ("train", "val"):
        dataset = ImageNet(thousand if root == "archives" else thousand_tree, split)
        order = np.random.RandomState(0).permutation(len(dataset))
        before = [dataset.samples[index] for index in order]
        dataset.samples = before
        assert dataset.samples == before


def test_test_images_are_found_again(mini: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "ILSVRC2012_img_test_v10102019.tar", "w") as archive:
        for number in (1, 2, 3):
            path = tmp_path / f"ILSVRC2012_test_{number:08}.JPEG"
            path.write_bytes(ImageNet(mini).bytes(number))
            archive.add(path, f"test/{path.name}")
    dataset = ImageNet(tmp_path, "test")
    dataset.samples = dataset.samples[::-1]
    assert [dataset.bytes(index) for index in range(3)] == [ImageNet(mini).bytes(number) for number in (3, 2, 1)]
    assert [label for _, label in dataset] == [-1, -1, -1]


def test_paths_are_found_where_a_user_gave_the_validation_labels(mini: Path, tmp_path: Path) -> None:
    labels = facts.val_labels().tolist()
    labels[292] = 5  # a tench, by the ground truth
    (tmp_path / "val.txt").write_text("".join(f"{val_name(n)} {label}\n" for n, label in enumerate(labels, 1)))
    prepare(mini, tmp_path / "tree", splits=("val",), val_labels=tmp_path / "val.txt", trust_val_labels=True, jobs=1)
    dataset = ImageNet(tmp_path / "tree", "val")
    [(path, label)] = [pair for pair in dataset.samples if Path(pair[0]).name == val_name(293)]
    assert label == 5
    dataset.samples = [(path, label)]
    assert dataset.bytes(0) == Path(path).read_bytes()
    assert dataset[0][1] == 5


def test_pandas_is_not_imported_to_find_a_path(mini: Path) -> None:
    code = (
        "import sys; from ilsvrc import ImageNet; d = ImageNet(sys.argv[1], loader=len); d.samples = d.samples[:9]\n"
        "try: d.loader('x.JPEG')\nexcept Exception as error: print(error, 'pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(mini)], capture_output=True, text=True, check=True)
    assert done.stdout == "x.JPEG is no image of this data set False\n"


def test_reads_are_announced_and_ordered_by_the_images_chosen(mini: Path) -> None:
    dataset = ImageNet(mini, loader=len)
    storage = [dataset.path(index) for index in dataset.storage_order()]
    drawn_with_repetition(dataset)
    order = dataset.storage_order()
    assert sorted(order.tolist()) == list(range(40))
    places = [storage.index(dataset.path(index)) for index in order]
    assert places == sorted(places)
    assert dataset.__getitems__([39, -1, 0]) == [dataset[39], dataset[39], dataset[0]]
    assert sorted(BlockShuffle(dataset, 4, 2)) == list(range(40))


def test_labels_of_classes_may_be_assigned(mini: Path) -> None:
    dataset = ImageNet(mini)
    dataset.classes = [("fish",)]
    dataset.class_to_idx = {"fish": 0}
    assert (dataset.classes, dataset.class_to_idx) == ([("fish",)], {"fish": 0})


@pytest.mark.parametrize("name", ["find_classes", "make_dataset"])
def test_a_method_that_is_never_called_is_refused_in_a_subclass(name: str) -> None:
    with pytest.raises(UsageError, match=f"Own defines {name}, which ilsvrc.ImageNet never calls") as caught:
        type("Own", (ImageNet,), {name: lambda self: None})
    assert "classes=" in caught.value.hint
