"""The forms of label files in circulation: one row per form, with the pattern of its lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ilsvrc.facts import class_lists, detection_wnids
from ilsvrc.facts.names import VAL_NAME

_WNID = r"(?P<label>n\d{8})"
_NUMBER = r"(?P<label>\d{1,9})"
_FOLDERS = r"(?:.*/)?[^\s/]*?"
_ENDING = r"(?:_n\d{8})?(?:\.\w+)*"
_IMAGE = rf"{_FOLDERS}{VAL_NAME}{_ENDING}"
_TRAIN_IMAGE = rf"(?:[^/\n]*+/)*+[^\s/]*?n(?P<wnid>\d{{8}})_(?P<image>\d{{1,8}})(?!\d){_ENDING}"
_TEST_IMAGE = rf"{_FOLDERS}ILSVRC2012_test_(?P<number>\d{{1,8}})(?!\d){_ENDING}"
_SAMPLE = 500
"""Lines that are matched to recognise the form of a file."""


class Subject(StrEnum):
    """What the entries of a label file are for: classes, or images of a split."""

    CLASSES = "classes"
    TRAIN = "train"
    VAL = "val"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class LineForm:
    """A form of text file with one entry per line.

    name : what people call such a file
    pattern : of a whole line; group `label`, and group `number` where a line says which image or class it is for, or
        groups `wnid` and `image`, digits alone, where it is for a train image
    usual : the scheme that whoever reads such a file takes its labels to be in
    subject : what its entries are for
    passed_over : lines that belong to the form but hold no label
    images : entries of a whole file, where these are not all images of the split
    """

    name: str
    pattern: re.Pattern[str]
    usual: str
    subject: Subject = Subject.VAL
    passed_over: re.Pattern[str] = re.compile(r"\s*(#.*)?")
    images: int | None = None

    @property
    def of_classes(self) -> bool:
        """Whether it is a list of classes, not of images."""
        return self.subject is Subject.CLASSES

    @property
    def by_position(self) -> bool:
        """Whether line n is for image or class n, so that a lost line moves all that follow."""
        return not {"number", "wnid"} & set(self.pattern.groupindex)


def _line(pattern: str) -> re.Pattern[str]:
    """Compile the pattern of a whole line; blanks around it do not matter."""
    return re.compile(rf"\s*(?:{pattern})\s*", re.ASCII)


_BOXED = 544_546
"""Train images with a bounding box: lines of Kaggle's train_loc.txt (lgarithm/crystalnet, issue 36)."""

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
    LineForm(
        "Kaggle's LOC_train_solution.csv",
        _line(rf"n(?P<wnid>\d{{8}})_(?P<image>\d{{1,8}}),{_WNID}(?: .*)?"),
        "wnid",
        subject=Subject.TRAIN,
        passed_over=_line("(ImageId,.*)?"),
        images=_BOXED,
    ),
    LineForm("Caffe's train.txt", _line(rf"{_TRAIN_IMAGE}[ \t,]+{_NUMBER}"), "index", subject=Subject.TRAIN),
    LineForm("train image and wnid", _line(rf"{_TRAIN_IMAGE}[ \t,]+{_WNID}"), "wnid", subject=Subject.TRAIN),
    LineForm(
        "MXNet's .lst of train images",
        _line(rf"\d+\t{_NUMBER}(?:\.0+)?\t{_TRAIN_IMAGE}"),
        "index",
        subject=Subject.TRAIN,
    ),
    LineForm("Caffe's test.txt", _line(rf"{_TEST_IMAGE}[\s,]+{_NUMBER}"), "index", subject=Subject.TEST),
    LineForm("the devkit's ground truth", _line(_NUMBER), "devkit"),
    LineForm("wnid per image (TFDS' validation labels)", _line(_WNID), "wnid"),
    LineForm("wnid per class (Caffe's synsets.txt)", _line(_WNID), "index", subject=Subject.CLASSES),
    LineForm(
        "wnid and words (synset_words.txt, LOC_synset_mapping.txt)",
        _line(rf"{_WNID}[\s:]+\D.*"),
        "index",
        subject=Subject.CLASSES,
    ),
    LineForm(
        "wnid and number (map_clsloc.txt)",
        _line(rf"{_WNID}\s+(?P<number>\d{{1,9}})(?:\s.*)?"),
        "devkit",
        subject=Subject.CLASSES,
    ),
    LineForm(
        "number and wnid",
        _line(rf"(?P<number>\d{{1,9}})[\s,:]+{_WNID}(?:[\s,:].*)?"),
        "devkit",
        subject=Subject.CLASSES,
    ),
)

CLASS_INDEX = LineForm(
    "Keras' imagenet_class_index.json",
    re.compile(r'"(?P<number>\d{1,9})"\s*:\s*\[\s*"(?P<label>n\d{8})"\s*,\s*"[^"\n]*"\s*\]'),
    "index",
    subject=Subject.CLASSES,
)
"""Found by its pattern anywhere in the text, not by a JSON parser, so that a truncated file is recognised too."""

TREE = LineForm("folder tree", re.compile(_IMAGE), "wnid")

_PER_IMAGE, _PER_CLASS = (
    next(f for f in FORMS if f.name.startswith(start)) for start in ("wnid per i", "wnid per c")
)


def form_of(lines: Sequence[str]) -> LineForm | None:
    """Return the form that fits most lines of a sample, or None if no form fits half of them."""
    sample = lines[:: max(1, len(lines) // _SAMPLE)]
    fits = {form: sum(bool(form.pattern.fullmatch(line)) for line in sample) for form in FORMS}
    best = max(fits, key=lambda form: fits[form])
    if best is _PER_IMAGE and _is_class_list(lines):
        best = _PER_CLASS
    wanted = sum(not best.passed_over.fullmatch(line) for line in sample)
    return best if fits[best] * 2 >= max(wanted, 1) else None


def list_of(wnids: Sequence[str]) -> str:
    """Return the name of the class list that has these classes and no others, or an empty string."""
    wanted = tuple(sorted(set(wnids)))
    return next((listed.name for listed in class_lists() if listed.wnids == wanted), "")


def _is_class_list(lines: Sequence[str]) -> bool:
    """Whether wnids are a list of classes, each there once, rather than labels of images, which repeat."""
    wnids = [line.strip() for line in lines if line.strip()]
    if len(set(wnids)) == len(wnids) and (set(wnids) == detection_wnids() or list_of(wnids)):
        return True
    return wnids == sorted(set(wnids)) or (len(wnids) >= _SAMPLE and len(set(wnids)) > 0.8 * len(wnids))
