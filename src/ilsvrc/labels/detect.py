"""Find from a model's predictions which label mapping it was trained with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ilsvrc.errors import UsageError
from ilsvrc.facts import LabelScheme, schemes
from ilsvrc.facts.names import true_labels
from ilsvrc.labels.evidence import Evidence, Outcome, weigh, wilson
from ilsvrc.labels.outputs import TOP, Outputs, outputs_of

SIZES = {
    10450: "the ImageNet-21k-P subset of the winter 2021 release",
    11221: "the ImageNet-21k-P subset of the fall 2011 release",
    11821: "timm's ImageNet-12k",
    21841: "ImageNet-21k, fall 2011 release",
    21842: "Microsoft's ImageNet-22k, its first 1000 outputs the classes of ILSVRC 2012 in index order",
    21843: "Google's ImageNet-21k, with two classes more",
}
"""Usual meaning of outputs of other sizes; from timm's imagenet_info.py and the ImageNet-21k-P paper."""

_SLIPS = range(-3, 4)
"""Offsets by which a mapping may be off; each is a rival, so that no neighbour of the right one is named."""

_Z95 = 1.96


@dataclass(frozen=True, slots=True)
class SchemeScore:
    """A model's accuracy if its labels are in this scheme.

    scheme : name
    top1 : accuracy, 0 to 1
    top5 : accuracy of the best five labels, 0 to 1, or None if the predictions have fewer
    interval : 95 % Wilson interval of top1
    """

    scheme: str
    top1: float
    top5: float | None
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Detection:
    """The mapping that a model uses.

    scheme : name of the scheme, or None if the predictions show none
    images : number of predictions
    needed : estimate of the further images that would decide: 0 if a scheme is named, None if more won't help
    equivalents : schemes that give these classes the same numbers
    reason : one sentence for people
    scores : accuracy under every scheme
    """

    scheme: str | None
    images: int
    needed: int | None
    equivalents: tuple[str, ...]
    reason: str
    scores: tuple[SchemeScore, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the detection as a JSON document."""
        told: dict[str, Any] = {name: getattr(self, name) for name in ("scheme", "images", "needed", "reason")}
        scores = {s.scheme: {"top1": s.top1, "top5": s.top5, "interval": list(s.interval)} for s in self.scores}
        return told | {"equivalents": list(self.equivalents), "schemes": scores}


@dataclass(frozen=True, slots=True, eq=False)
class _Labelling:
    """A scheme, or one slipped by an offset: the label of each index, shape (1000,)."""

    scheme: LabelScheme
    offset: int
    labels: npt.NDArray[np.int64]


def detect_scheme(names: Iterable[str], predictions: npt.ArrayLike, truth: npt.ArrayLike | None = None) -> Detection:
    """Find the label scheme that a model uses from its predictions for a sample of images.

    A scheme is named only if its accuracy is above the accuracy that a wrong mapping can reach, and if it beats every
    other scheme on the images where the two differ; docs/reference/detect.md has the rules and measured error rates.

    Parameters
    ----------
    names
        Names of the images: validation names hold their number and train names their wnid.
    predictions
        Labels, top-k lists or scores, as `outputs_of` takes them; in the same order.
    truth
        The true index of each image, shape (images,), if the names don't state it.

    Raises
    ------
    UsageError
        If a name is of no image of ILSVRC 2012, or names, predictions and truth differ in number.

    Examples
    --------
    >>> from ilsvrc.facts import val_labels
    >>> names = [f"ILSVRC2012_val_{n:08}" for n in range(1, 101)]
    >>> detect_scheme(names, val_labels()[:100] + 1).scheme
    'index1'
    """
    outputs = outputs_of(predictions)
    listed = [str(name) for name in names]
    right = true_labels(listed) if truth is None else _given(truth)
    if not len(outputs) == len(listed) == len(right):
        raise UsageError(f"{len(listed):,} names, {len(right):,} true labels and {len(outputs):,} predictions")
    best, evidence = weigh(_hits(outputs, right), right)
    finding = _find(outputs, evidence, _labellings()[best])
    return Detection(
        scheme=finding.scheme,
        images=len(listed),
        needed=finding.needed,
        equivalents=_equivalents(finding.scheme),
        reason=finding.reason,
        scores=tuple(_score(s, outputs, right) for s in _shown(outputs)),
    )


@dataclass(frozen=True, slots=True)
class _Finding:
    """The outcome of a detection."""

    scheme: str | None
    needed: int | None
    reason: str


def _find(outputs: Outputs, evidence: Evidence, best: _Labelling) -> _Finding:
    share = f"right on {evidence.hits / evidence.classes:.1%} of {evidence.classes:,.0f} classes"
    outcome = evidence.outcome()
    if refusal := _odd_size(outputs):
        return _Finding(None, None, f"none of these: {refusal}")
    if outcome is Outcome.NONE:
        return _Finding(None, None, f"none of these: the best is {share}{_odd_labels(outputs)}")
    if outcome is Outcome.OPEN:
        return _Finding(None, evidence.needed(), f"not settled by these images: the best is {share}")
    if refusal := _mismatch(outputs, best):
        return _Finding(None, None, f"none of these: {refusal}")
    return _Finding(_name(outputs, best), 0, f"{share}, and ahead of every other mapping where the two differ")


def _given(truth: npt.ArrayLike) -> npt.NDArray[np.int64]:
    return schemes()[0].indices(truth)


@cache
def _labellings() -> tuple[_Labelling, ...]:
    """Return every labelling that differs from the others, the schemes themselves first."""
    numeric = [s for s in schemes() if s.numeric]
    slipped = [(s, offset) for s in numeric for offset in _SLIPS]
    found: dict[bytes, _Labelling] = {}
    for known, offset in [*((s, 0) for s in numeric), *slipped]:
        labels = known.labels + offset
        found.setdefault(labels.tobytes(), _Labelling(known, offset, labels))
    return tuple(found.values())


def _hits(outputs: Outputs, truth: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    first = outputs.ranked[:, 0]
    return np.stack([known.labels[truth] == first for known in _labellings()])


def _odd_size(outputs: Outputs) -> str:
    """Return the usual meaning of an output with more or fewer columns than the 1000 classes, else an empty text."""
    if outputs.columns in (None, 1000, 1001):
        return ""
    columns = outputs.columns or 0
    usual = SIZES.get(columns, "a subset of the classes" if columns < 1000 else "no output that ilsvrc knows")
    return f"{columns:,} columns are {usual}"


def _odd_labels(outputs: Outputs) -> str:
    return (
        f"; labels reach {outputs.largest:,}, so the output is not of the 1000 classes"
        if outputs.largest > 1000
        else ""
    )


def _mismatch(outputs: Outputs, best: _Labelling) -> str:
    """Return the reason why the best labelling can't be named as a scheme, or an empty text."""
    if best.offset:
        return f"the numbers are those of {best.scheme.name}, each off by {best.offset:+}"
    if outputs.as_wnids and best.scheme.name != "index":
        return f"the wnids were looked up with numbers of the scheme {best.scheme.name} taken for indices"
    if outputs.columns and best.scheme.columns > outputs.columns:
        return f"the scheme {best.scheme.name} has labels beyond an output of {outputs.columns:,} columns"
    return ""


def _name(outputs: Outputs, best: _Labelling) -> str:
    """Return the scheme's name; `background` and `index1` number the classes alike, but only the first has a 0."""
    if outputs.as_wnids:
        return "wnid"
    has_background = outputs.columns is not None or bool((outputs.ranked == 0).any())
    return "background" if best.scheme.name == "index1" and has_background else best.scheme.name


def _equivalents(name: str | None) -> tuple[str, ...]:
    numeric = {s.name: s.labels for s in schemes() if s.numeric}
    return tuple(s for s in numeric if name in numeric and s != name and np.array_equal(numeric[s], numeric[name]))


def _shown(outputs: Outputs) -> tuple[LabelScheme, ...]:
    """Return the schemes to score: for wnids only `wnid`."""
    return tuple(s for s in schemes() if s.numeric != outputs.as_wnids)


def _score(known: LabelScheme, outputs: Outputs, truth: npt.NDArray[np.int64]) -> SchemeScore:
    labels = (known.labels if known.numeric else np.arange(len(known.labels)))[truth]
    right = outputs.ranked == labels[:, None]
    hits = int(right[:, 0].sum())
    top5 = float(right[:, :TOP].any(axis=1).mean()) if right.shape[1] >= TOP else None
    return SchemeScore(known.name, hits / len(truth), top5, wilson(hits, len(truth), _Z95))
