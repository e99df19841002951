"""Weigh the hits on a sample of images: the evidence for one labelling against all others.

Labellings are the schemes and their near misses. Two rules keep a coincidence from being named:

* Images of one class are one witness. A model in an unknown order that agrees with a labelling on one class by chance
  agrees on all images of that class, so hits are averaged within each class before they are counted.
* A labelling must beat the accuracy that a wrong one can reach (two orders may have a dozen classes in common, and
  errors fall on neighbouring classes), and it must beat each rival on the images where only one of the two is right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from math import exp, floor, fsum, lgamma, log, log1p, sqrt

import numpy as np
import numpy.typing as npt

COINCIDENCE = 0.02
"""Accuracy that a wrong labelling may reach: 12 of 1000 classes are alike in index and lexicographic."""

TRIVIAL = 0.05
"""If no labelling can have this accuracy, the model uses none of them."""

ALPHA = 0.001 / 5
"""Risk of each test: 0.1 % in total, shared among the five labellings that can be named."""

_Z99 = 2.576
_CLASSES = 1000


class Outcome(Enum):
    """The decision that evidence allows."""

    SETTLED = auto()
    NONE = auto()
    OPEN = auto()


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Hits, averaged within classes.

    classes : distinct true classes among the images
    hits : of the labelling with the most
    only : hits of that labelling on the images that a rival misses: shape (rivals,)
    lost : hits of each rival on the images that that labelling misses: shape (rivals,)
    """

    classes: float
    hits: float
    only: npt.NDArray[np.float64]
    lost: npt.NDArray[np.float64]

    def scaled(self, factor: float) -> Evidence:
        """Return the evidence that `factor` times as many classes would give at the same rates."""
        return Evidence(self.classes * factor, self.hits * factor, self.only * factor, self.lost * factor)

    def outcome(self) -> Outcome:
        """Decide."""
        if wilson(self.hits, self.classes, _Z99)[1] < TRIVIAL:
            return Outcome.NONE
        if binomial_tail(_floor(self.hits), round(self.classes), COINCIDENCE) >= ALPHA:
            return Outcome.OPEN
        pairs = {(_floor(a), _floor(b)) for a, b in zip(self.only, self.lost, strict=True)}
        beaten = all(binomial_tail(only, only + lost, 0.5) < ALPHA for only, lost in pairs)
        return Outcome.SETTLED if beaten else Outcome.OPEN

    def needed(self) -> int | None:
        """Estimate how many more images like these would decide; None if even all 1000 classes would not."""
        factors = np.geomspace(1, _CLASSES / self.classes, 200)
        enough = _first(factors, lambda factor: self.scaled(factor).outcome() is not Outcome.OPEN)
        return None if enough is None else max(1, _images(self.classes * enough) - _images(self.classes))


def weigh(hits: npt.NDArray[np.bool_], truth: npt.NDArray[np.int64]) -> tuple[int, Evidence]:
    """Return the labelling with the most hits, and the evidence for it against the others.

    Parameters
    ----------
    hits
        Whether each labelling is right for each image: shape (labellings, images).
    truth
        Index of each image: shape (images,).
    """
    counts = np.bincount(truth)
    weights = 1 / counts[truth]
    shares = hits @ weights
    best = int(np.argmax(shares))
    rivals = np.delete(hits, best, axis=0)
    only, lost = (hits[best] & ~rivals) @ weights, (~hits[best] & rivals) @ weights
    return best, Evidence(float((counts > 0).sum()), float(shares[best]), only, lost)


def _floor(count: float) -> int:
    return floor(count + 1e-9)


def _first(factors: npt.NDArray[np.float64], enough: Callable[[float], bool]) -> float | None:
    """Return the first of ascending factors that is enough, by binary search."""
    if not enough(float(factors[-1])):
        return None
    low, high = 0, len(factors) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(float(factors[middle])) else (middle + 1, high)
    return float(factors[low])


def _images(classes: float) -> int:
    """Return the number of random images that are expected to show this many of the 1000 classes."""
    seen = min(classes, _CLASSES - 0.5) / _CLASSES
    return round(log(1 - seen) / log(1 - 1 / _CLASSES))


def wilson(hits: float, trials: float, z: float) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion (E. B. Wilson, 1927).

    Parameters
    ----------
    hits, trials
        Number of hits and of trials; there is at least one trial.
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
    """Return the exact probability of at least `hits` hits in `trials` trials, each with a chance between 0 and 1.

    >>> round(binomial_tail(13, 13, 0.5) * 2**13, 9)
    1.0
    """
    ways = lgamma(trials + 1)
    terms = (
        exp(ways - lgamma(k + 1) - lgamma(trials - k + 1) + k * log(chance) + (trials - k) * log1p(-chance))
        for k in range(hits, trials + 1)
    )
    return min(1.0, fsum(terms))
