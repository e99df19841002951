"""A model's outputs for a sample of images, in any form: labels, top-k lists, or scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ilsvrc.errors import UsageError
from ilsvrc.facts import scheme

TOP = 5
SCORE_COLUMNS = 1000
"""A row of whole numbers this long holds scores, a shorter one the labels of a top-k list."""


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """The predictions of a model.

    ranked : labels, the best first: shape (images, k), int64; wnids stand as their index, -1 where they are none
    columns : size of the model's output, or None where only labels are known
    as_wnids : whether the predictions are wnids
    """

    ranked: npt.NDArray[np.int64]
    columns: int | None = None
    as_wnids: bool = False

    def __len__(self) -> int:
        return len(self.ranked)

    @property
    def largest(self) -> int:
        """The largest label."""
        return int(self.ranked.max())


def outputs_of(predictions: npt.ArrayLike) -> Outputs:
    """Recognise by shape and type whether predictions are labels, top-k lists or scores.

    Parameters
    ----------
    predictions
        Labels: whole numbers or wnids, shape (images,). Top-k lists: the same, shape (images, k). Scores: numbers,
        shape (images, columns).

    Raises
    ------
    UsageError
        If they are none of these, are empty, or hold NaN.
    """
    given = np.asarray(predictions)
    if given.ndim not in (1, 2) or given.size == 0:
        raise UsageError(
            f"predictions have shape {given.shape}", hint="give one label, top-k list or row of scores per image"
        )
    if given.dtype.kind == "U":
        return Outputs(_as_columns(scheme("wnid").lookup(given)), as_wnids=True)
    if given.dtype.kind not in "iuf":
        raise UsageError(f"predictions are {given.dtype}, not numbers or wnids")
    if given.ndim == 2 and (given.dtype.kind == "f" or given.shape[1] >= SCORE_COLUMNS):
        return Outputs(_best(given), columns=given.shape[1])
    return Outputs(_as_columns(_whole(given)))


def _as_columns(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return labels.reshape(len(labels), -1)


def _whole(labels: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    whole = labels.astype(np.int64)
    if not np.array_equal(whole, labels):
        raise UsageError("labels must be whole numbers", hint="scores are rows of one number for each class")
    return whole


def _best(scores: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return the columns of the highest scores, the best first."""
    if np.isnan(scores).any():
        raise UsageError("scores hold NaN", hint="the model diverged, or was given bad images")
    kept = min(TOP, scores.shape[1])
    best = np.argpartition(scores, scores.shape[1] - kept, axis=1)[:, -kept:]
    order = np.argsort(np.take_along_axis(scores, best, 1), axis=1)[:, ::-1]
    return np.take_along_axis(best, order, 1)
