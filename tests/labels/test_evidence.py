from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ilsvrc.labels.evidence import Evidence, Outcome, weigh


def evidence(classes: float, hits: float, rival: float = 0) -> Evidence:
    return Evidence(classes, hits, np.array([hits]), np.array([rival]))


@pytest.mark.parametrize(
    ("classes", "hits", "rival", "outcome"),
    [
        (50, 40, 0, Outcome.SETTLED),
        (50, 13, 0, Outcome.SETTLED),
        (50, 12, 0, Outcome.OPEN),  # 0.5 ** 12 is above the risk of a test
        (400, 40, 39, Outcome.OPEN),
        (400, 1, 0, Outcome.NONE),
        (20, 0, 0, Outcome.OPEN),
        (1000, 25, 0, Outcome.NONE),
        (1000, 33, 0, Outcome.OPEN),
        (1000, 45, 0, Outcome.SETTLED),
    ],
)
def test_outcomes(classes: float, hits: float, rival: float, outcome: Outcome) -> None:
    assert evidence(classes, hits, rival).outcome() is outcome


def test_images_of_one_class_weigh_as_one() -> None:
    truth = np.array([5, 5, 5, 5, 9])
    hits = np.array([[True, True, False, False, False], [False, False, False, False, True]])
    best, found = weigh(hits, truth)
    assert (best, found.classes, found.hits) == (1, 2.0, 1.0)
    assert (found.only.tolist(), found.lost.tolist()) == ([1.0], [0.5])


@given(st.integers(5, 900), st.floats(0, 1), st.floats(0, 1))
def test_as_many_as_needed_settle_it(classes: int, share: float, rival: float) -> None:
    found = evidence(classes, classes * share, classes * (1 - share) * rival)
    needed = found.needed()
    if needed is not None and found.outcome() is Outcome.OPEN:
        assert needed >= 1
        assert found.scaled(1000 / classes).outcome() is not Outcome.OPEN


def test_a_tie_is_never_settled() -> None:
    assert evidence(500, 250, 250).needed() is None
