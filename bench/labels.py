#!/usr/bin/env python3
"""Time converting 50,000 labels, and detecting the mapping of 50,000 predictions.

Usage: labels.py [RUNS]     (default: 9)

Prints the median seconds of each. Scores are timed for 10,000 images, since 50,000 rows of 1000 take 200 MB.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from ilsvrc import convert, detect_scheme, schemes, val_labels
from ilsvrc.facts.names import val_name

ROUTES = [(a.name, b.name) for a in schemes() for b in schemes()]


def main(arguments: list[str]) -> int:
    runs = int(arguments[0]) if arguments else 9
    names = [val_name(n) for n in range(1, 50_001)]
    rng = np.random.default_rng(2012)
    truth = val_labels().astype(np.int64)
    noisy = np.where(rng.random(50_000) < 0.7, truth, rng.integers(0, 1000, 50_000))
    scores = rng.random((10_000, 1000), np.float32)
    given = {s.name: convert(truth, "index", s.name) for s in schemes()}
    timed("convert 50,000 labels, slowest of all pairs of schemes", runs, lambda: [slowest(given)])
    timed("detect over 50,000 labels", runs, lambda: seconds(lambda: detect_scheme(names, noisy)))
    timed("detect over 10,000 x 1000 scores", runs, lambda: seconds(lambda: detect_scheme(names[:10_000], scores)))
    return 0


def timed(title: str, runs: int, measure: Callable[[], list[float]]) -> None:
    print(f"{title}: {statistics.median(t for _ in range(runs) for t in measure()):.4f} s")


def seconds(work: Callable[[], object]) -> list[float]:
    start = time.perf_counter()
    work()
    return [time.perf_counter() - start]


def slowest(given: dict[str, np.ndarray]) -> float:
    return max(seconds(lambda a=a, b=b: convert(given[a], a, b))[0] for a, b in ROUTES)  # type: ignore[misc]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
