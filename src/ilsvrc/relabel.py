"""Rename a tree's class folders in place, by the images in them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from ilsvrc.errors import DataError, UsageError
from ilsvrc.events import Listener, Note, silent
from ilsvrc.files import OWN_FOLDER, locked, sync_path, write_text, written_whole
from ilsvrc.tree.layout import Layout
from ilsvrc.tree.manifest import metadata_of, read_manifest, write_labels, write_manifest
from ilsvrc.tree.scan import Tree, find_splits, survey

INTENT = "relabel.json"
"""What is being renamed: there from the first rename to the last, so that an interrupted run goes on."""

_ASIDE = ".relabel-"


@dataclass(frozen=True, slots=True)
class Rename:
    """A folder's new name.

    folder : the split's folder
    old, new : names in it
    """

    folder: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Relabelling:
    """What `relabel` did, or would do.

    tree : the tree's folder
    layout : name or template
    renames : folders that get another name
    applied : whether they have it now
    """

    tree: str
    layout: str
    renames: tuple[Rename, ...]
    applied: bool


def relabel(path: Path | str, layout: str, *, apply: bool = False, listener: Listener = silent) -> Relabelling:
    """Rename the class folders of a tree so that it has another layout; say what would be done unless `apply`.

    Images stay in their folders; the class of a folder is that of the images in it, by their own names. Interrupted
    at any point, the same call goes on. Manifests and lists that `prepare` wrote are brought up to date.

    Parameters
    ----------
    path
        A tree with `train` or `val` in it, or one split's folder.
    layout
        wnid, index, padded, or a template that ends with `/{name}` and has one folder for each class.

    Raises
    ------
    UsageError
        If there is no tree, or the layout has no folder for each class.
    DataError
        If a folder holds images of several classes, or two folders the same class; nothing is renamed then.
    """
    root, wanted = Path(path).absolute(), Layout.parse(layout)
    _refuse_other_shapes(wanted)
    splits = {split: folder for split, folder in find_splits(root).items() if split != "test"}
    if not splits:
        raise UsageError(f"{root} holds no train or val with class folders", hint="give the folder of a tree")
    with locked(root / OWN_FOLDER / "lock", what=str(root), wait=False):
        intent = root / OWN_FOLDER / INTENT
        renames, phase = _read_intent(intent) if intent.exists() else (_decide(splits, wanted), 0)
        if not apply or not renames:
            return Relabelling(str(root), wanted.name, renames, applied=not renames)
        if phase:
            listener(Note("going on with an interrupted run: its layout holds"))
        _apply(intent, renames, phase)
        for split, folder in splits.items():
            _bring_up_to_date(folder.parent, split, wanted)
        intent.unlink()
    return Relabelling(str(root), wanted.name, renames, applied=True)


def _refuse_other_shapes(layout: Layout) -> None:
    """Refuse a layout that is not one folder a class with plain file names."""
    parts = layout.template.split("/")
    if len(parts) != 3 or parts[2] != "{name}" or "{name" in parts[1]:  # split, class, name
        hint = "use wnid, index, padded, or a template such as {split}/{wnid}_{word}/{name}"
        raise UsageError(f"layout {layout.name} has no folder for each class to rename to", hint=hint)


def _decide(splits: dict[str, Path], layout: Layout) -> tuple[Rename, ...]:
    """Return what is to be renamed, having refused what can't be."""
    renames: list[Rename] = []
    for split, folder in splits.items():
        tree = survey(folder, split)
        _refuse_mixed(tree)
        labels = zip(tree.folders, tree.folder_labels.tolist(), strict=True)
        target = {old: layout.path(split, label, "x").split("/")[1] for old, label in labels if label >= 0}
        _refuse_twins(folder, target, [name for name in tree.folders if name not in target])
        renames += [Rename(str(folder), old, new) for old, new in sorted(target.items()) if old != new]
    return tuple(renames)


def _refuse_mixed(tree: Tree) -> None:
    if not len(tree.misplaced):
        return
    folders = Counter(tree.parents[tree.misplaced].tolist())
    worst, count = folders.most_common(1)[0]
    where = f"{tree.folders[worst]} {count:,} of them" if worst >= 0 else f"{count:,} are in none"
    detail = f"{tree.folder}: {len(folders)} folders hold images of several classes, {where}"
    raise DataError(detail, hint="see `ilsvrc check` for each, and move them; nothing was renamed")


def _refuse_twins(folder: Path, target: dict[str, str], others: Sequence[str]) -> None:
    """Refuse two folders that would get one name, and a name that a folder without images has."""
    twice = [name for name, count in Counter([*target.values(), *others]).items() if count > 1]
    if twice:
        old = [name for name, new in target.items() if new == twice[0]]
        detail = f"{folder}: {' and '.join(sorted({*old, twice[0]}))} would both be {twice[0]}"
        raise DataError(detail, hint="merge or remove one of them; nothing was renamed")


def _apply(intent: Path, renames: Sequence[Rename], phase: int) -> None:
    """Rename all folders aside, then all to their new names, since new names may be others' old ones.

    The phase is on disk before its first rename, so that a later run knows which names mean what.
    """
    if phase < 1:
        _write_intent(intent, renames, 1)
    if phase < 2:
        for one in renames:
            _rename(Path(one.folder) / one.old, Path(one.folder) / f"{_ASIDE}{one.new}")
        _sync(renames)
        _write_intent(intent, renames, 2)
    for one in renames:
        _rename(Path(one.folder) / f"{_ASIDE}{one.new}", Path(one.folder) / one.new)
    _sync(renames)


def _rename(old: Path, new: Path) -> None:
    """Rename a folder, unless an interrupted run has done so."""
    if old.exists() and not new.exists():
        old.rename(new)


def _sync(renames: Sequence[Rename]) -> None:
    for folder in {one.folder for one in renames}:
        sync_path(Path(folder))


def _bring_up_to_date(root: Path, split: str, layout: Layout) -> None:
    """Rewrite the manifest and the list of a split with its new paths, which follow from labels and names."""
    path = root / OWN_FOLDER / f"{split}.arrow"
    if not path.exists():
        return
    table = read_manifest(path)
    metadata = metadata_of(table)
    rows = zip(table.column("path").to_pylist(), table.column("label").to_pylist(), strict=True)
    paths = pa.array([layout.path(split, label, old.rpartition("/")[2]) for old, label in rows])
    settings = json.loads(metadata.get("settings", "{}")) | {"layout": layout.template}
    metadata["settings"] = json.dumps(settings, sort_keys=True)
    table = table.set_column(0, "path", paths)
    with written_whole(path) as beside:
        write_manifest(table, beside, metadata)
    write_labels(table, root / f"{split}.txt")


def _write_intent(path: Path, renames: Sequence[Rename], phase: int) -> None:
    listed = [[one.folder, one.old, one.new] for one in renames]
    write_text(path, json.dumps({"phase": phase, "renames": listed}) + "\n")


def _read_intent(path: Path) -> tuple[tuple[Rename, ...], int]:
    told = json.loads(path.read_text(encoding="utf-8"))
    return tuple(Rename(*one) for one in told["renames"]), int(told["phase"])
