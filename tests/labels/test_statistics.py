from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ilsvrc.labels.evidence import binomial_tail, wilson

scipy_stats = pytest.importorskip("scipy.stats")


@given(st.integers(1, 1000), st.data())
def test_against_scipy(trials: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, trials))
    interval = scipy_stats.binomtest(hits, trials).proportion_ci(0.95, method="wilson")
    assert wilson(hits, trials, scipy_stats.norm.ppf(0.975)) == pytest.approx(
        (interval.low, interval.high), abs=1e-12
    )
    for chance in (0.02, 0.5):
        exact = scipy_stats.binom.sf(hits - 1, trials, chance)
        assert binomial_tail(hits, trials, chance) == pytest.approx(exact, rel=1e-6, abs=1e-100)
