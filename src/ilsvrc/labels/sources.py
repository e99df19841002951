"""Read any label file that is about; what it is shows by its content, never by its name."""

from __future__ import annotations

import os
import re
import tarfile
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ilsvrc.errors import DataError
from ilsvrc.facts.names import val_number
from ilsvrc.labels.forms import CLASS_INDEX, FORMS, TREE, LineForm, form_of

GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
_LARGEST = 64_000_000
"""Bytes; the devkit has 2.6 MB, and 50,000 labels with all their bounding boxes have a third of this."""

_NUMBER = re.compile(r"\d{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """What a label file says.

    path : the file or folder
    form : what sort of file it is
    numbers : what each entry is for: the validation image's number from 1, or the class number; shape (n,), int64
    labels : the label of each entry: shape (n,), int64 or wnids as text
    lines : the line of each entry, from 1, or 0 where there are none: shape (n,), int64
    strays : lines that hold neither a label nor what belongs to the form
    """

    path: str
    form: LineForm
    numbers: npt.NDArray[np.int64]
    labels: npt.NDArray[Any]
    lines: npt.NDArray[np.int64]
    strays: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.numbers)


class _Entry(NamedTuple):
    number: int
    label: str
    line: int


def read_listing(path: str | os.PathLike[str]) -> Listing:
    """Read a label file, the devkit archive that holds one, or a tree of validation images.

    Raises
    ------
    DataError
        It is none of the forms known here, or is damaged.
    """
    where = Path(path)
    if where.is_dir():
        truth = where / "data" / GROUND_TRUTH
        return _text(where, truth.read_bytes()) if truth.is_file() else _tree(where)
    if where.stat().st_size > _LARGEST:
        raise _unknown(where)
    return _text(where, _ground_truth(where) if _is_tar(where) else where.read_bytes())


def _text(path: Path, data: bytes) -> Listing:
    text = data.decode("utf-8-sig", errors="replace")
    if text.lstrip().startswith("{"):
        return _class_index(path, text)
    lines = text.splitlines()
    form = form_of(lines)
    if form is None:
        raise _unknown(path)
    strays: list[int] = []
    entries = list(_entries(form, lines, strays))
    return _listing(path, form, entries, strays)


def _entries(form: LineForm, lines: Iterable[str], strays: list[int]) -> Iterator[_Entry]:
    """Yield the entries of a text and note its strays; a stray keeps its place among lines that count by position."""
    start = 0 if form.of_classes else 1
    position = 0
    for line, text in enumerate(lines, 1):
        found = form.pattern.fullmatch(text)
        if found:
            number = position + start if form.by_position else int(found["number"])
            yield _Entry(number, found["label"], line)
        elif form.passed_over.fullmatch(text) or line == 1:
            continue  # the first line may be a header
        else:
            strays.append(line)
        position += 1


def _class_index(path: Path, text: str) -> Listing:
    ends = [m.start() for m in re.finditer("\n", text)]
    found = CLASS_INDEX.pattern.finditer(text)
    entries = [_Entry(int(m["number"]), m["label"], bisect_right(ends, m.start()) + 1) for m in found]
    if not entries:
        raise _unknown(path)
    return _listing(path, CLASS_INDEX, entries)


def _tree(path: Path) -> Listing:
    """Read a tree of folders: the folder of an image is its label."""
    root = path / "val" if (path / "val").is_dir() else path
    entries = []
    for folder in (entry for entry in os.scandir(root) if entry.is_dir()):
        names = (file.name for file in os.scandir(folder))
        entries += [_Entry(number, folder.name, 0) for name in names if (number := val_number(name))]
    if not entries:
        raise DataError(f"{path}: no validation images in folders named by their label", hint="give the folder `val`")
    return _listing(path, TREE, sorted(entries))


def _listing(path: Path, form: LineForm, entries: list[_Entry], strays: Iterable[int] = ()) -> Listing:
    labels = np.array([e.label for e in entries])
    numeric = all(_NUMBER.fullmatch(e.label) for e in entries)
    return Listing(
        path=str(path),
        form=form,
        numbers=np.array([e.number for e in entries], np.int64),
        labels=labels.astype(np.int64) if numeric else labels,
        lines=np.array([e.line for e in entries], np.int64),
        strays=tuple(strays),
    )


def _is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except EOFError:  # a compressed archive cut off within its first block
        return True


def _ground_truth(path: Path) -> bytes:
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if PurePosixPath(member.name).name == GROUND_TRUTH:
                    file = archive.extractfile(member)
                    return file.read() if file else b""
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(f"{path}: the archive is truncated or damaged: {error}", hint="fetch it again") from error
    raise DataError(f"{path}: holds no {GROUND_TRUTH}", hint="ILSVRC2012_devkit_t12.tar.gz does")


def _unknown(path: Path) -> DataError:
    known = "; ".join(["the devkit archive", *(form.name for form in FORMS), CLASS_INDEX.name, "a folder tree"])
    return DataError(f"{path}: no form of label file that ilsvrc knows", hint=f"it reads {known}")
