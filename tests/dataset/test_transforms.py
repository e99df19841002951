"""Transforms beside those of torchvision's VisionDataset."""

from __future__ import annotations

import pickle
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from ilsvrc import ImageNet
from ilsvrc.dataset.transforms import StandardTransform
from tests.oracles import torchvision_datasets


def size(image: Any) -> Any:
    """Return the size of an image."""
    return image.size


def negative(label: int) -> int:
    """Return the label with the other sign."""
    return -label


def both(image: Any, label: int) -> tuple[Any, str]:
    """Return the size of an image, and its label as text."""
    return image.size, f"label {label}"


class Lines:
    """A transform whose text has several lines, as torchvision's Compose has."""

    def __repr__(self) -> str:
        return "Lines(\n  one\n)"

    def __call__(self, value: Any) -> Any:
        return value


def refused(make: Any, **options: Any) -> type[Exception] | None:
    """Return the type of error that a call ends with."""
    try:
        make(**options)
    except Exception as error:
        return type(error)
    return None


@pytest.mark.parametrize("given", list(product([False, True], repeat=3)))
def test_the_same_combinations_are_refused_as_in_torchvision(mini: Path, given: tuple[bool, ...]) -> None:
    named = {"transforms": both, "transform": size, "target_transform": negative}
    options = {name: named[name] for name, wanted in zip(named, given, strict=True) if wanted}
    theirs = refused(torchvision_datasets().VisionDataset, root=mini, **options)
    assert refused(ImageNet, root=mini, **options) is theirs
    assert theirs is (ValueError if given in {(True, True, False), (True, False, True), (True,) * 3} else None)


def test_a_joint_transform_gets_image_and_label(mini: Path) -> None:
    plain, joint = ImageNet(mini), ImageNet(mini, transforms=both)
    assert joint.transforms is both
    for index in range(len(plain)):
        image, label = plain[index]
        assert joint[index] == (image.size, f"label {label}")
    assert pickle.loads(pickle.dumps(joint))[5] == joint[5]


@pytest.mark.parametrize("options", [{}, {"transform": size}, {"target_transform": negative}])
def test_transforms_are_torchvisions(mini: Path, options: dict[str, Any]) -> None:
    theirs = torchvision_datasets().VisionDataset(root=mini, **options).transforms
    ours = ImageNet(mini, **options).transforms
    assert repr(ours) == repr(theirs)
    assert (ours is None) == (theirs is None)
    image, label = ImageNet(mini)[9]
    if ours is not None:
        assert ours(image, label) == theirs(image, label) == ImageNet(mini, **options)[9]


@pytest.mark.parametrize("first", [None, Lines()])
@pytest.mark.parametrize("second", [None, Lines()])
def test_text_is_torchvisions(first: Any, second: Any) -> None:
    vision = torchvision_datasets().vision
    assert repr(StandardTransform(first, second)) == repr(vision.StandardTransform(first, second))


def test_transforms_may_be_assigned(mini: Path) -> None:
    dataset = ImageNet(mini, transform=size)
    dataset.transform = negative_size
    assert dataset[3][0] == negative_size(ImageNet(mini)[3][0])
    dataset.transforms = both
    assert dataset[3] == both(*ImageNet(mini)[3])
    assert dataset.transform is None
    dataset.transform = size
    with pytest.raises(ValueError, match="give either transforms"):
        dataset[3]
    dataset.transforms = None
    assert dataset.transforms is None
    assert dataset[3][1] == 0


def negative_size(image: Any) -> tuple[int, ...]:
    """Return the size of an image with the other sign."""
    return tuple(-side for side in image.size)
