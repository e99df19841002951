"""Find the images that issues are about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ilsvrc.files import printable
from ilsvrc.issues import Issue
from ilsvrc.readers.reader import Int, Reader

NO_ROW = -1
"""The row of an issue that is about no image of the split: a class, a file, an image that is missing."""

_ENDING = r"\.[^.]*$"


def rows_of(reader: Reader, issues: Sequence[Issue]) -> Int:
    """Return the reader's row of the image that each issue is about, shape (len(issues),), int64; else NO_ROW.

    `reader.where(row)` then says in which file it lies, and `reader.read(row)` returns it. An issue's key is an
    image's path in the source: rows whose file name could have that path are looked up, and their paths compared.
    """
    rows = np.full(len(issues), NO_ROW, np.int64)
    if not issues:
        return rows
    stems = pa.array({_stem(issue.key) for issue in issues}, pa.string())
    likely = pc.is_in(pc.replace_substring_regex(reader.names, _ENDING, ""), value_set=stems)
    row_of = {printable(reader.where(row).key): row for row in np.flatnonzero(likely).tolist()}
    for number, issue in enumerate(issues):
        rows[number] = row_of.get(issue.key, NO_ROW)
    return rows


def _stem(key: str) -> str:
    """Return a path's file name without its ending: an image may be stored with another one."""
    name = key.rpartition("/")[2]
    return name.rpartition(".")[0] or name
