"""Frameworks that read the data set: imported if they are there, required in CI where the project installs them."""

from __future__ import annotations

import importlib
import os
from typing import Any

import pytest

REQUIRED_IN_CI = {"torch", "torchvision", "timm"}

_kept: list[Any] = []


def needs(name: str) -> Any:
    """Return a package, or skip the test where it is not installed; in CI some must be."""
    try:
        if name.partition(".")[0] in ("torchvision", "timm"):
            declare_operators()
        return importlib.import_module(name)
    except ImportError as error:
        if os.environ.get("CI") and name.partition(".")[0] in REQUIRED_IN_CI:
            raise
        pytest.skip(f"{name} is not installed: {error}")


def declare_operators() -> None:
    """Declare the operators whose schemas torchvision's Python code expects of its compiled part.

    So torchvision imports beside a torch that its wheel was not compiled for; datasets and transforms use neither.
    """
    if _kept:
        return
    torch = importlib.import_module("torch")
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _kept.append(library)  # declared as long as it lives
