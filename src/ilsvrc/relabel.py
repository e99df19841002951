"""Rename a tree's class folders in place, by the images in them, and sort images that lie in no folder.

The class of a folder is that of the images in it, whatever its name. So an interrupted run need not record anything
for the next one, which finds each folder under its old, its temporary or its new name, and decides anew.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from itertools import zip_longest
from pathlib import Path

import pyarrow as pa

from ilsvrc import facts
from ilsvrc.archive.names import NO_LABEL
from ilsvrc.errors import DataError, MachineError, UsageError, system_errors
from ilsvrc.events import Listener, Note, silent
from ilsvrc.facts.names import true_label
from ilsvrc.files import (
    OWN_FOLDER,
    make_own_folder,
    open_own,
    printable,
    remove_leftovers,
    rename_new,
    sync_path,
    written_whole,
)
from ilsvrc.heap import Sorting, decide_sorting, has_class_folders, sort
from ilsvrc.issues import Code, Issue
from ilsvrc.paths import given_path
from ilsvrc.readers.locate import find_all
from ilsvrc.readers.tree import TreeReader
from ilsvrc.run.claim import claimed
from ilsvrc.sinks.lists import label_lines, write_labels
from ilsvrc.tree import paths as tree_paths
from ilsvrc.tree.layout import TEMPLATES, Layout, refuse_collisions
from ilsvrc.tree.manifest import layout_in, metadata_of, read_manifest, write_manifest
from ilsvrc.tree.scan import SPLIT_FOLDERS, Tree, folders_in, split_folders, survey

ASIDE = ".relabel-"
"""Prefix of the temporary name of a folder whose old name another folder gets; a wnid follows."""

_BATCH = 1 << 16
"""Rows of a manifest converted to Python objects at a time."""


@dataclass(frozen=True, slots=True)
class Rename:
    """A folder's new name.

    folder : the split's folder
    old, new : names in it
    wnid : the class of the images in it
    """

    folder: str
    old: str
    new: str
    wnid: str


@dataclass(frozen=True, slots=True)
class Relabelling:
    """What `relabel` did, or would do.

    tree : the tree's folder
    layout : name or template
    renames : the folders and their new names
    applied : whether the folders have their new names now, and all images are sorted
    lists : splits whose manifest and list are updated
    unrecognised : folders, as split/name or split, in which no image has a recognised name; they are not renamed
    sorted : for each split, the images that move between a heap and class folders
    strays : files beside the class folders, as split/name, that are no image by their names; they stay where they are
    """

    tree: str
    layout: str
    renames: tuple[Rename, ...]
    applied: bool
    lists: tuple[str, ...] = ()
    unrecognised: tuple[str, ...] = ()
    sorted: tuple[Sorting, ...] = ()
    strays: tuple[str, ...] = ()


@system_errors()
def relabel(
    tree: Path | str, *, layout: str = "wnid", apply: bool = False, listener: Listener = silent
) -> Relabelling:
    """Rename the class folders of a tree to another layout; without `apply`, only return what would be done.

    Images stay in their folders; the class of a folder is that of the images in it, by their own names. Images that
    lie in no folder, as the validation archive unpacks, are moved into the folders of their classes; the layout
    `flat` moves all images of a split out of its folders again. After an interruption at any point, a run with the
    same layout, or with another one, resumes. Manifests and lists that `prepare` wrote are updated. Without `apply`
    nothing is written.

    Parameters
    ----------
    tree
        A tree with `train` or `val` in it, or one split's folder. Locks and manifests are in the tree's `.ilsvrc`,
        which is beside a split's folder and never in it.
    layout
        wnid, index, padded, a template that ends with `/{name}` and has one folder for each class, or flat.
    apply
        Rename the folders and move the images.
    listener
        Receives notes.

    Raises
    ------
    UsageError
        If there is no tree, or the layout has no folder for each class.
    DataError
        If no image is recognised, a folder holds images of several classes, two folders hold the same class, or an
        image is there twice; nothing is renamed then.
    MachineError
        If another run uses the tree, or it can't be written.
    """
    wanted = Layout.parse(layout)
    _refuse_other_shapes(wanted)
    splits = _splits(_real_parent(given_path(tree)))
    found = _decide(splits, wanted)
    if not apply or found.applied:
        return found
    root = Path(found.tree)
    own = make_own_folder(root / OWN_FOLDER)
    with claimed(root, listener):
        remove_leftovers(root, own)
        found = _decide(splits, wanted)  # another run may have renamed folders before this one had the lock
        for folder in splits.values():
            _rename_all(folder, [one for one in found.renames if one.folder == str(folder)])
        for split, folder in splits.items():
            if any(one.folder == str(folder) for one in found.sorted):
                sort(folder, split, wanted, _asides(folder), listener)
        for split in found.lists:
            _bring_up_to_date(root, split, wanted, listener)
    return replace(found, applied=True)


def _refuse_other_shapes(layout: Layout) -> None:
    """Refuse a layout that is neither one heap nor one folder for each class, with plain file names."""
    parts = layout.template.split("/")
    if layout.template == TEMPLATES["flat"]:
        return
    if len(parts) != 3 or parts[2] != "{name}" or "{name" in parts[1]:  # split, class, name
        hint = "use wnid, index, padded, flat, or a template such as {split}/{wnid}_{word}/{name}"
        raise UsageError(f"layout {layout.name} has no folder for each class to rename to", hint=hint)


def _real_parent(path: Path) -> Path:
    """Return a path whose parent is the folder that it lies in, also for `..` and for paths through links."""
    if path.name in ("", ".."):
        return Path(os.path.realpath(path))
    return Path(os.path.realpath(path.parent), path.name)


def _splits(root: Path) -> dict[str, Path]:
    """Return the folders of train and val by split; the name alone decides, whatever the folder holds.

    Without any at the path, those of the nearest tree below it, as Kaggle's `ILSVRC/Data/CLS-LOC`.
    """
    splits = _splits_at(root)
    if not splits and root.is_dir():
        splits = {split: root for split in ("train", "val") if root.name in SPLIT_FOLDERS[split]}
    if not splits:
        below = (
            {one.path.parent for one in find_all(root) if isinstance(one.path, Path) and one.form == TreeReader.form}
            if root.is_dir()
            else set()
        )
        splits = _splits_at(below.pop()) if len(below) == 1 else {}
    if not splits:
        raise UsageError(f"{root} holds no train or val with class folders", hint="give the folder of a tree")
    return splits


def _splits_at(root: Path) -> dict[str, Path]:
    """Return the folders of train and val at a path; a heap beside the folder of another split stays where it is."""
    folders = {split: folder for split, folder in split_folders(root).items() if split != "test"}
    return {split: folder for split, folder in folders.items() if len(folders) == 1 or folder != root}


def _decide(splits: Mapping[str, Path], layout: Layout) -> Relabelling:
    """Return the renames to make; refuse a tree that can't be relabelled. Nothing is written."""
    renames: list[Rename] = []
    unrecognised: list[str] = []
    sortings: list[Sorting] = []
    strays: list[str] = []
    for split, folder in splits.items():
        tree = survey(folder, split)
        labels = _labels_of_folders(tree, layout)
        recognised = {old: label for old, label in labels.items() if label >= 0}
        sorting = decide_sorting(tree, split, layout, recognised, _asides(folder))
        sortings += [sorting] if sorting else []
        if has_class_folders(layout):
            renames += _renames(folder, split, recognised, layout)
        others = [f"{folder.name}/{printable(name)}" for name in labels if name not in recognised]
        unrecognised += others if recognised or len(tree.loose) else [folder.name]
        strays += [f"{folder.name}/{one.key}" for one in tree.left_out if _is_stray_beside(one)]
    _refuse_unrecognised(splits, unrecognised)
    lists = tuple(split for split, folder in splits.items() if _is_behind(folder, split, layout))
    root, done = next(iter(splits.values())).parent, not renames and not lists and not sortings
    return Relabelling(
        tree=str(root),
        layout=layout.name,
        renames=tuple(renames),
        applied=done,
        lists=lists,
        unrecognised=tuple(unrecognised),
        sorted=tuple(sortings),
        strays=tuple(strays),
    )


def _is_stray_beside(issue: Issue) -> bool:
    """Whether an issue is about a file that lies directly in the split's folder."""
    return issue.code is Code.STRAY_FILE and "/" not in issue.key


def _asides(folder: Path) -> tuple[str, ...]:
    """Return the names of the folders that an interrupted run renamed for the time being."""
    return tuple(name for name in folders_in(folder) if name.startswith(ASIDE))


def _renames(folder: Path, split: str, labels: Mapping[str, int], layout: Layout) -> list[Rename]:
    """Return the renames of a split's folders, given the class of each folder."""
    target = {old: layout.path(split, label, "x").split("/")[1] for old, label in labels.items()}
    _refuse_twins(folder, target)
    refuse_collisions(layout, (layout.path(split, label, old) for old, label in labels.items()))  # names too long
    wnids = {old: facts.classes()[label].wnid for old, label in labels.items()}
    return [Rename(str(folder), old, new, wnids[old]) for old, new in sorted(target.items()) if old != new]


def _refuse_unrecognised(splits: Mapping[str, Path], unrecognised: Sequence[str]) -> None:
    """Refuse a tree in which no image is recognised by its name."""
    if set(unrecognised) == {folder.name for folder in splits.values()}:
        where = " and ".join(str(folder) for folder in splits.values())
        path = where if len(splits) == 1 else next(iter(splits.values())).parent
        hint = f"images are recognised by names such as n01440764_10026.JPEG; list the others: ilsvrc check {path}"
        raise DataError(f"no image of ILSVRC 2012 was recognised in the folders of {where}", hint=hint)


def _labels_of_folders(tree: Tree, layout: Layout) -> dict[str, int]:
    """Return for every folder of a split the class of its images, -1 if it has none; refuse images out of place.

    An empty folder with a wnid for its name is of that class, if no other one is: valprep.sh makes all folders before
    it moves the first image.
    """
    if has_class_folders(layout):
        _refuse_mixed(tree)
    labels = dict(zip(tree.folders, tree.folder_labels.tolist(), strict=True))
    aside = _asides(tree.here)  # the survey does not look into hidden folders
    labels |= {name: _label_of_aside(tree.here / name, tree.split) for name in aside}
    taken = set(labels.values())
    for name in [name for name, label in labels.items() if label < 0]:
        synset = facts.classes().get(name)
        if synset and synset.index not in taken and not any((tree.folder / name).iterdir()):
            labels[name] = synset.index
    return labels


def _label_of_aside(folder: Path, split: str) -> int:
    labels = set(survey(folder, split).labels.tolist())
    if len(labels) > 1:
        hint = "move the images of all classes but one out of it; nothing was renamed"
        raise DataError(f"{folder} holds images of {len(labels)} classes", hint=hint)
    return labels.pop() if labels else NO_LABEL


def _refuse_mixed(tree: Tree) -> None:
    folders = Counter(tree.parents[tree.misplaced].tolist())
    folders.pop(-1, None)  # images in no folder, which are sorted
    if folders:
        worst, count = folders.most_common(1)[0]
        detail = f"{len(folders):,} folders hold images of several classes, {tree.folders[worst]} {count:,}"
        hint = f"list them with `ilsvrc check {tree.folder}` and move them; nothing was renamed"
        raise DataError(f"{tree.folder}: {detail}", hint=hint)


def _refuse_twins(folder: Path, target: Mapping[str, str]) -> None:
    """Refuse to give two folders the same name, or a folder the name of a file or of a folder without images."""
    others = [path.name for path in folder.iterdir() if path.name not in target]
    twice = [name for name, count in Counter([*target.values(), *others]).items() if count > 1]
    if twice:
        old = [name for name, new in target.items() if new == twice[0]]
        detail = f"{folder}: {' and '.join(sorted({*old, twice[0]}))} would both be {twice[0]}"
        raise DataError(detail, hint="merge or remove one of them; nothing was renamed")


def _rename_all(folder: Path, renames: Sequence[Rename]) -> None:
    """Rename the folders of a split.

    Folders whose old name another folder gets take a temporary name first, since names may be swapped.
    """
    names = {one.new for one in renames}
    old = {one: f"{ASIDE}{one.wnid}" if one.old in names else one.old for one in renames}
    for one, aside in old.items():
        if aside != one.old:
            _rename(folder / one.old, folder / aside)
    if renames:
        sync_path(folder)
    for one, name in old.items():
        _rename(folder / name, folder / one.new)
    if renames:
        sync_path(folder)


def _rename(old: Path, new: Path) -> None:
    try:
        rename_new(old, new)
    except FileExistsError:
        hint = "move it away and run the same command again: it resumes"
        raise DataError(f"{new} appeared while {old.name} was being renamed to it", hint=hint) from None


def _is_behind(folder: Path, split: str, layout: Layout) -> bool:
    """Whether the manifest or the list of a split still has another layout.

    Raises
    ------
    DataError
        If the manifest can't be read.
    """
    table = _manifest(folder.parent, split) if folder.name == split else None
    if table is None:
        return False
    return layout_in(table) != layout.name or _state_of_list(folder.parent / f"{split}.txt", table) is _List.OLD


def _manifest(root: Path, split: str) -> pa.Table | None:
    """Return the manifest of a split, None if it has none."""
    path = tree_paths.manifest(root, split)
    try:
        os.close(open_own(path, os.O_RDONLY))
        return read_manifest(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, pa.ArrowException):
        hint = "remove it: the tree is then checked by names and sizes, without digests"
        raise DataError(f"{path} is damaged, so it can't be updated to the new names", hint=hint) from None


def _bring_up_to_date(root: Path, split: str, layout: Layout, listener: Listener) -> None:
    """Rewrite the list and the manifest of a split with its new paths, which follow from the images' names."""
    table = _manifest(root, split)
    if table is None:
        return
    table = _with_layout(table, split, layout)
    listed = root / f"{split}.txt"
    state = _state_of_list(listed, table)
    if state is _List.OLD:
        write_labels(table, listed)
    elif state is _List.FOREIGN:
        text = f"{listed} was left as it is: it is not the list that prepare wrote, and its paths may be wrong now"
        listener(Note(text, warning=True))
    metadata = metadata_of(table)
    metadata["settings"] = json.dumps(_settings(metadata) | {"layout": layout.template}, sort_keys=True)
    with written_whole(tree_paths.manifest(root, split)) as beside:
        write_manifest(table, beside, metadata)


def _settings(metadata: Mapping[str, str]) -> dict[str, object]:
    """Return the settings in a manifest's metadata; empty if they can't be read."""
    try:
        settings = json.loads(metadata.get("settings", "{}"))
    except ValueError:
        return {}
    return settings if isinstance(settings, dict) else {}


def _with_layout(table: pa.Table, split: str, layout: Layout) -> pa.Table:
    """Return a manifest with the paths that its images have under a layout."""
    batches = table.select(["path"]).to_batches(max_chunksize=_BATCH)
    paths = [pa.array([_path(old, split, layout) for old in b.column(0).to_pylist()], pa.string()) for b in batches]
    at = table.schema.get_field_index("path")
    return table.set_column(at, "path", pa.chunked_array(paths, pa.string()))


def _path(old: str, split: str, layout: Layout) -> str:
    """Return the path of an image under a layout; a file without the name of an image keeps its path."""
    name = old.rpartition("/")[2]
    label = true_label(name)
    return old if label is None else layout.path(split, label, name)


class _List(Enum):
    """How a list of images relates to a manifest."""

    SAME = auto()
    """It has the same images under the same paths, or does not exist."""
    OLD = auto()
    """It has the same images, in folders with other names."""
    FOREIGN = auto()
    """It has other images, or is no regular file: ilsvrc did not write it."""


def _state_of_list(path: Path, table: pa.Table) -> _List:
    """Compare a list with the paths and labels of a manifest."""
    state = _List.SAME
    try:
        with open(open_own(path, os.O_RDONLY), encoding="utf-8", errors="replace") as file:
            lines = (line for piece in label_lines(table) for line in piece.decode().splitlines(keepends=True))
            for line, wanted in zip_longest(file, lines, fillvalue=""):
                if line.rpartition("/")[2] != wanted.rpartition("/")[2]:
                    return _List.FOREIGN
                state = state if line == wanted else _List.OLD
    except FileNotFoundError:
        pass
    except MachineError:  # a link, a folder
        return _List.FOREIGN
    return state
