"""The transforms of a data set: one of image and label together, or one of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Transform = Callable[[Any], Any]
"""Turns an image into another one, or a label into another one."""

JointTransform = Callable[[Any, Any], Any]
"""Turns image and label into image and label."""


@dataclass(frozen=True, slots=True, repr=False)
class StandardTransform:
    """One transform for images and one for labels, applied as one; prints as torchvision's class of this name does.

    transform : applied to every image, or None
    target_transform : applied to every label, or None
    """

    transform: Transform | None = None
    target_transform: Transform | None = None

    def __call__(self, image: Any, target: Any) -> tuple[Any, Any]:
        """Return image and label, transformed."""
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def __repr__(self) -> str:
        titled = {"Transform: ": self.transform, "Target transform: ": self.target_transform}
        described = [_described(title, transform) for title, transform in titled.items() if transform is not None]
        return "\n".join([type(self).__name__, *described])


def refuse_both(joint: JointTransform | None, transform: Transform | None, target: Transform | None) -> None:
    """Refuse a joint transform together with separate ones: the order in which they apply would be a guess.

    Raises
    ------
    ValueError
        If both kinds are given; torchvision raises the same type.
    """
    if joint is not None and (transform is not None or target is not None):
        raise ValueError("give either transforms, for image and label together, or transform and target_transform")


def _described(title: str, transform: Transform) -> str:
    return title + repr(transform).replace("\n", "\n" + " " * len(title))
