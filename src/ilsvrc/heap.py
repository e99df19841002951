"""Images of a split that lie in one heap: sort them into class folders, and put them back.

The official archive of validation images unpacks to a heap of 50,000 files, which the usual script (valprep.sh) moves
into class folders. An image's name tells its class, so a move needs no note: after an interruption at any point each
image is in the heap or in its folder, and the next run moves the rest.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ilsvrc.errors import DataError
from ilsvrc.events import Advanced, Finished, Listener, Started, silent
from ilsvrc.files import rename_new, sync_filesystem
from ilsvrc.tree.layout import Layout
from ilsvrc.tree.scan import Tree, survey

_RETRY = "move it away and run the same command again: it resumes"


@dataclass(frozen=True, slots=True)
class Sorting:
    """The images of a split that move, and where to.

    folder : the split's folder
    images : images that move
    folders : class folders that get images, or lose them
    old, new : first image's path below the split's folder, and its new path
    """

    folder: str
    images: int
    folders: int
    old: str
    new: str

    @property
    def into_heap(self) -> bool:
        """Whether images leave their class folders, instead of moving into them."""
        return "/" not in self.new


def has_class_folders(layout: Layout) -> bool:
    """Whether images of a layout lie in folders; else all of a split are one heap."""
    return layout.template.count("/") > 1


def decide_sorting(
    tree: Tree, split: str, layout: Layout, labels: Mapping[str, int], hidden: tuple[str, ...] = ()
) -> Sorting | None:
    """Return which images move, None if each is where the layout wants it. Nothing is moved.

    Parameters
    ----------
    tree
        What lies in the split's folder.
    split
        train or val.
    layout
        The wanted layout: of class folders, or flat.
    labels
        The class of each folder with recognised images.
    hidden
        Hidden folders with images of the split, which `tree` does not have.

    Raises
    ------
    DataError
        If an image is there twice, or something else has the name of a folder or of an image.
    """
    moves = list(_moves(tree, split, layout, hidden))
    if not moves:
        return None
    if has_class_folders(layout):
        _refuse_occupied(tree, {new.partition("/")[0] for _, new in moves}, split, layout, labels)
        names: dict[str, list[str]] = {}
        for name, label in labels.items():
            names.setdefault(layout.path(split, label, "x").split("/")[1], []).append(name)
        targets = [(old, [*names.get(new.partition("/")[0], ()), new.partition("/")[0]]) for old, new in moves]
        _refuse_twice(tree.here, ((old, f"{name}/{old}") for old, places in targets for name in places))
    else:
        _refuse_twice(tree.here, _pairs(moves))
    old, new = moves[0]
    folders = {(new if has_class_folders(layout) else old).partition("/")[0] for old, new in moves}
    return Sorting(str(tree.folder), len(moves), len(folders), old, new)


def sort(folder: Path, split: str, layout: Layout, hidden: tuple[str, ...], listener: Listener = silent) -> None:
    """Move every image of a split where the layout wants it; nothing is replaced.

    Raises
    ------
    DataError
        If something has taken an image's new name meanwhile. The same call resumes.
    """
    tree = survey(folder, split)
    moves = sorted(_moves(tree, split, layout, hidden), key=lambda move: move[1])
    stage = f"sort {split}"
    listener(Started(stage, total_images=len(moves)))
    made: set[str] = set()
    for old, new in moves:
        parent = new.rpartition("/")[0]
        if parent and parent not in made:
            _make_folder(folder / parent)
            made.add(parent)
        _move(folder / old, folder / new)
        listener(Advanced(stage, images=1))
    if moves:
        sync_filesystem(folder)
    for emptied in sorted({old.partition("/")[0] for old, _ in moves if "/" in old}):
        with contextlib.suppress(OSError):  # something else is in it, and stays
            (folder / emptied).rmdir()
    listener(Finished(stage))


def _moves(tree: Tree, split: str, layout: Layout, hidden: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield each image's path below the split's folder and its new path: from the heap into folders, or back."""
    if has_class_folders(layout):
        for row in tree.loose.tolist():
            name = tree.path(row)
            yield name, layout.path(split, int(tree.labels[row]), name).partition("/")[2]
        return
    for path in tree.paths():
        if "/" in path:
            yield path, path.rpartition("/")[2]
    for name in hidden:
        yield from ((f"{name}/{path}", path) for path in survey(tree.here / name, split).paths() if "/" not in path)


def _pairs(moves: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield pairs of paths that may be the same image: another one that moves to a name, and the file that has it."""
    first: dict[str, str] = {}
    for old, new in moves:
        yield old, new
        if first.setdefault(new, old) != old:
            yield old, first[new]


def _refuse_twice(folder: Path, pairs: Iterator[tuple[str, str]]) -> None:
    """Refuse images that are there twice, given pairs of paths of which the first is there."""
    twice = [(old, other) for old, other in pairs if os.path.lexists(folder / other)]
    if not twice:
        return
    old, other = twice[0]
    number = "1 image is" if len(twice) == 1 else f"{len(twice):,} images are"
    how = f"with {'the same' if _equal(folder / old, folder / other) else 'different'} bytes"
    hint = "remove one of each pair (`ilsvrc check` lists them), or `ilsvrc prepare` the tree into another folder"
    detail = f"{folder}: {number} there twice, such as {old} and {other}, {how}"
    raise DataError(detail, hint=f"{hint}; nothing was moved")


def _equal(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and one.read_bytes() == other.read_bytes()


def _refuse_occupied(tree: Tree, targets: set[str], split: str, layout: Layout, labels: Mapping[str, int]) -> None:
    """Refuse to sort into a link, and into a folder that holds other things than images of the class."""
    known = {layout.path(split, label, "x").split("/")[1]: old for old, label in labels.items()}
    for target in sorted(targets):
        path = tree.here / known.get(target, target)
        makes_way = target not in known and target in labels
        if makes_way or not os.path.lexists(path):
            continue
        if path.is_symlink() or not path.is_dir():
            detail = f"{path} is {'a link' if path.is_symlink() else 'no folder'}, so that no image is moved into it"
            raise DataError(detail, hint="put a folder in its place, or move it away; nothing was moved")
        if target not in known and any(path.iterdir()):
            detail = f"{path} is to get images, and holds none that is recognised"
            raise DataError(detail, hint="move it away; nothing was moved")


def _make_folder(path: Path) -> None:
    """Make a class folder where there is none; a link in its place is refused."""
    with contextlib.suppress(FileExistsError):
        path.mkdir()
    if path.is_symlink() or not path.is_dir():
        raise DataError(f"{path} appeared, and is no folder", hint=_RETRY)


def _move(old: Path, new: Path) -> None:
    try:
        rename_new(old, new)
    except FileExistsError:
        raise DataError(f"{new} appeared while {old.name} was being moved", hint=_RETRY) from None
