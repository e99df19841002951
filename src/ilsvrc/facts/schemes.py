"""The numberings of the 1000 classes that people use, and the arithmetic between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ilsvrc.errors import UsageError
from ilsvrc.facts.classes import classes

Array = npt.NDArray[Any]

_SHOWN = 3
"""Labels outside a scheme that an error names, at most."""


@dataclass(frozen=True, slots=True)
class LabelScheme:
    """A way to label the 1000 classes.

    name : what the command line calls it
    used_by : programs and files that use it, one line for people
    labels : the label of the class of each index: shape (1000,), int64, or `<U9` for wnids; read-only
    columns : size of a model's output that can hold these labels as column numbers, 0 for wnids

    >>> scheme("devkit").labels[65]
    np.int64(490)
    """

    name: str
    used_by: str
    labels: Array = field(repr=False, compare=False)

    @property
    def numeric(self) -> bool:
        """Whether the labels are numbers."""
        return self.labels.dtype.kind == "i"

    @property
    def columns(self) -> int:
        """Outputs of a model that holds each label as a column: 1000 or 1001, or 0 where labels are no numbers."""
        return int(self.labels.max()) + 1 if self.numeric else 0

    @property
    def range(self) -> str:
        """The labels' range, for people."""
        ordered = np.sort(self.labels)
        return f"{ordered[0]} to {ordered[-1]}"

    def lookup(self, labels: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the index of each label, -1 where it is no label of this scheme; any shape."""
        return np.asarray(_lookup(self, np.asarray(labels)))

    def indices(self, labels: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the index of each label: int64, the same shape.

        Raises
        ------
        UsageError
            If a label is outside the scheme; the message names the first ones and their positions.
        """
        given = np.asarray(labels)
        found = self.lookup(given)
        if (found < 0).any():
            raise _outside(self, given, np.argwhere(found < 0))
        return found


@cache
def schemes() -> tuple[LabelScheme, ...]:
    """Return every scheme that ilsvrc knows, `index` first."""
    index = np.arange(len(classes()))
    devkit = np.array([s.devkit_id for s in classes()])
    table = (
        ("index", "torchvision, timm, Keras, Caffe, TFDS, Hugging Face: position in the sorted wnids", index),
        ("index1", "tensorflow/tpu TFRecords and files counted from one", index + 1),
        ("background", "TF-Slim, TF-Hub and MLPerf models with 1001 outputs: 0 is background", index + 1),
        ("devkit", "ILSVRC2012_ID of the devkit, the validation ground truth", devkit),
        ("devkit0", "mlx-data, and ground truth minus one: a frequent mistake", devkit - 1),
        ("lexicographic", "ImageFolder, DALI, MDS, FFCV and im2rec over folders 0 to 999, unpadded", _by_text(index)),
        ("wnid", "folder names of the official archives", np.array(classes().wnids)),
    )  # fmt: skip
    for _, _, labels in table:
        labels.flags.writeable = False
    return tuple(LabelScheme(*row) for row in table)


def scheme(name: str) -> LabelScheme:
    """Return the scheme of this name.

    Raises
    ------
    UsageError
        If no scheme has this name; the hint names the closest ones.
    """
    known = {s.name: s for s in schemes()}
    if name in known:
        return known[name]
    close = get_close_matches(name, known, n=2)
    hint = f"did you mean {' or '.join(close)}?" if close else f"choose one of {', '.join(known)}"
    raise UsageError(f"no label scheme is called {name!r}", hint=hint)


def convert(labels: npt.ArrayLike, source: str, target: str) -> Array:
    """Return labels of one scheme as labels of another.

    Parameters
    ----------
    labels
        Whole numbers, or wnids where `source` is wnid; any shape.
    source, target
        Names of schemes.

    Returns
    -------
    numpy.ndarray
        The same shape: int64, or `<U9` where `target` is wnid.

    Raises
    ------
    UsageError
        A scheme's name is unknown, or a label is outside the source scheme. The background class, 0 of the scheme
        `background`, is no class of ILSVRC 2012 and so outside.

    Examples
    --------
    >>> convert([490, 361, 171], "devkit", "index")
    array([ 65, 970, 230])
    """
    wanted = scheme(target).labels
    return np.asarray(wanted[scheme(source).indices(labels)])


def permutation(source: str, target: str) -> npt.NDArray[np.int64]:
    """Return the columns of a model's output in the target's order.

    Entry j is the source's label of the class that has the j-th smallest label in the target: shape (1000,), int64.
    `scores[:, permutation("devkit0", "index")]` has its columns in the order of the sorted wnids, and
    `weight[permutation("background", "index")]` drops the background class of an output layer as well.

    Raises
    ------
    UsageError
        If a scheme's name is unknown, or the source's labels are wnids, which are not numbers of columns.

    Examples
    --------
    >>> permutation("devkit", "index")[:3]
    array([449, 450, 442])
    """
    if not scheme(source).numeric:
        raise UsageError(
            f"labels of the scheme {source} are not numbers of columns", hint="columns sorted by wnid are `index`"
        )
    return convert(np.sort(scheme(target).labels), target, source)


def _by_text(index: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the position of each number when all are sorted as text: 0, 1, 10, 100, 101, ..."""
    return np.argsort(np.argsort(index.astype(str)))


def _lookup(known: LabelScheme, labels: Array) -> Array:
    """Look labels up by binary search; numbers by value, never by their text."""
    if labels.size == 0:
        return np.empty(labels.shape, np.int64)
    if labels.dtype.kind not in ("iu" if known.numeric else "U"):
        raise UsageError(f"labels of the scheme {known.name} are {_kind(known)}, not {labels.dtype}")
    order = np.argsort(known.labels)
    places = np.searchsorted(known.labels[order], labels).clip(max=len(order) - 1)
    found = order[places]
    return np.where(known.labels[found] == labels, found, -1)


def _kind(known: LabelScheme) -> str:
    return "whole numbers" if known.numeric else "wnids as text"


def _outside(known: LabelScheme, labels: Array, where: npt.NDArray[np.int64]) -> UsageError:
    first = [(labels[tuple(place)], ", ".join(map(str, place))) for place in where[:_SHOWN]]
    named = "; ".join(f"{label} at [{place}]" for label, place in first)
    more = f" and {len(where) - _SHOWN:,} more" if len(where) > _SHOWN else ""
    detail = f"{named}{more}" if labels.ndim else str(labels)
    return UsageError(
        f"not in the scheme {known.name} ({known.range}): {detail}",
        hint="`ilsvrc labels detect` and `ilsvrc labels verify` tell which scheme labels are in",
    )
