"""How much smaller a transform makes images, by a sample: known before anything is written."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from ilsvrc.errors import DataError
from ilsvrc.readers.reader import Reader
from ilsvrc.readers.units import Sample, Transform

SAMPLE = 500
"""Images that are transformed: where new sizes differ from the fitted line by a third of their mean (standard
deviation), the mean of so many is within 3 % of that of all images in 19 of 20 cases."""


THREADS = max(4, os.cpu_count() or 1)
"""Images that are read and transformed at the same time: decoders and stores let other threads run meanwhile."""


def shrinking(reader: Reader, transform: Transform) -> float:
    """Return the bytes of a split's images after a transform by those before, from images spread over all rows.

    A straight line from old sizes to new ones is fitted to the sample, and taken at the mean of all old sizes. Equal
    images give the same figure. Images that can't be read or decoded are not counted.
    """
    rows = np.unique(np.linspace(0, len(reader) - 1, min(SAMPLE, len(reader))).round().astype(np.int64)).tolist()
    with ThreadPoolExecutor(THREADS) as threads:
        pairs = list(filter(None, threads.map(partial(_sizes, reader, transform), rows)))
    if not pairs:
        return 1.0
    before, after = np.array(pairs, np.float64).T
    spread = before - before.mean()
    slope = float(spread @ after / (spread @ spread)) if spread.any() else 0.0
    mean = float(reader.sizes.mean())
    found = float(after.mean() + slope * (mean - before.mean())) / mean
    return found if found > 0 else float(after.sum() / before.sum())


def _sizes(reader: Reader, transform: Transform, row: int) -> tuple[int, int] | None:
    """Return the bytes of an image before and after a transform; None if it can't be read or decoded."""
    try:
        data = reader.read(row)
        return len(data), len(transform(Sample(reader.name(row), reader.name(row), None, data)).data)
    except (DataError, OSError):
        return None
