"""An archive under the contract of readers, and what it announces to the system."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ilsvrc.archive.source import FileSource
from ilsvrc.errors import UsageError
from ilsvrc.facts import TRAIN
from ilsvrc.readers import archive as archivereader
from ilsvrc.readers.archive import NEAR, ArchiveReader
from ilsvrc.readers.locate import open_reader
from ilsvrc.readers.reader import Reader
from ilsvrc.testing.contracts import ReaderContract

LAID = st.lists(st.tuples(st.integers(0, 3 * NEAR), st.integers(1, 2 * NEAR)), min_size=1, max_size=30)


@given(LAID, st.data())
def test_pieces_hold_every_image_once_and_first_what_is_read_first(
    laid: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Images are `laid` with a gap before each; some are asked for, in any order."""
    gaps, sizes = (np.array(column, np.int64) for column in zip(*laid, strict=True))
    offsets = np.cumsum(gaps + sizes) - sizes
    rows = np.array(data.draw(st.lists(st.integers(0, len(laid) - 1), min_size=1, max_size=40)))
    pieces = archivereader._pieces(offsets[rows], sizes[rows])
    wanted = list(zip(offsets[rows].tolist(), (offsets + sizes)[rows].tolist(), strict=True))
    holding = [[i for i, (at, n) in enumerate(pieces) if at <= start and stop <= at + n] for start, stop in wanted]
    assert all(len(found) == 1 for found in holding)
    assert list(dict.fromkeys(found[0] for found in holding)) == list(range(len(pieces)))
    ordered = sorted(pieces)
    assert all(b - (a + n) > NEAR for (a, n), (b, _) in pairwise(ordered))


def test_what_is_announced_is_what_will_be_read(mini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = ArchiveReader(FileSource(mini / TRAIN))
    told: list[tuple[int, int, int]] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda _, *words: told.append(words))
    reader.will_need(np.array([len(reader) - 1, 0]))
    reader.will_need(np.empty(0, np.int64))
    assert all(advice == os.POSIX_FADV_WILLNEED for _, _, advice in told)
    for row in (0, len(reader) - 1):
        start, stop = reader._offsets.item(row), reader._offsets.item(row) + reader.sizes.item(row)
        assert any(at <= start and stop <= at + length for at, length, _ in told)


class TestArchiveReader(ReaderContract):
    @pytest.fixture
    def reader(self, mini: Path, split: str) -> Reader:
        return open_reader(mini, split)


def test_archive_without_digests_can_not_be_verified(mini: Path) -> None:
    with pytest.raises(UsageError, match="no digests") as caught:
        open_reader(mini, "val", verify=True)
    assert caught.value.hint.startswith("ilsvrc index --digests")
