"""The one file of a split: the sink under its contract where units write ranges of it; pieces, buckets, room."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ilsvrc import prepare
from ilsvrc.errors import MachineError
from ilsvrc.run.engine import PoolEngine
from ilsvrc.sinks.formats.lmdb import Lmdb
from ilsvrc.sinks.formats.squashfs import SquashFs
from ilsvrc.sinks.formats.whole import Whole
from ilsvrc.sinks.onefile import Places
from ilsvrc.sinks.shards import ShardSink
from ilsvrc.testing.contracts import UNITS, SinkContract, images_of, samples
from tests.cli.helpers import ilsvrc as ilsvrc_command
from tests.sinks.test_shards import contents

SIZES = np.array([len(sample.data) for unit in UNITS for sample in samples(unit)], np.int64)
BOUNDS = [*(unit.start for unit in UNITS), UNITS[-1].stop]


@pytest.mark.parametrize("form", [Lmdb(), SquashFs()], ids=["lmdb", "squashfs"])
class TestShardSinkOfOneFile(SinkContract):
    """Units write ranges of one file."""

    @pytest.fixture
    def sink(self, tmp_path: Path, form: Whole) -> ShardSink:
        places = Places.of(form, SIZES, BOUNDS)
        return ShardSink(tmp_path, "train", form, len(UNITS), (("archive", "a.tar"),), places=places)

    def kept(self, sink: ShardSink) -> object:
        return contents(sink.root)

    def another(self, sink: ShardSink, folder: Path) -> ShardSink:
        return ShardSink(folder, sink.split, sink.format, sink.count, sink.provenance, places=sink.places)

    def test_pieces_give_the_same_file(self, sink: ShardSink, tmp_path: Path) -> None:
        pieces = ShardSink(tmp_path / "pieces", sink.split, sink.format, sink.count, sink.provenance)
        for one in (sink, pieces):
            one.finish([one.write(unit, samples(unit)) for unit in UNITS], (), images_of(UNITS))
        name = sink.paths[0].name
        assert (tmp_path / name).read_bytes() == (tmp_path / "pieces" / name).read_bytes()
        assert not (tmp_path / ".ilsvrc/staging").exists()

    def test_nothing_is_written_twice(self, sink: ShardSink) -> None:
        """Staging has one file of images, and no unit touches the range of another."""
        receipts = [sink.write(unit, samples(unit)) for unit in UNITS]
        assert [path.name for path in sink.staged.images.iterdir()] == ["whole"]
        assert all(sink.holds(receipt) for receipt in receipts)

    def test_a_unit_is_not_held_once_a_byte_of_its_range_is_another(self, sink: ShardSink) -> None:
        receipts = [sink.write(unit, samples(unit)) for unit in UNITS]
        assert sink.places
        path, at = sink.unnamed(0), sink.places.begins[1] - 1
        whole = path.read_bytes()
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert [sink.holds(receipt) for receipt in receipts] == [False, True]
        path.write_bytes(whole[:at])
        assert not any(sink.holds(receipt) for receipt in receipts)

    def test_images_of_other_sizes_than_planned_are_refused(self, sink: ShardSink) -> None:
        first, *others = samples(UNITS[0])
        with pytest.raises(MachineError, match="other sizes than planned"):
            sink.write(UNITS[0], [replace(first, data=bytes(9_000)), *others])

    @pytest.mark.parametrize("kind", ["link", "second name"])
    def test_a_file_of_the_users_is_not_written_to(self, sink: ShardSink, tmp_path: Path, kind: str) -> None:
        precious = tmp_path / "precious"
        precious.write_bytes(b"keep me")
        sink.staged.images.mkdir(parents=True)
        if kind == "link":
            sink.unnamed(0).symlink_to(precious)
        else:
            sink.unnamed(0).hardlink_to(precious)
        with pytest.raises(MachineError, match="whole"):
            sink.write(UNITS[0], samples(UNITS[0]))
        assert precious.read_bytes() == b"keep me"


@pytest.mark.parametrize("name", ["ffcv", "lmdb", "squashfs"])
def test_the_file_is_the_same_however_it_is_written(name: str, mini: Path, tmp_path: Path) -> None:
    """To places at once; by pieces, as on other machines; from bucket files; in other units."""
    with ThreadPoolExecutor(2) as executor:
        prepare(mini, tmp_path / "far", format=name, shard_images=7, engine=PoolEngine(executor, local=False))
    prepare(mini, tmp_path / "at once", format=name, shard_images=7, jobs=1)
    prepare(mini, tmp_path / "buckets", format=name, shard_images=7, jobs=1, order_by="buckets")
    prepare(mini, tmp_path / "one unit", format=name, jobs=1)
    (path,) = (tmp_path / "at once").glob("train.*")
    for other in ("far", "buckets", "one unit"):
        assert (tmp_path / other / path.name).read_bytes() == path.read_bytes()


def test_room_is_that_of_the_file_and_of_pieces_where_sizes_are_not_known(mini: Path, tmp_path: Path) -> None:
    command = ("--json", "prepare", mini, tmp_path / "out", "--format", "lmdb", "--split", "train", "--dry-run")
    once = json.loads(ilsvrc_command(*command).stdout)["decisions"][0]
    twice = json.loads(ilsvrc_command(*command, "--max-side", 5_000).stdout)["decisions"][0]
    assert twice["writes_bytes"] == once["writes_bytes"] == once["bytes"]
    assert twice["needs_bytes"] - once["needs_bytes"] == once["bytes"]
