"""The forms of label files that are about, one row each: what a line of theirs looks like."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ilsvrc.facts.names import VAL_NAME

_WNID = r"(?P<label>n\d{8})"
_NUMBER = r"(?P<label>\d{1,9})"
_IMAGE = rf"\S*?{VAL_NAME}(?:\.\w+)?"
_SAMPLE = 500
"""Lines that are tried to tell the form of a file."""


@dataclass(frozen=True, slots=True)
class LineForm:
    """A form of text file, a line an entry.

    name : what people call such a file
    pattern : of a whole line; group `label`, and group `number` where a line says which image or class it is for
    usual : the scheme that whoever reads such a file takes its labels to be in
    of_classes : a list of classes, not of validation images
    passed_over : lines that belong to the form but hold no label
    """

    name: str
    pattern: re.Pattern[str]
    usual: str
    of_classes: bool = False
    passed_over: re.Pattern[str] = re.compile(r"\s*(#.*)?")

    @property
    def by_position(self) -> bool:
        """Whether line n is for image or class n, so that a lost line moves all that follow."""
        return "number" not in self.pattern.groupindex


def _line(pattern: str) -> re.Pattern[str]:
    """Compile the pattern of a whole line; blanks around it do not matter."""
    return re.compile(rf"\s*(?:{pattern})\s*", re.ASCII)


FORMS = (
    LineForm(
        "Kaggle's LOC_val_solution.csv",
        _line(rf"{VAL_NAME},{_WNID}(?: .*)?"),
        "wnid",
        passed_over=_line("(ImageId,.*)?"),
    ),
    LineForm(
        "valprep.sh",
        _line(rf"mv\s+{_IMAGE}\s+(?:\S*/)?{_WNID}/?"),
        "wnid",
        passed_over=_line("((mkdir|cd|set) .*|#.*)?"),
    ),
    LineForm("Caffe's val.txt", _line(rf"{_IMAGE}[\s,]+{_NUMBER}"), "index"),
    LineForm("name and wnid (ImageNet_val_label.txt)", _line(rf"{_IMAGE}[\s,]+{_WNID}"), "wnid"),
    LineForm("MXNet's .lst", _line(rf"\d+\t{_NUMBER}(?:\.0+)?\t{_IMAGE}"), "index"),
    LineForm("the devkit's ground truth", _line(_NUMBER), "devkit"),
    LineForm("wnid per image (TFDS' validation labels)", _line(_WNID), "wnid"),
    LineForm("wnid per class (Caffe's synsets.txt)", _line(_WNID), "index", of_classes=True),
    LineForm(
        "wnid and words (synset_words.txt, LOC_synset_mapping.txt)",
        _line(rf"{_WNID}[\s:]+\D.*"),
        "index",
        of_classes=True,
    ),
    LineForm(
        "wnid and number (map_clsloc.txt)",
        _line(rf"{_WNID}\s+(?P<number>\d{{1,9}})(?:\s.*)?"),
        "devkit",
        of_classes=True,
    ),
    LineForm(
        "number and wnid", _line(rf"(?P<number>\d{{1,9}})[\s,:]+{_WNID}(?:[\s,:].*)?"), "devkit", of_classes=True
    ),
)

CLASS_INDEX = LineForm(
    "Keras' imagenet_class_index.json",
    re.compile(r'"(?P<number>\d{1,9})"\s*:\s*\[\s*"(?P<label>n\d{8})"\s*,\s*"[^"\n]*"\s*\]'),
    "index",
    of_classes=True,
)
"""Found by its pattern anywhere in the text, not by a JSON parser, so that a truncated file still tells its cause."""

TREE = LineForm("folder tree", re.compile(_IMAGE), "wnid")

_PER_IMAGE, _PER_CLASS = (
    next(f for f in FORMS if f.name.startswith(start)) for start in ("wnid per i", "wnid per c")
)


def form_of(lines: Sequence[str]) -> LineForm | None:
    """Return the form that most of a sample of the lines have, or None where none fits half of them."""
    sample = lines[:: max(1, len(lines) // _SAMPLE)]
    fits = {form: sum(bool(form.pattern.fullmatch(line)) for line in sample) for form in FORMS}
    best = max(fits, key=lambda form: fits[form])
    if best is _PER_IMAGE and _is_class_list(lines):
        best = _PER_CLASS
    wanted = sum(not best.passed_over.fullmatch(line) for line in sample)
    return best if fits[best] * 2 >= max(wanted, 1) else None


def _is_class_list(lines: Sequence[str]) -> bool:
    """Tell a list of classes, where each stands once, from labels of images, where they come again and again."""
    wnids = [line.strip() for line in lines if line.strip()]
    return wnids == sorted(set(wnids)) or (len(wnids) >= _SAMPLE and len(set(wnids)) > 0.8 * len(wnids))
