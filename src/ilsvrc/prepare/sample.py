"""How much smaller a transform makes images, by a sample: known before anything is written."""

from __future__ import annotations

import numpy as np

from ilsvrc.errors import DataError
from ilsvrc.readers.reader import Reader, Rows
from ilsvrc.readers.units import Sample, Transform

SAMPLE = 200
"""Images that are transformed."""


def shrinking(reader: Reader, rows: Rows, transform: Transform) -> float:
    """Return the bytes of images after a transform by those before, of images spread evenly over some rows.

    The same images give the same figure. Images that can't be read or decoded count as they are.
    """
    places = np.unique(np.linspace(0, max(0, len(rows) - 1), min(SAMPLE, len(rows))).astype(np.int64))
    before = after = 0
    for row in np.sort(rows[places]).tolist():
        try:
            data = reader.read(row)
            sample = Sample(reader.name(row), reader.name(row), None, data)
            before, after = before + len(data), after + len(transform(sample).data)
        except (DataError, OSError):
            continue
    return after / before if before else 1.0
