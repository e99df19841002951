"""Read label files of any form, which is recognised by content, never by the file's name."""

from __future__ import annotations

import lzma
import os
import re
import tarfile
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ilsvrc.errors import DataError
from ilsvrc.facts.names import val_name, val_number
from ilsvrc.labels.forms import CLASS_INDEX, FORMS, TREE, LineForm, Subject, form_of
from ilsvrc.labels.train import blocks_of, read_train, train_name

GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
_LARGEST = 64_000_000
"""Bytes; the devkit has 2.6 MB, and 50,000 labels with all their bounding boxes have a third of this."""

_LARGEST_TRAIN = 512_000_000
"""Bytes of a list of train images; Caffe's has 43.8 MB, and long absolute paths make several times as much."""

_HEAD = 1 << 16
"""Bytes that tell the form of a text, and whether it is to be read block by block."""

_MEMBERS = 1_000_000_000
"""Bytes that the members of an archive of label files have together at most; caffe_ilsvrc12.tar.gz has 60 MB."""

_MACOS = "._"
"""How the names of macOS's own files begin, six of which lie in Caffe's archive."""

_FEW = 5
"""Entries below this number are too few to be told from running numbers."""

_MOST = 0.9
"""Share of the entries that are numbered one after another where the numbers are no labels."""

_NUMBER = re.compile(r"\d{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """The entries of a label file.

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

    @property
    def running(self) -> bool:
        """Whether its numbers count the entries, as the lists of ImageSets/CLS-LOC do, and are no labels."""
        if self.labels.dtype.kind != "i" or len(self) < _FEW or self.form.of_classes or self.form.by_position:
            return False
        counts = self.labels == np.arange(1, len(self) + 1)
        return bool(counts.mean() >= _MOST or (self.labels == self.numbers).mean() >= _MOST)

    def subject(self, place: int) -> str:
        """Return the class number or the image that an entry is for, for people."""
        number = int(self.numbers[place])
        if self.form.subject is Subject.TRAIN:
            return train_name(number)
        return f"class {number}" if self.form.of_classes else val_name(number)


class _Entry(NamedTuple):
    number: int
    label: str
    line: int


def read_listing(path: str | os.PathLike[str]) -> Listing:
    """Read a label file, an archive that holds one for the validation images, or a tree of validation images.

    Raises
    ------
    DataError
        It is none of the forms known here, or is damaged.
    """
    where = Path(path)
    if where.is_dir():
        truth = where / "data" / GROUND_TRUTH
        return _text(str(where), truth.read_bytes()) if truth.is_file() else _tree(where)
    if is_archive(where):
        return _validation_labels(where)
    with where.open("rb") as file:
        return _read(str(where), file, where.stat().st_size)


def is_archive(path: Path) -> bool:
    """Whether a file is a tar archive, compressed or not, of a size that archives of label files have."""
    if path.is_dir() or path.stat().st_size > _LARGEST:
        return False
    try:
        return tarfile.is_tarfile(path)
    except EOFError:  # a compressed archive cut off within its first block
        return True


def read_members(path: Path) -> dict[str, Listing | DataError]:
    """Read the label files in an archive, by the names of all its members; an error for a member that is none.

    The devkit's archive has one alone: its ground truth.

    Raises
    ------
    DataError
        The archive is damaged, or too large.
    """
    found: dict[str, Listing | DataError] = {}
    room = _MEMBERS
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                room -= member.size
                if room < 0:
                    raise DataError(f"{path}: its members have more than {_MEMBERS:,} bytes", hint="unpack it first")
                ours = member.isfile() and not PurePosixPath(member.name).name.startswith(_MACOS)
                file = archive.extractfile(member) if ours else None
                if file is not None:
                    found[member.name] = _member(f"{path}/{member.name}", file, member.size)
    except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{path}: the archive is truncated or damaged: {error}", hint="fetch it again") from error
    truth = {name: said for name, said in found.items() if PurePosixPath(name).name == GROUND_TRUTH}
    return truth or found


def _member(path: str, file: IO[bytes], size: int) -> Listing | DataError:
    try:
        return _read(path, file, size)
    except DataError as error:
        return error


def _validation_labels(path: Path) -> Listing:
    """Return the only validation labels of an archive."""
    found = [
        said
        for said in read_members(path).values()
        if isinstance(said, Listing) and said.form.subject is Subject.VAL and not said.running
    ]
    if len(found) != 1:
        count = f"{len(found)} files with validation labels" if found else f"no {GROUND_TRUTH}"
        raise DataError(f"{path}: holds {count}", hint="ILSVRC2012_devkit_t12.tar.gz and Caffe's archive hold one")
    return replace(found[0], path=str(path))


def _read(path: str, file: IO[bytes], size: int) -> Listing:
    """Read a label file; a list of train images block by block."""
    head = file.read(_HEAD)
    form = form_of(_text_of(head).splitlines()[: -1 if len(head) < size else None])
    if form and form.subject is Subject.TRAIN and size <= _LARGEST_TRAIN:
        columns = read_train(form, blocks_of(path, head, file))
        return Listing(path, form, columns.numbers, columns.labels, columns.lines, columns.strays)
    if size > _LARGEST:
        raise _unknown(path)
    return _text(path, head + file.read())


def _text_of(data: bytes) -> str:
    return data.decode("utf-8-sig", errors="replace")


def _text(path: str, data: bytes) -> Listing:
    text = _text_of(data)
    if text.lstrip().startswith("{"):
        return _class_index(path, text)
    lines = text.splitlines()
    form = form_of(lines)
    if form is None or form.subject is Subject.TRAIN:  # train images alone are told by the first lines
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


def _class_index(path: str, text: str) -> Listing:
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
    return _listing(str(path), TREE, sorted(entries))


def _listing(path: str, form: LineForm, entries: list[_Entry], strays: Iterable[int] = ()) -> Listing:
    labels = np.array([e.label for e in entries])
    numeric = all(_NUMBER.fullmatch(e.label) for e in entries)
    return Listing(
        path=path,
        form=form,
        numbers=np.array([e.number for e in entries], np.int64),
        labels=labels.astype(np.int64) if numeric else labels,
        lines=np.array([e.line for e in entries], np.int64),
        strays=tuple(strays),
    )


def _unknown(path: str) -> DataError:
    known = "; ".join(["the devkit archive", *(form.name for form in FORMS), CLASS_INDEX.name, "a folder tree"])
    return DataError(f"{path}: no form of label file that ilsvrc knows", hint=f"it reads {known}")
