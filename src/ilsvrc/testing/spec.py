"""The specification of a miniature, validated before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypedDict, TypeVar

from ilsvrc.errors import UsageError
from ilsvrc.facts import Synset, classes
from ilsvrc.testing.faults import FAULTS, Fault
from ilsvrc.testing.images import REAL_MEAN_BYTES
from ilsvrc.tree.layout import Layout, refuse_collisions

E = TypeVar("E", bound=StrEnum)

_RANGES = {
    "classes": (1, 1000),
    "per_class": (1, 1300),
    "val_per_class": (1, 50),
    "seed": (0, 2**32 - 1),
    "mean_bytes": (2_000, 400_000),
    "test_images": (0, 100_000),
}


class Form(StrEnum):
    """The forms in which people hold ILSVRC 2012; FORMS says what each is."""

    ARCHIVES = "archives"
    INNER = "inner"
    HEAP = "heap"
    TREE = "tree"
    KAGGLE = "kaggle"
    KAGGLE_ZIP = "kaggle-zip"
    KAGGLE_TARGZ = "kaggle-targz"
    HF_PARQUET = "hf-parquet"
    HF_TAR = "hf-tar"
    TREE_TAR = "tree-tar"


FORMS: dict[Form, str] = {
    Form.ARCHIVES: "the official archives: a tar of tars, a flat tar, the devkit",
    Form.INNER: "train as a folder of `WNID.tar`, as the first `tar xf` leaves it; the other archives whole",
    Form.HEAP: "train in class folders, validation images in one folder, as before valprep.sh",
    Form.TREE: "class folders `train/` and `val/`, named as `--layout` says",
    Form.KAGGLE: "Kaggle's download, unpacked: `ILSVRC/Data/CLS-LOC`, lists, boxes and solutions",
    Form.KAGGLE_ZIP: "the same in `imagenet-object-localization-challenge.zip`",
    Form.KAGGLE_TARGZ: "the same in `imagenet_object_localization_patched2019.tar.gz`, lists beside it",
    Form.HF_PARQUET: "Hugging Face's Parquet shards, `data/train-00000-of-00002.parquet`",
    Form.HF_TAR: "Hugging Face's older archives, `data/train_images_0.tar.gz` to `_4`",
    Form.TREE_TAR: "`train.tar` and `val.tar`, each of one tree",
}
"""What each form is, in one line."""


class State(StrEnum):
    """How far a miniature's owner has come; STATES says what each is."""

    COMPLETE = "complete"
    HALF_VALPREP = "half-valprep"
    HALF_INNER = "half-inner"
    SOME_REMOVED = "some-removed"
    HALF_DOWNLOAD = "half-download"


@dataclass(frozen=True, slots=True)
class StateSpec:
    """What a state is.

    description : one line for people
    forms : the forms that can be in it
    """

    description: str
    forms: tuple[Form, ...]


_DOWNLOADED = (
    Form.ARCHIVES,
    Form.KAGGLE_ZIP,
    Form.KAGGLE_TARGZ,
    Form.HF_PARQUET,
    Form.HF_TAR,
    Form.TREE_TAR,
)

STATES: dict[State, StateSpec] = {
    State.COMPLETE: StateSpec("nothing is unfinished", tuple(Form)),
    State.HALF_VALPREP: StateSpec(
        "valprep.sh stopped: all class folders are made, half of the validation images are moved",
        (Form.HEAP, Form.KAGGLE),
    ),
    State.HALF_INNER: StateSpec(
        "half of the inner tars are unpacked and removed; one is unpacked in part, and still there", (Form.INNER,)
    ),
    State.SOME_REMOVED: StateSpec("a quarter of the inner tars is gone", (Form.INNER,)),
    State.HALF_DOWNLOAD: StateSpec(
        "a download stopped: a file is there in part, as its downloader leaves it", _DOWNLOADED
    ),
}
"""What each state is, and the forms that can be in it."""

COMPRESSIBLE = (Form.KAGGLE_ZIP, Form.TREE_TAR)
"""The forms that are found both compressed and not."""


class MiniFields(TypedDict, total=False):
    """The fields of a MiniSpec, as keywords."""

    classes: int
    per_class: int
    val_per_class: int
    seed: int
    mean_bytes: int
    faults: frozenset[Fault]
    test_images: int
    form: Form | str
    state: State | str
    layout: str
    compressed: bool


@dataclass(frozen=True, slots=True)
class MiniSpec:
    """A miniature; a UsageError where a number is out of range, or a form can't be as it is asked for.

    classes : number of classes, the first of the 1000 by wnid
    per_class : train images of each class, up to 1300 as in the real set
    val_per_class : validation images of each class, up to 50 as in the real set
    seed : the same seed and numbers give the same names and pictures in every form
    mean_bytes : of an image file, 2,000 to 400,000; smaller pictures where it is less than ImageNet's
    faults : what is wrong with it
    test_images : images of the test split, which is left out with 0
    form : what it looks like on disk
    state : how far its owner has come
    layout : of the form tree: wnid, index, padded, flat or a template
    compressed : of the forms kaggle-zip (deflated) and tree-tar (gzipped)
    """

    classes: int = 1000
    per_class: int = 3
    val_per_class: int = 1
    seed: int = 0
    mean_bytes: int = REAL_MEAN_BYTES
    faults: frozenset[Fault] = field(default_factory=frozenset)
    test_images: int = 0
    form: Form | str = Form.ARCHIVES
    state: State | str = State.COMPLETE
    layout: str = "wnid"
    compressed: bool = False

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise UsageError(f"{name} is {value:,}, which is not in {low:,} to {high:,}")
        object.__setattr__(self, "form", _member(Form, "form", self.form))
        object.__setattr__(self, "state", _member(State, "state", self.state))
        _refuse_impossible(self)

    @property
    def synsets(self) -> Sequence[Synset]:
        """The chosen classes, by index."""
        return classes()[: self.classes]

    @property
    def images(self) -> int:
        """Number of images, without faults."""
        return self.classes * (self.per_class + self.val_per_class) + self.test_images


def faults_of(form: Form | str) -> tuple[Fault, ...]:
    """Return the faults that a form can have: those of tars need its tars, those of transport its MD5SUMS."""
    if form == Form.ARCHIVES:
        return tuple(FAULTS)
    if form == Form.INNER:
        return tuple(fault for fault, spec in FAULTS.items() if not spec.in_transport)
    return tuple(fault for fault, spec in FAULTS.items() if spec.anywhere)


def _member(kind: type[E], name: str, value: str) -> E:
    try:
        return kind(value)
    except ValueError:
        raise UsageError(f"no such {name}: {value}", hint=f"use one of {', '.join(kind)}") from None


def _refuse_impossible(spec: MiniSpec) -> None:
    """Refuse what a form can't have: a state, a layout, compression, a fault, too few classes."""
    possible = STATES[State(spec.state)].forms
    if spec.form not in possible:
        hint = f"{spec.state} is for --form {' or '.join(possible)}"
        raise UsageError(f"the form {spec.form} can't be in the state {spec.state}", hint=hint)
    if spec.state == State.SOME_REMOVED and spec.classes < 2:
        raise UsageError("some-removed would leave no inner tar", hint="ask for 2 classes or more")
    _refuse_layout(spec)
    _refuse_faults(spec)


def _refuse_layout(spec: MiniSpec) -> None:
    if spec.form == Form.TREE:
        layout = Layout.parse(spec.layout)
        refuse_collisions(layout, [layout.path("train", s.index, f"{s.wnid}_1.JPEG") for s in spec.synsets])
    elif spec.layout != "wnid":
        raise UsageError(f"the form {spec.form} has no layout to choose", hint="--layout is for --form tree")
    if spec.compressed and spec.form not in COMPRESSIBLE:
        hint = f"compression can be chosen with --form {' or '.join(COMPRESSIBLE)}"
        raise UsageError(f"the form {spec.form} is not found both compressed and not", hint=hint)


def _refuse_faults(spec: MiniSpec) -> None:
    # what a dangerous member would do is not done here: of unpacked tars, only images have faults
    possible_faults = faults_of(Form.TREE if spec.state == State.HALF_INNER else spec.form)
    refused = [fault for fault in FAULTS if fault in spec.faults and fault not in possible_faults]
    if refused:
        where = f"the form {spec.form}" if spec.state == State.COMPLETE else f"the state {spec.state}"
        raise UsageError(f"{where} can't have {', '.join(refused)}", hint=f"it can have {', '.join(possible_faults)}")
    spoiled = [fault for fault in FAULTS if fault in spec.faults and FAULTS[fault].in_transport]
    if spoiled and spec.state != State.COMPLETE:
        hint = "ask for the fault or for the state"
        raise UsageError(f"{', '.join(spoiled)} needs archives that are complete", hint=hint)
