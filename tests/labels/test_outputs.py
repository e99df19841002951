from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ilsvrc.errors import UsageError
from ilsvrc.labels.outputs import outputs_of


def test_labels_lists_and_scores_are_told_apart() -> None:
    labels = outputs_of([3, 1, 2])
    assert (labels.ranked.tolist(), labels.columns) == ([[3], [1], [2]], None)
    lists = outputs_of([[3, 1, 2, 5, 4], [1, 2, 3, 4, 5]])
    assert (lists.ranked[0].tolist(), lists.columns) == ([3, 1, 2, 5, 4], None)
    assert outputs_of([3.0, 1.0]).ranked.tolist() == [[3], [1]]
    wnids = outputs_of(["n01440764", "n15075141", "n00000000"])
    assert (wnids.ranked.tolist(), wnids.as_wnids) == ([[0], [999], [-1]], True)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32, np.uint8])
def test_the_best_five_of_scores(dtype: type[np.number[Any]]) -> None:
    rng = np.random.default_rng(5)
    scores = np.stack([rng.permutation(1000) % 251 for _ in range(20)]).astype(dtype)
    scores[:, 7] = 255
    outputs = outputs_of(scores)
    assert (outputs.columns, outputs.ranked.shape) == (1000, (20, 5))
    assert set(outputs.ranked[:, 0].tolist()) == {7}
    best = np.sort(scores, axis=1)[:, :-6:-1]
    np.testing.assert_array_equal(np.take_along_axis(scores, outputs.ranked, 1), best)


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        ([], "shape"),
        (np.zeros((2, 2, 2)), "shape"),
        ([0.5, 1.5], "whole numbers"),
        ([[float("nan")] * 1000], "NaN"),
        ([True, False], "bool"),
    ],
)
def test_what_is_no_prediction(predictions: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        outputs_of(predictions)
