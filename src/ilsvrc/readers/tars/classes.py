"""A folder of class tars, n01440764.tar and so on, as `tar xf` leaves them; some unpacked beside, perhaps."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ilsvrc import facts
from ilsvrc.archive.remote import of_each, source_of, state_of
from ilsvrc.errors import ArchiveError, DamageError, UsageError
from ilsvrc.events import Listener, silent
from ilsvrc.issues import Code, Issue
from ilsvrc.readers.tars.gather import COLUMNS, DIGEST, Tar
from ilsvrc.readers.tars.index import TarIndex, build, open_index, stored_index, without_digests
from ilsvrc.readers.tars.packed import form_of
from ilsvrc.readers.tars.reader import LOOSE, Contents, TarReader, warn
from ilsvrc.stores.path import Location, StorePath, names_in

FORM = "class tars"

_MOST_NAMED = 3

_TAR = re.compile(r"(n[0-9]{8})\.(?:tar|tar\.gz|tgz|tar\.zst)")


@dataclass(frozen=True, slots=True)
class Class:
    """The images of a class that are files of their own.

    folder : the folder
    names : sorted
    sizes : bytes of each
    """

    folder: str
    names: list[str]
    sizes: list[int]


def class_tars(folder: Location) -> list[Location]:
    """Return the tars of classes in a folder, by wnid."""
    if isinstance(folder, StorePath):
        return [folder / name for name, is_folder in names_in(folder) if _TAR.fullmatch(name) and not is_folder]
    return [path for path in _named_tars(folder) if path.is_file()]


def _named_tars(folder: Location) -> list[Location]:
    """Return the entries of a folder that have the name of a class's tar, by wnid, whatever they are."""
    try:
        return [folder / name for name, _ in names_in(folder) if _TAR.fullmatch(name)]
    except OSError:
        return []


def _refuse_no_files(folder: Location) -> None:
    """Refuse entries that have the name of a class's tar and are no files: their classes would be left out."""
    wrong = [path for path in _named_tars(folder) if not path.is_file()]
    if not wrong:
        return
    listed = ", ".join(f"{path.name} is {_kind(path)}" for path in wrong[:_MOST_NAMED])
    more = f", and {len(wrong) - _MOST_NAMED:,} more" if len(wrong) > _MOST_NAMED else ""
    issues = [Issue(str(path), Code.UNREADABLE, f"{_kind(path)}, not the tar of a class") for path in wrong]
    hint = "put the tar of the class in its place, or move it away; its class would be left out"
    raise DamageError(f"{folder}: {listed}{more} [{Code.UNREADABLE}]", issues, hint=hint)


def _kind(path: Location) -> str:
    """Say what a path is that is no file."""
    if path.is_dir():
        return "a folder"
    return "a link that leads nowhere" if path.is_symlink() and not path.exists() else "no regular file"


def open_classes(
    folder: Location, split: str = "train", *, verify: bool = False, listener: Listener = silent
) -> TarReader:
    """Return the reader of the tars of classes in a folder, and of the classes that are unpacked beside them.

    A class in both forms is read from its tar; what differs in its folder is an issue, told in a warning. Where the
    tar is cut short the folder is read, and this is told too.

    Raises
    ------
    DataError
        If a tar can't be trusted, and no folder has its class; or if something else has the name of a class's tar.
    UsageError
        If no image is there, or `verify` is asked for and there are no digests.
    """
    _refuse_no_files(folder)
    tars = of_each(_tar, class_tars(folder))
    _refuse_pairs(tars)
    loose = {found.name: found for found in _class_folders(folder)}
    index, broken = _indexed(folder, tars, {name for name in loose if loose[name].is_dir()}, listener)
    issues = [
        Issue(error.archive, error.code, f"{error.detail}; its folder is read instead") for error in broken.values()
    ]
    unpacked = {wnid: _images(path) for wnid, path in loose.items()}
    in_tars = {tar.folder for tar in index.tars}
    for wnid in sorted(in_tars & unpacked.keys()):
        issues += _differences(index, wnid, unpacked[wnid])
    for wnid in sorted(broken):
        issues += _counted(unpacked[wnid], wnid)
    alone = [found for wnid, found in sorted(unpacked.items()) if wnid not in in_tars and found.names]
    contents = _joined(folder, index, alone, issues)
    if not contents.table.num_rows:
        raise UsageError(f"{folder} holds no {split} image of ILSVRC 2012", hint="look into its tars with `tar tf`")
    reader = TarReader(split, contents, verify=verify, reopen=partial(_again, folder, split, verify))
    warn(issues, folder)
    return reader


def _again(folder: Location, split: str, verify: bool) -> TarReader:
    """Open what was opened in another process; it was warned of there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return open_classes(folder, split, verify=verify)


def _tar(path: Location) -> Tar:
    source = source_of(path)
    form = form_of(source.read(0, min(8, source.size)))
    source.close()
    return Tar(source, form, path.name.partition(".")[0])


def _refuse_pairs(tars: Sequence[Tar]) -> None:
    """Refuse two tars of one class, such as n01440764.tar and n01440764.tar.gz."""
    seen: dict[str, Tar] = {}
    for tar in tars:
        other = seen.setdefault(tar.folder, tar)
        if other is not tar:
            detail = f"the class has another tar beside it: {other.source.path.name}"
            hint = "move one of them away"
            raise ArchiveError(Code.DUPLICATE_MEMBER, detail, tar.source.path, hint=hint)


def _indexed(
    folder: Location, tars: Sequence[Tar], loose: set[str], listener: Listener
) -> tuple[TarIndex, dict[str, ArchiveError]]:
    """Return the index of the tars that are whole, and why the others are not, whose classes have folders."""
    broken: dict[str, ArchiveError] = {}
    if stored_index(folder, tars) is None:
        for tar in (tar for tar in tars if tar.folder in loose):
            try:
                build([tar], silent)
            except ArchiveError as error:
                if error.code not in (Code.TRUNCATED_ARCHIVE, Code.NOT_TAR, Code.DAMAGED_COMPRESSION):
                    raise
                broken[tar.folder] = error
    whole = [tar for tar in tars if tar.folder not in broken]
    return open_index(folder, whole, listener), broken


def _class_folders(folder: Location) -> list[Path]:
    if isinstance(folder, StorePath):
        return []  # folders of images are read on a disk only
    return sorted(Path(entry.path) for entry in os.scandir(folder) if _is_class(entry.name) and entry.is_dir())


def _is_class(name: str) -> bool:
    return facts.classes().get(name) is not None


def _images(folder: Path) -> Class:
    """Return the images of a class's folder that are named after the class."""
    named_so = re.compile(rf"{folder.name}_[0-9]{{1,18}}\.JPEG")
    found = sorted(
        (entry.name, entry.stat().st_size)
        for entry in os.scandir(folder)
        if named_so.fullmatch(entry.name) and entry.is_file()
    )
    return Class(str(folder), [name for name, _ in found], [size for _, size in found])


def _differences(index: TarIndex, wnid: str, found: Class) -> list[Issue]:
    """Return an issue if the folder of a class has other images than its tar, by name and size."""
    number = [tar.folder for tar in index.tars].index(wnid)
    rows = index.table.filter(pc.equal(index.table.column("tar"), number))
    packed = dict(zip(rows.column("name").to_pylist(), rows.column("size").to_pylist(), strict=True))
    loose = dict(zip(found.names, found.sizes, strict=True))
    missing = sorted(packed.keys() - loose.keys())
    surplus = sorted(loose.keys() - packed.keys())
    other = sorted(name for name in packed.keys() & loose.keys() if packed[name] != loose[name])
    said = [
        f"{len(names):,} {what} ({names[0]}{', ...' if len(names) > 1 else ''})"
        for names, what in ((missing, "missing"), (surplus, "surplus"), (other, "of another size"))
        if names
    ]
    if not said:
        return []
    detail = f"unlike {wnid}.tar, which is read, this folder has images {' and '.join(said)}"
    code = Code.MISSING_IMAGE if missing else Code.SURPLUS_IMAGE if surplus else Code.CHANGED_IMAGE
    return [Issue(found.folder, code, detail)]


def _counted(found: Class, wnid: str) -> list[Issue]:
    """Return an issue if a folder that is read in place of a broken tar has fewer images than the class."""
    synset = facts.classes().get(wnid)
    if synset is None or len(found.names) >= synset.train_images:
        return []
    detail = f"{len(found.names):,} images of {synset.train_images:,} that ILSVRC 2012 has of the class"
    return [Issue(found.folder, Code.MISSING_IMAGE, detail)]


def _joined(folder: Location, index: TarIndex, alone: Sequence[Class], issues: Sequence[Issue]) -> Contents:
    """Return the images of the tars and those of the folders, in catalog order."""
    contents = replace(Contents.of(folder, FORM, index, "train"), issues=tuple(issues))
    if not alone:
        return contents
    tables = [contents.table]
    for number, found in enumerate(alone, len(contents.folders)):
        count = len(found.names)
        names = pa.array(found.names, pa.string())
        before = sum(len(table) for table in tables[1:])
        label = facts.classes().by_wnid(Path(found.folder).name).index
        table = pa.Table.from_arrays(
            [
                pa.array(np.full(count, label, np.int16)),
                names,
                pa.array(np.full(count, LOOSE, np.int32)),
                pa.array(np.full(count, number, np.int32)),
                pa.array(before + np.arange(count)),  # no place, but their order: neighbours are often near
                pa.array(found.sizes, pa.int64()),
            ],
            schema=COLUMNS.remove(0),
        )
        tables.append(without_digests(table) if DIGEST.name in contents.table.column_names else table)
    joined = pa.concat_tables(tables)
    order = pc.sort_indices(joined, [("label", "ascending"), ("name", "ascending")])
    return replace(
        contents,
        table=joined.take(order).combine_chunks(),
        folders=(*contents.folders, *(found.folder for found in alone)),
        loose={found.folder: state_of(Path(found.folder)) for found in alone},
    )
