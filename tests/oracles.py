"""Independent programs that know the same things or read the same data: torchvision, timm and others."""

from __future__ import annotations

import importlib
import importlib.util
import tarfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ilsvrc import facts


def needs(*packages: str) -> None:
    """Skip where a package is not installed; tests/conftest.py makes a failure of it in the CI."""
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: pip install {' '.join(packages)}")


def package(name: str) -> Any:
    """Return a module of a package, or skip the test where it is not installed."""
    top = name.partition(".")[0]
    needs(top)
    if top in ("torchvision", "timm"):
        needs("torch")
        declare_operators()
    return importlib.import_module(name)


def torchvision_datasets() -> ModuleType:
    """Return torchvision.datasets."""
    found: ModuleType = package("torchvision.datasets")
    return found


def declare_operators() -> None:
    """Let a torchvision without its compiled operators import: the schemas that it expects must be there."""
    import torch

    if not hasattr(torch.ops.torchvision, "nms"):
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEPT.append(library)


_KEPT: list[object] = []


def unpack(archives: Path, target: Path) -> Path:
    """Unpack train and val into folders named by wnid, as torchvision's ImageFolder wants them."""
    with tarfile.open(archives / facts.TRAIN) as outer:
        for inner in outer:
            with tarfile.open(fileobj=outer.extractfile(inner)) as archive:
                _unpack(archive, target / "train", lambda name: name.partition("_")[0])
    wnids = facts.classes().wnids
    with tarfile.open(archives / facts.VAL) as archive:
        _unpack(archive, target / "val", lambda name: wnids[facts.val_labels()[int(name[15:23]) - 1]])
    return target


def _unpack(archive: tarfile.TarFile, folder: Path, wnid: object) -> None:
    assert callable(wnid)
    for member in archive:
        file = archive.extractfile(member)
        assert file is not None
        path = folder / wnid(member.name) / member.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.read())
