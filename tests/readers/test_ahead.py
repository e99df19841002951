"""Reading rows in batches: which byte ranges are announced."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ilsvrc.readers import ahead

LAID = st.lists(st.tuples(st.integers(0, 3 * ahead.NEAR), st.integers(1, 2 * ahead.NEAR)), min_size=1, max_size=30)


@given(LAID, st.data())
def test_pieces_hold_every_image_once_and_first_what_is_read_first(
    laid: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Images are `laid` with a gap before each; some are asked for, in any order."""
    gaps, sizes = (np.array(column, np.int64) for column in zip(*laid, strict=True))
    offsets = np.cumsum(gaps + sizes) - sizes
    rows = np.array(data.draw(st.lists(st.integers(0, len(laid) - 1), min_size=1, max_size=40)))
    pieces = ahead.pieces(offsets[rows], sizes[rows])
    wanted = list(zip(offsets[rows].tolist(), (offsets + sizes)[rows].tolist(), strict=True))
    holding = [[i for i, (at, n) in enumerate(pieces) if at <= start and stop <= at + n] for start, stop in wanted]
    assert all(len(found) == 1 for found in holding)
    assert list(dict.fromkeys(found[0] for found in holding)) == list(range(len(pieces)))
    ordered = sorted(pieces)
    assert all(b - (a + n) > ahead.NEAR for (a, n), (b, _) in pairwise(ordered))
