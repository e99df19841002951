"""Independent programs that know the same things: here, torchvision."""

from __future__ import annotations

import importlib.util
import os
from types import ModuleType

import pytest


def needs(*packages: str) -> None:
    """Skip where a package is not installed; fail where the continuous integration should have installed it."""
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing and os.environ.get("CI"):
        pytest.fail(f"the CI should have installed {', '.join(missing)}")
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: pip install {' '.join(packages)}")


def torchvision_datasets() -> ModuleType:
    """Return torchvision.datasets.

    A torchvision without its compiled operators imports if the schemas it expects are there.
    """
    needs("torch", "torchvision")
    import torch

    if not hasattr(torch.ops.torchvision, "nms"):
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEPT.append(library)
    import torchvision.datasets

    return torchvision.datasets  # type: ignore[no-any-return]


_KEPT: list[object] = []
