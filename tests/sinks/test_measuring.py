"""The sink that measures images on their way to another sink: under the contract, with that sink's results."""

from __future__ import annotations

from pathlib import Path

import pytest

from ilsvrc.images.measure import KINDS
from ilsvrc.sinks.hashing import HashingSink
from ilsvrc.sinks.measuring import MeasuringSink
from ilsvrc.testing.contracts import UNITS, SinkContract, samples
from tests.images.test_measure import encoded


class TestMeasuringSink(SinkContract):
    @pytest.fixture
    def sink(self, tmp_path: Path) -> MeasuringSink:
        return MeasuringSink(HashingSink(tmp_path / "digests"), tmp_path / "measures")

    def kept(self, sink: MeasuringSink) -> object:
        assert isinstance(sink.sink, HashingSink)
        return sink.part.read_bytes(), sink.sink.part.read_bytes()

    def another(self, sink: MeasuringSink, folder: Path) -> MeasuringSink:
        return MeasuringSink(HashingSink(folder / "digests"), folder / "measures")

    def test_records_of_images_come_back_in_storage_order(self, sink: MeasuringSink) -> None:
        from dataclasses import replace

        data = [encoded("PNG"), b"none", encoded("JPEG"), encoded("JPEG", "L")]
        images = [replace(sample, data=one) for sample, one in zip(samples(UNITS[0]), data, strict=False)]
        for unit in reversed(UNITS):
            sink.write(unit, images if unit is UNITS[0] else [])
        kinds = [KINDS[kind - 1] for kind in sink.records()["kind"].tolist()]
        assert kinds == [kind for kind in ("PNG", "", "JPEG", "grey JPEG")[: len(images)] if kind]
        assert set(sink.records()["width"].tolist()) == {37}

    def test_nothing_written_is_nothing_measured(self, sink: MeasuringSink) -> None:
        assert not len(sink.records())
