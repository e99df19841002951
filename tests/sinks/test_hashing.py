"""The sink that keeps digests: under the contract, and with images left out."""

from __future__ import annotations

from pathlib import Path

import pytest
import xxhash

from ilsvrc.sinks.hashing import RECORD, HashingSink
from ilsvrc.testing.contracts import UNITS, SinkContract, samples

NAMES = [sample.name for unit in UNITS for sample in samples(unit)]
DATA = [sample.data for unit in UNITS for sample in samples(unit)]


class TestHashingSink(SinkContract):
    @pytest.fixture
    def sink(self, tmp_path: Path) -> HashingSink:
        return HashingSink(tmp_path / "digests")

    def kept(self, sink: HashingSink) -> object:
        return sink.part.read_bytes()

    def another(self, sink: HashingSink, folder: Path) -> HashingSink:
        return HashingSink(folder / "digests")

    def test_digests_come_back_in_storage_order(self, sink: HashingSink) -> None:
        receipts = [sink.write(unit, samples(unit)) for unit in reversed(UNITS)][::-1]
        digests, read = sink.digests(UNITS, receipts, NAMES)
        assert [row.tobytes() for row in digests] == [xxhash.xxh3_128_digest(data) for data in DATA]
        assert read.all()

    @pytest.mark.parametrize("left_out", range(3))
    def test_image_that_was_left_out_shifts_no_other(self, sink: HashingSink, left_out: int) -> None:
        some = [sample for place, sample in enumerate(samples(UNITS[0])) if place != left_out]
        receipts = [sink.write(UNITS[0], some), *(sink.write(unit, samples(unit)) for unit in UNITS[1:])]
        digests, read = sink.digests(UNITS, receipts, NAMES)
        assert [place for place, was in enumerate(read.tolist()) if not was] == [left_out]
        for place, data in enumerate(DATA):
            if place != left_out:
                assert digests[place].tobytes() == xxhash.xxh3_128_digest(data)

    def test_nothing_written_is_nothing_read(self, sink: HashingSink) -> None:
        receipts = [sink.write(unit, []) for unit in UNITS]
        assert not sink.digests(UNITS, receipts, NAMES)[1].any()

    def test_record_is_small(self) -> None:
        assert RECORD.itemsize == 24  # 31 MB for all of ImageNet
