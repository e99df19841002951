"""Rewrite label files from one scheme to another, in the same form or in another one."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ilsvrc.errors import DataError, UsageError
from ilsvrc.facts import LabelScheme, scheme
from ilsvrc.facts.names import val_name
from ilsvrc.labels.causes import diagnose, unlabelled
from ilsvrc.labels.forms import Subject
from ilsvrc.labels.readings import best_reading
from ilsvrc.labels.sources import read_listing

_LABEL = r"(?P<label>[0-9]{1,9}|n[0-9]{8})"
_LINES = (
    re.compile(rf"(?P<before>\d+\t){_LABEL}(?:\.0+)?(?P<after>\t\S.*\s*)"),  # MXNet's .lst
    re.compile(rf"(?P<before>(?:.*[\s,])?){_LABEL}(?P<after>\s*)"),  # the label ends the line
)
"""Patterns of lines whose label can be replaced in place."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """The conversion to make.

    target : scheme of the labels written
    source : scheme of the labels read, or None to recognise it, for which the file must hold validation labels
    form : a key of FORMS, or None to replace each label in place
    """

    target: str
    source: str | None = None
    form: str | None = None


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A label file in another scheme.

    text : its contents, line ends as they were
    labels : how many labels it holds
    source : the scheme they were in
    target : the scheme they are in now
    """

    text: str
    labels: int
    source: str
    target: str


def rewrite(path: str | os.PathLike[str], conversion: Conversion) -> Rewritten:
    """Return a label file with its labels in another scheme; without a new form, only the labels change.

    Raises
    ------
    DataError
        If a line holds no label, or the file has no known form.
    UsageError
        If a scheme or form is unknown, a label is outside the source scheme, or the scheme can't be recognised.
    """
    target = scheme(conversion.target)
    source = scheme(conversion.source or _told_by(path))
    if conversion.form is None:
        text, count = _in_place(Path(path), source, target)
    else:
        text, count = _in_form(path, (source, target), conversion.form)
    return Rewritten(text, count, source.name, target.name)


def _told_by(path: str | os.PathLike[str]) -> str:
    listing = read_listing(path)
    without = unlabelled(listing)
    if without:
        raise UsageError(f"{path}: {without.detail}", hint="give a file with labels")
    reading = best_reading(listing)
    finding = diagnose(reading)
    if not finding.ok:
        raise UsageError(f"{path}: its scheme can't be recognised: {finding.detail}", hint="name it with --from")
    return reading.scheme.name


def _in_place(path: Path, source: LabelScheme, target: LabelScheme) -> tuple[str, int]:
    with path.open(newline="", encoding="utf-8") as file:
        lines = file.read().splitlines(keepends=True)
    found = [next((m for p in _LINES if (m := p.fullmatch(line))), None) for line in lines]
    _refuse_strays(path, lines, found)
    places = [place for place, match in enumerate(found) if match]
    labels = _converted(path, [(place + 1, found[place]["label"]) for place in places], (source, target))  # type: ignore[index]
    for place, label in zip(places, labels, strict=True):
        match = found[place]
        assert match is not None
        lines[place] = f"{match['before']}{label}{match['after']}"
    return "".join(lines), len(places)


def _refuse_strays(path: Path, lines: list[str], found: list[re.Match[str] | None]) -> None:
    """Accept lines without a label only where they are blank, or first: a header."""
    strays = [n for n, (line, match) in enumerate(zip(lines, found, strict=True), 1) if not match and line.strip()]
    if not any(found) or any(stray > 1 for stray in strays):
        where = f"line {max(strays)}: " if strays else ""
        hint = "lists of classes are written anew by `ilsvrc labels table`; other forms need --form"
        raise DataError(f"{path}: {where}no label at the end of the line", hint=hint)


def _converted(
    path: Path, labels: list[tuple[int, str]], schemes: tuple[LabelScheme, LabelScheme]
) -> npt.NDArray[Any]:
    source, target = schemes
    texts = np.array([text for _, text in labels])
    if source.numeric != all(text.isdecimal() for _, text in labels):
        kind = "whole numbers" if source.numeric else "wnids"
        raise UsageError(f"{path}: holds labels that are no {kind}, as the scheme {source.name} has them")
    indices = source.lookup(texts.astype(np.int64) if source.numeric else texts)
    if (indices < 0).any():
        line, text = labels[int(np.argmin(indices))]
        raise UsageError(f"{path}: line {line}: {text} is not in the scheme {source.name} ({source.range})")
    return np.asarray(target.labels[indices])


def _in_form(path: str | os.PathLike[str], schemes: tuple[LabelScheme, LabelScheme], form: str) -> tuple[str, int]:
    if form not in FORMS:
        raise UsageError(f"no form of label file is called {form!r}", hint=f"choose one of {', '.join(FORMS)}")
    listing = read_listing(path)
    if listing.form.of_classes:
        raise DataError(f"{path}: lists classes", hint="`ilsvrc labels table` writes the same in other forms")
    if listing.form.subject is not Subject.VAL:
        hint = "without --form each label is replaced where it stands"
        raise DataError(
            f"{path}: lists {listing.form.subject} images; other forms are for validation images", hint=hint
        )
    order = np.argsort(listing.numbers, kind="stable")
    numbers = listing.numbers[order]
    if form == "list" and not np.array_equal(numbers, np.arange(1, len(numbers) + 1)):
        raise DataError(f"{path}: images are missing or repeated, so a list by position would be wrong")
    labels = schemes[1].labels[schemes[0].indices(listing.labels[order])]
    rows = zip((val_name(int(n)) for n in numbers), labels, strict=True)
    return "".join(FORMS[form](rows)), len(numbers)


_Rows = Iterable[tuple[str, Any]]

FORMS: dict[str, Callable[[_Rows], Iterable[str]]] = {
    "val.txt": lambda rows: (f"{name} {label}\n" for name, label in rows),
    "list": lambda rows: (f"{label}\n" for _, label in rows),
    "csv": lambda rows: ("name,label\n", *(f"{name},{label}\n" for name, label in rows)),
}
"""Caffe's `NAME LABEL`; one label per line in the order of the images, as the ground truth has; CSV with a header."""
