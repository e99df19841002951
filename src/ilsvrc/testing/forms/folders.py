"""Forms that come of unpacking the official archives: inner tars, class folders, and tars of those."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from ilsvrc.facts import DEVKIT, TEST, TRAIN, VAL
from ilsvrc.testing.archives import ArchiveWriter
from ilsvrc.testing.chance import chance
from ilsvrc.testing.contents import Contents, InnerTar, Picture
from ilsvrc.testing.devkit import devkit_archive
from ilsvrc.testing.spec import State
from ilsvrc.testing.tarball import Entry
from ilsvrc.tree.layout import Layout

_PART = 0.6
"""How much of a file is there that was being written when its program was stopped."""


def write_archives(contents: Contents, writer: ArchiveWriter, folder: Path) -> None:
    """Write the official archives."""
    _write_devkit(contents, folder)
    writer.train(folder / TRAIN, contents.inner_tars())
    _write_flat(contents, writer, folder)


def write_inner(contents: Contents, writer: ArchiveWriter, folder: Path) -> None:
    """Write `train/` with the tar of each class, as `tar xf` of the train archive leaves it; the others are whole."""
    _write_devkit(contents, folder)
    (folder / "train").mkdir()
    removed = _removed(contents) if contents.spec.state == State.SOME_REMOVED else frozenset()
    unpacked = contents.spec.classes // 2 if contents.spec.state == State.HALF_INNER else -1
    for place, inner in enumerate(contents.inner_tars()):
        if inner.synset.wnid in removed or not inner.entries:
            continue
        if place >= unpacked:
            writer.flat(folder / "train" / inner.name, inner.entries, gzipped=inner.gzipped)
        if place < unpacked:
            writer.folder(folder / "train" / inner.synset.wnid, inner.entries)
        elif place == unpacked:
            _unpack_in_part(inner, folder / "train" / inner.synset.wnid)
    _write_flat(contents, writer, folder)


def write_heap(contents: Contents, writer: ArchiveWriter, folder: Path) -> None:
    """Write class folders of train and one folder of validation images."""
    train = (picture.at(f"train/{picture.wnid}/{picture.name}") for picture in contents.pictures("train"))
    test = (picture.at(f"test/{picture.name}") for picture in contents.pictures("test"))
    writer.folder(folder, chain(train, val_heap(contents, "val"), test))


def write_tree(contents: Contents, writer: ArchiveWriter, folder: Path) -> None:
    """Write class folders under a layout; the images of test, which have no label, lie side by side."""
    layout = Layout.parse(contents.spec.layout)
    for split in contents.splits:
        pictures = contents.pictures(split)
        writer.folder(folder, (p.at(layout.path(split, p.label, p.name)) for p in pictures))


def write_tree_tar(contents: Contents, writer: ArchiveWriter, folder: Path) -> None:
    """Write a tar of each split's tree, as `tar cf train.tar train` does; `.gz` where that is asked for."""
    gzipped = contents.spec.compressed
    for split in contents.splits:
        paths = (p.at(_class_path(p)) for p in sorted(contents.pictures(split), key=_class_path))
        name = f"{split}.tar.gz" if gzipped else f"{split}.tar"
        writer.flat(folder / name, with_folders(paths), gzipped=gzipped)


def val_heap(contents: Contents, folder: str) -> Iterator[Entry]:
    """Yield the validation images in one folder, or half of them in class folders where valprep.sh stopped.

    The script makes all class folders first, and then moves the images class by class
    (github.com/soumith/imagenetloader.torch, valprep.sh).
    """
    pictures = list(contents.pictures("val"))
    moved: set[str] = set()
    if contents.spec.state == State.HALF_VALPREP:
        yield from (Entry(f"{folder}/{s.wnid}/", kind=tarfile.DIRTYPE) for s in contents.spec.synsets)
        in_order = sorted(pictures, key=lambda picture: (picture.label, picture.name))
        moved.update(picture.name for picture in in_order[: (len(in_order) + 1) // 2])
    for picture in pictures:
        between = f"{picture.wnid}/" if picture.name in moved else ""
        yield picture.at(f"{folder}/{between}{picture.name}")


def with_folders(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield entries in path order with a member for each folder before what is in it, as GNU tar writes them."""
    made: set[str] = set()
    for entry in entries:
        parts = entry.name.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            folder = "/".join(parts[:depth]) + "/"
            if folder not in made:
                made.add(folder)
                yield Entry(folder, kind=tarfile.DIRTYPE)
        yield entry


def _class_path(picture: Picture) -> str:
    if picture.label < 0:
        return f"{picture.split}/{picture.name}"
    return f"{picture.split}/{picture.wnid}/{picture.name}"


def _write_devkit(contents: Contents, folder: Path) -> None:
    (folder / DEVKIT).write_bytes(devkit_archive(contents.spec))


def _write_flat(contents: Contents, writer: ArchiveWriter, folder: Path) -> None:
    """Write the val archive, and the test archive where there are test images."""
    writer.flat(folder / VAL, contents.val)
    if contents.spec.test_images:
        writer.flat(folder / TEST, contents.test())


def _removed(contents: Contents) -> frozenset[str]:
    """Return the wnids whose inner tar is gone: a quarter of them, at least one."""
    wnids = [synset.wnid for synset in contents.spec.synsets]
    return frozenset(chance(contents.spec.seed, "removed").sample(wnids, max(1, len(wnids) // 4)))


def _unpack_in_part(inner: InnerTar, folder: Path) -> None:
    """Write the first half of a class's images, the last of them in part; not counted, as their tar is there."""
    folder.mkdir()
    *whole, last = inner.entries[: max(1, len(inner.entries) // 2)]
    for entry in whole:
        (folder / entry.name).write_bytes(entry.payload())
    data = last.payload()
    (folder / last.name).write_bytes(data[: int(len(data) * _PART)])
