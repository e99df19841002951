"""Find the splits of the data set at a path, whatever their form."""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from ilsvrc import facts
from ilsvrc.archive.find import SPLITS, expected_names, unfinished
from ilsvrc.archive.header import BLOCK
from ilsvrc.archive.remote import source_of
from ilsvrc.errors import DataError, UsageError
from ilsvrc.files import OWN_FOLDER, printable
from ilsvrc.paths import given_location
from ilsvrc.readers.reader import SHARDS, Found, Reader
from ilsvrc.readers.shards import DAMAGED_MANIFEST
from ilsvrc.stores.path import Location, StorePath, asked_once, fetch_folder, names_in, path_below, size_of
from ilsvrc.tree import paths
from ilsvrc.tree.scan import split_of

FORMS = ("shards", "archive", "zip", "parquet", "tars.recognise", "tree")
"""Modules of the forms, each imported when it is needed. Where a split is there in two forms, the first counts."""

IN_STORES = (*FORMS[:-1], "objects")
"""Those that are read from object stores: class folders as single objects."""

DEEPEST = 3
"""Levels of folders below a path that are looked at."""

ARCHIVES = "archive"
"""The module of the official archives."""

MOST_FOLDERS = 100
"""Folders of one level that are looked at."""


def recognise(root: Location, wanted: Sequence[str] | None = None) -> list[Found]:
    """Return every split in every form at a path: splits in order, and for each the form that counts first.

    A file whose name is no official archive's is looked at as every other form first: to look for an archive's
    members takes a walk over it. A file or folder that two forms recognise is of the first. Of a split that is there
    twice, a file that can't be read comes last.

    Parameters
    ----------
    root
        The path.
    wanted
        Splits of which the first form is enough: no further form is looked for once each is found. None for all.
    """
    forms = FORMS if isinstance(root, Path) else IN_STORES
    unnamed = root.is_file() and facts.official(root.name) is None
    found: dict[tuple[str, Location], Found] = {}
    for name in sorted(forms, key=ARCHIVES.__eq__) if unnamed else forms:
        if found and unnamed and name == ARCHIVES:
            break
        shards = {one.split for one in found.values() if one.form.endswith(SHARDS)}
        for split in _recognised(name, root):
            if split.split in shards:  # the tars of WebDataset are tars too
                continue
            key = split.split, split.path
            if key not in found or found[key].damaged:
                found[key] = split
        if wanted is not None and set(wanted) <= {split.split for split in found.values() if not split.damaged}:
            break
    return sorted(found.values(), key=lambda split: ((*SPLITS, "").index(split.split), split.damaged))


def _recognised(form: str, root: Location) -> list[Found]:
    splits: list[Found] = import_module(f"ilsvrc.readers.{form}").recognise(root)
    return splits


def find_splits(root: Location | str, wanted: Sequence[str] | None = None) -> dict[str, Found]:
    """Return the splits at a path, by split; none if nothing there is of a known form.

    Where nothing is at the path itself, the folders in it are looked at, level by level: Kaggle's images lie in
    `ILSVRC/Data/CLS-LOC`, those of Hugging Face in `data`.

    Parameters
    ----------
    root
        A folder of archives, one archive, a tree with `train` or `val` in it, or one split's folder.
    wanted
        The splits that the caller needs: others may be left out. None for all.
    """
    found: dict[str, Found] = {}
    for split in find_all(root, wanted):
        found.setdefault(split.split, split)
    return found


def find_all(root: Location | str, wanted: Sequence[str] | None = None) -> list[Found]:
    """Return the splits at a path as `find_splits` does, each in every form in which it is there."""
    path = given_location(root).absolute()
    with asked_once():
        return recognise(path, wanted) or _below(path)


def _below(root: Location) -> list[Found]:
    """Return the splits in the nearest folder below a path that has any, best in one that can be read."""
    level, damaged = [root], list[Found]()
    for _ in range(DEEPEST):
        level = [folder for parent in level for folder in _folders(parent)][:MOST_FOLDERS]
        for folder in level:
            found = [split for split in recognise(folder) if split.split and _has_images(split)]
            if not all(split.damaged for split in found):
                return found
            damaged = damaged or found
    return damaged


def _folders(parent: Location) -> list[Location]:
    """Return the folders in a folder that may hold a data set: none that is hidden, and none of a class."""
    try:
        entries = [name for name, is_folder in names_in(parent) if is_folder]
    except OSError:
        return []
    return [parent / name for name in entries if not name.startswith(".") and facts.classes().get(name) is None]


def _has_images(found: Found) -> bool:
    """Whether a folder holds an image: annotations and lists lie in folders of the same names."""
    if isinstance(found.path, StorePath):
        return True  # its forms are recognised by their images
    return found.path.is_file() or not found.path.is_dir() or split_of(found.path) is not None


def open_reader(root: Location | str, split: str, *, verify: bool = False) -> Reader:
    """Return the reader of a split: of its archive if it is there, else of its folder.

    Parameters
    ----------
    root
        As for `find_splits`.
    split
        Train, val or test.
    verify
        Compare every image that is read with its recorded digest.

    Raises
    ------
    IlsvrcError
        UsageError if the split is not there; DataError for data that can't be trusted.
    """
    if split not in SPLITS:
        raise UsageError(f"there is no split {split!r}", hint=f"use {', '.join(SPLITS)}")
    path = given_location(root).absolute()
    found = find_splits(path, (split,))
    if split in found:
        return found[split].open(verify=verify)
    if not found:
        raise nothing_found(path, (split,))
    if path.is_file():
        [other] = found.values()
        holds = other.open().split
        raise UsageError(f"{path} holds the {holds} split, not {split}", hint=f"use split={holds!r}")
    raise _absent(path, split, list(found))


def splits_at(root: Location | str) -> list[str]:
    """Return the splits that are at a path.

    Raises
    ------
    IlsvrcError
        UsageError if none is there; DataError for a file that can't be read.
    """
    found = find_splits(root)
    if not found:
        raise nothing_found(given_location(root))
    return [split or found[split].open().split for split in found]


def _absent(root: Location, split: str, others: list[str]) -> UsageError:
    """Return the error that a split is not there, though others are."""
    refuse_downloading(root, (split,))
    hint = f"`ilsvrc ls {shlex.quote(str(root))}` lists {' and '.join(others)}, which are there"
    return UsageError(f"no {split} split: {root} holds {' and '.join(others)}", hint=hint)


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a form looks like at the top of a path, for whoever holds something near it.

    form : the form, in words
    entries : one way to name what it would have for each split
    near : matches names that hint at it
    fetched_by : what of `ilsvrc fetch` gets it; empty for the official archives, from which people make it
    """

    form: str
    entries: dict[str, str]
    near: re.Pattern[str]
    fetched_by: str = ""


_SHAPES = (
    _Shape(
        "a folder of official archives",
        {split: expected_names(split)[0] for split in SPLITS},
        re.compile(r"ILSVRC2012_|devkit|MD5SUMS"),
    ),
    _Shape(
        "a tree",
        {"train": "train/n01440764/ and 999 more", "val": "val/", "test": "test/"},
        re.compile(r"(?:train|val|validation|test|n\d{8}|\d{1,4}|.*\.jpe?g)/?", re.IGNORECASE),
    ),
    _Shape(
        "Hugging Face's",
        {
            "train": "data/train-00000-of-00294.parquet",
            "val": "data/validation-00000-of-00014.parquet",
            "test": "data/test-00000-of-00028.parquet",
        },
        re.compile(r"(?:.*\.parquet|data/|\.cache/|datasets--.*|snapshots/|blobs/|refs/)"),
        "--hf ",
    ),
    _Shape(
        "Kaggle's, unpacked,",
        {split: f"ILSVRC/Data/CLS-LOC/{split}/" for split in SPLITS},
        re.compile(r"ILSVRC/|Annotations/|ImageSets/|Data/|CLS-LOC/|LOC_.*"),
        "--kaggle ",
    ),
    _Shape(
        "Kaggle's zip",
        dict.fromkeys(SPLITS, "imagenet-object-localization-challenge.zip"),
        re.compile(r"kaggle.*|.*\.zip", re.IGNORECASE),
        "--kaggle ",
    ),
    _Shape(
        "the unpacked train archive",
        {"train": "n01440764.tar and 999 more"},
        re.compile(r"n\d{8}\.tar(?:\..*)?"),
    ),
    _Shape("tars of trees", {split: f"{split}.tar" for split in SPLITS}, re.compile(r".*\.(?:tar(?:\..*)?|tgz)")),
)
"""The forms, in the order in which they are named where nothing is near any of them."""

_NAMED_SHAPES = 3
_NAMED_ENTRIES = 5


def nothing_found(root: Location, splits: Sequence[str] = SPLITS) -> UsageError:
    """Return the error that nothing at a path is of a known form: it names what is there, and what would be.

    Parameters
    ----------
    root
        Where nothing was found.
    splits
        The splits that were wanted.
    """
    if not (_is_known(root) if isinstance(root, StorePath) else os.path.lexists(root)):
        return UsageError(f"{printable(str(root))} does not exist", hint=_nearest_path(root))
    if isinstance(root, StorePath) and not root.bucket.lists:
        hint = "a web server does not say which files it has: give the address of one file"
        return UsageError(f"{root} holds no archive by its official name, and no shards", hint=hint)
    what = (
        "no split of ILSVRC 2012" if len(splits) == len(SPLITS) else f"no {' or '.join(splits)} split of ILSVRC 2012"
    )
    if not root.is_dir():
        hint = f"give the folder that holds it; {_ways_to_get(root.parent, '')}"
        return UsageError(f"{printable(str(root))} holds {what} in any known form", hint=hint)
    refuse_downloading(root, splits)
    if isinstance(root, Path) and (begun := _begun(root)) is not None:
        return begun
    damaged = _damaged(root)
    if damaged:
        resumed = f"`ilsvrc fetch --kaggle --to {fetch_folder(root)}` resumes it, if it is Kaggle's"
        hint = damaged.hint if "`" in damaged.hint else resumed
        return UsageError(f"{printable(str(root))} holds {what} that can be read: {damaged.message}", hint=hint)
    names = _names_in(root)
    count = {shape.form: sum(shape.near.fullmatch(name) is not None for name in names) for shape in _SHAPES}
    nearest = sorted(_SHAPES, key=lambda shape: -count[shape.form])[:_NAMED_SHAPES]
    lacking = (_lacking(root, shape, splits) for shape in nearest)
    hint = f"{'; '.join(filter(None, lacking))}. {_ways_to_get(root, nearest[0].fetched_by)}"
    return UsageError(f"{printable(str(root))} holds {what} in any known form: {_seen(root)}", hint=hint)


def refuse_downloading(root: Location, splits: Sequence[str], *, otherwise: str = "") -> None:
    """Refuse a folder in which the official archive of one of these splits is still being fetched.

    Parameters
    ----------
    root
        The folder.
    splits
        Splits whose archive is needed.
    otherwise
        What to do without the split, for the hint.

    Raises
    ------
    UsageError
        If one is.
    """
    for path in unfinished(root) if root.is_dir() else []:
        spec = facts.official(path.name)
        if spec and spec.split in splits:
            hint = f"let the download end, or resume it: `ilsvrc fetch {spec.split} --to {fetch_folder(root)}`"
            raise UsageError(f"{path} is still being fetched", hint=hint + otherwise)


def _damaged(root: Location) -> DataError | None:
    """Return the first error about a zip in a folder, whose recognition passes over such files."""
    for name in _names_in(root):
        try:
            _recognised("zip", root / name) if name.lower().endswith(".zip") else None
        except DataError as error:
            return error
    return None


def _begun(root: Path) -> UsageError | None:
    """Return the error that a folder has the work of `prepare` and no split that can be read; None if it has none."""
    way = printable(str(root))
    if os.path.lexists(paths.staging(root)):
        hint = f"run the same `prepare` command again: it resumes; `ilsvrc check {shlex.quote(way)}` looks at it"
        return UsageError(f"{way} holds no finished split: `prepare` was interrupted", hint=hint)
    if os.path.lexists(paths.report(root)):
        detail = f"{way} was prepared, and holds no split that can be read: {_seen(root)}"
        hint = f"without their manifests in {way}/{OWN_FOLDER} shards can't be read: {DAMAGED_MANIFEST}"
        return UsageError(detail, hint=hint)
    return None


def _names_in(root: Location) -> list[str]:
    """Return the names in a folder, a slash after those of folders; folders first, hidden ones last."""
    try:
        found = names_in(root)
    except OSError:
        return []
    names = [f"{name}/" for name, is_folder in found if is_folder] + [
        name for name, is_folder in found if not is_folder
    ]
    return sorted(names, key=lambda name: name.startswith("."))


def _seen(root: Location) -> str:
    """Say what is at the top of a folder."""
    names = _names_in(root)
    if not names:
        return "there is nothing in it" if _may_read(root) else "it can't be read"
    listed = [name if name.endswith("/") else f"{name} ({_size(root / name)})" for name in names[:_NAMED_ENTRIES]]
    more = len(names) - len(listed)
    return f"there is {printable(', '.join(listed))}{f' and {more:,} more' if more else ''}"


def _size(path: Location) -> str:
    try:
        size = f"{size_of(path):,} bytes"
        return f"{size}, zeros at its beginning: an empty tar, or a download without data" if _zeros(path) else size
    except OSError:
        return "it leads nowhere"


def _is_known(root: StorePath) -> bool:
    """Whether there is something at an address, or its server can't say."""
    return not root.bucket.lists or root.exists()


def _may_read(path: Location) -> bool:
    return isinstance(path, StorePath) or os.access(path, os.R_OK)


def _zeros(path: Location) -> bool:
    """Whether a file begins with zeros, as the end of a tar does and a file whose room was only reserved."""
    if not path.is_file() or not _may_read(path) or size_of(path) < BLOCK:
        return False
    return not any(source_of(path).read(0, BLOCK))


def _lacking(root: Location, shape: _Shape, splits: Sequence[str]) -> str:
    """Say what a path would have if it were of a form, as far as it is not there."""
    wanted = dict.fromkeys(shape.entries[split] for split in splits if split in shape.entries)
    absent = [entry for entry in wanted if not (root / entry.partition(" ")[0]).exists()]
    required = [entry for entry in absent if entry != shape.entries.get("test") or splits == ("test",)]
    return f"{shape.form} would have {' and '.join(required or absent)}" if absent else ""


def _ways_to_get(folder: Location, fetched_by: str, small: Location | None = None) -> str:
    """Name the commands that get the data set into a folder, and a small one into a new folder."""
    if isinstance(folder, StorePath):
        return "`ilsvrc fetch --to FOLDER` fetches it to this machine; `ilsvrc mini FOLDER` makes a small one"
    there, new = shlex.quote(str(folder)), shlex.quote(str(small or folder / "mini"))
    return f"`ilsvrc fetch {fetched_by}--to {there}` fetches it; `ilsvrc mini {new}` makes a small one"


def _nearest_path(root: Location) -> str:
    """Say where there is something, for a path that does not exist: at a name like it, or in the folder above."""
    above = next((parent for parent in root.absolute().parents if parent.is_dir()), None)
    if above is None:  # a bucket with nothing in it, or a web server
        return f"see whether the address is right; {_ways_to_get(root, '')}"
    wanted = path_below(root.absolute(), above).parts[0]
    close = difflib.get_close_matches(wanted, [name.rstrip("/") for name in _names_in(above)], n=1)
    if close:
        return f"did you mean `ilsvrc check {shlex.quote(str(above / close[0]))}`?"
    if recognise(above):
        return f"`ilsvrc check {shlex.quote(str(above))}` looks at the folder above, which has a data set"
    return _ways_to_get(root, "", small=root)
