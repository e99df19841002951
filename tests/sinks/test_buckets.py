"""The sink of bucket files under its contract, and the place of every image in them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from ilsvrc.readers.units import Unit
from ilsvrc.sinks.buckets import BucketSink
from ilsvrc.sinks.staging import Staging
from ilsvrc.testing.contracts import UNITS, SinkContract, samples


def backwards(unit: Unit) -> list[int]:
    """Offsets that lay the images of a unit out from the last to the first."""
    sizes = [len(sample.data) for sample in samples(unit)]
    return [sum(sizes[at + 1 :]) for at in range(len(sizes))]


def sink_in(root: Path) -> BucketSink:
    sink = BucketSink(Staging(root, "train", (), "train.shards"))
    sink.prepare(np.array([offset for unit in UNITS for offset in backwards(unit)], np.int64))
    return sink


class TestBucketSink(SinkContract):
    @pytest.fixture
    def sink(self, tmp_path: Path) -> BucketSink:
        return sink_in(tmp_path)

    def kept(self, sink: BucketSink) -> object:
        return {path.name: path.read_bytes() for path in sorted(sink.staged.buckets.iterdir())}

    def another(self, sink: BucketSink, folder: Path) -> BucketSink:
        del sink
        return sink_in(folder)

    def test_every_image_lies_at_its_offset(self, sink: BucketSink) -> None:
        for unit in UNITS:
            receipt = sink.write(unit, samples(unit))
            data = (sink.staged.buckets / receipt.outputs[0].path).read_bytes()
            assert data == b"".join(sample.data for sample in reversed(samples(unit)))

    def test_lost_cut_or_changed_bucket_files_are_not_held(self, sink: BucketSink) -> None:
        receipt = sink.write(UNITS[0], samples(UNITS[0]))
        path = sink.staged.buckets / receipt.outputs[0].path
        whole = path.read_bytes()
        assert sink.holds(receipt)
        for data in (whole[:-1], bytes([whole[0] ^ 1]) + whole[1:]):
            path.write_bytes(data)
            assert not sink.holds(receipt)
        path.unlink()
        assert not sink.holds(receipt)

    def test_more_or_fewer_images_than_there_are_places_are_refused(self, sink: BucketSink) -> None:
        for given in (samples(UNITS[0])[:-1], [*samples(UNITS[0]), samples(UNITS[0])[0]]):
            with pytest.raises(ValueError, match=re.escape("zip()")):
                sink.write(UNITS[0], given)
