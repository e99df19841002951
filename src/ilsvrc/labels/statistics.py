"""The two textbook formulas that a decision rests on."""

from __future__ import annotations

from functools import lru_cache
from math import exp, fsum, lgamma, log, log1p, sqrt


def wilson(hits: float, trials: float, z: float) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion (E. B. Wilson, 1927).

    Parameters
    ----------
    hits, trials
        So many of so many, `trials` above 0.
    z
        Width in standard deviations: 1.96 for 95 %, 2.576 for 99 %.

    >>> [round(bound, 3) for bound in wilson(40, 50, 1.96)]
    [0.67, 0.888]
    """
    share = hits / trials
    centre = share + z * z / (2 * trials)
    half = z * sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
    scale = 1 + z * z / trials
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


@lru_cache(maxsize=65_536)
def binomial_tail(hits: int, trials: int, chance: float) -> float:
    """Return the exact probability of at least so many hits in so many trials, each with a chance between 0 and 1.

    >>> round(binomial_tail(13, 13, 0.5) * 2**13, 9)
    1.0
    """
    ways = lgamma(trials + 1)
    terms = (
        exp(ways - lgamma(k + 1) - lgamma(trials - k + 1) + k * log(chance) + (trials - k) * log1p(-chance))
        for k in range(hits, trials + 1)
    )
    return min(1.0, fsum(terms))
