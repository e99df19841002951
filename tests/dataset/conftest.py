"""Miniatures unpacked by the standard library: what reading in place is compared with."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from ilsvrc import facts


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


@pytest.fixture(scope="session")
def tree(mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The six classes unpacked; read it, don't change it."""
    return unpack(mini, tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="session")
def thousand_tree(thousand: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 1000 classes unpacked; read it, don't change it."""
    return unpack(thousand, tmp_path_factory.mktemp("thousand-tree"))
