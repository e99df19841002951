"""Lists of train images, 1.28 million lines: read block by block, of which only numbers are kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ilsvrc.errors import DataError
from ilsvrc.facts import classes
from ilsvrc.labels.forms import LineForm

Ints = npt.NDArray[np.int64]

_BLOCK = 1 << 18
"""Bytes that are read at once: their lines stay in the processor's cache; blocks of 2 MB take 1.6 times as long."""

_LONGEST = 1 << 20
"""Bytes of the longest line."""

_IMAGES = 10**8
"""The number of a train image is the digits of its wnid times this, plus its number within the class."""

NO_CLASS = -2
"""Stands for the class of an image whose wnid is none of the 1000; no label is equal to it."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainColumns:
    """What a list of train images says, by column.

    numbers : of the images: digits of the wnid, then eight digits of the number within the class; shape (n,), int64
    labels : shape (n,), int64 or wnids as text
    lines : the line of each entry, from 1; shape (n,), int64
    strays : lines that hold neither a label nor what belongs to the form
    """

    numbers: Ints
    labels: npt.NDArray[Any]
    lines: Ints
    strays: tuple[int, ...] = ()


def read_train(form: LineForm, blocks: Iterable[str]) -> TrainColumns:
    """Read a list of train images, whole lines at a time; at least one line must have the form."""
    parts: list[TrainColumns] = []
    line = 1
    for text in blocks:
        count = text.count("\n") + (not text.endswith("\n"))
        found = _of_lines(form).findall(text)
        if len(found) == count:
            parts.append(_columns(form, found, np.arange(line, line + count)))
        else:  # some lines are no entries: look at each
            parts.append(_one_by_one(form, text, line))
        line += count
    return TrainColumns(
        numbers=np.concatenate([part.numbers for part in parts]),
        labels=np.concatenate([part.labels for part in parts if len(part.labels)]),
        lines=np.concatenate([part.lines for part in parts]),
        strays=tuple(stray for part in parts for stray in part.strays),
    )


def _one_by_one(form: LineForm, text: str, first: int) -> TrainColumns:
    found, lines, strays = [], [], []
    for line, entry in enumerate(text.removesuffix("\n").split("\n"), first):
        match = form.pattern.fullmatch(entry)
        if match:
            found.append(match.groups())
            lines.append(line)
        elif line > 1 and not form.passed_over.fullmatch(entry):  # the first line may be a header
            strays.append(line)
    return _columns(form, found, np.array(lines, np.int64), tuple(strays))


def _columns(form: LineForm, found: list[tuple[str, ...]], lines: Ints, strays: tuple[int, ...] = ()) -> TrainColumns:
    """Turn the groups of each line into numbers."""
    if not found:
        return TrainColumns(lines, np.empty(0, np.int64), lines, strays)
    columns = list(zip(*found, strict=True))
    wnids, images, labels = (columns[form.pattern.groupindex[group] - 1] for group in ("wnid", "image", "label"))
    numbers = _numbers(wnids) * _IMAGES + _numbers(images)
    return TrainColumns(numbers, np.array(labels) if labels[0].startswith("n") else _numbers(labels), lines, strays)


def blocks_of(path: str, head: bytes, file: IO[bytes]) -> Iterator[str]:
    """Yield the text of a file whose first bytes are read already, whole lines at a time.

    Raises
    ------
    DataError
        A line is longer than a line of a label file can be.
    """
    rest = head.removeprefix(b"\xef\xbb\xbf")
    while block := file.read(_BLOCK):
        rest += block
        end = rest.rfind(b"\n") + 1
        if len(rest) - end > _LONGEST:
            raise DataError(f"{path}: a line is longer than {_LONGEST:,} bytes")
        if end:
            yield rest[:end].decode("utf-8", errors="replace")
        rest = rest[end:]
    if rest:
        yield rest.decode("utf-8", errors="replace")


def train_name(number: int) -> str:
    """Return the name of a train image by its number, without ending.

    >>> train_name(1440764_00010026)
    'n01440764_10026'
    """
    return f"n{number // _IMAGES:08}_{number % _IMAGES}"


def train_labels(numbers: Ints) -> Ints:
    """Return the index of each train image by its number, NO_CLASS where its wnid is none of the 1000."""
    known = np.array([int(wnid[1:]) for wnid in classes().wnids])
    wnids = numbers // _IMAGES
    places = np.searchsorted(known, wnids).clip(max=len(known) - 1)
    return np.where(known[places] == wnids, places, NO_CLASS)


@cache
def _of_lines(form: LineForm) -> re.Pattern[str]:
    """Return the form's pattern to be found line by line within a text."""
    return re.compile(rf"^(?:{form.pattern.pattern})$", re.ASCII | re.MULTILINE)


def _numbers(texts: tuple[str, ...]) -> Ints:
    return np.fromiter(map(int, texts), np.int64, len(texts))
