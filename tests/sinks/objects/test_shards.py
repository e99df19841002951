"""The sink of shards in a bucket under its contract; what the bucket holds before and after it is finished."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from ilsvrc.errors import UsageError
from ilsvrc.files import OWN_FOLDER
from ilsvrc.sinks.formats.registry import format_of
from ilsvrc.sinks.objects import staging
from ilsvrc.sinks.objects.shards import ObjectShardSink
from ilsvrc.sinks.objects.staging import NOTE, ObjectStaging
from ilsvrc.sinks.shards import ShardSink
from ilsvrc.stores import client
from ilsvrc.stores.path import StorePath
from ilsvrc.testing.contracts import UNITS, SinkContract, images_of, samples
from tests.sinks.objects.holding import objects, unfinished
from tests.stores.servers import Bucket

TOLD = (("archive", "a.tar"), ("settings", "{}"))


def made(bucket: Bucket, folder: str, name: str) -> ObjectShardSink:
    staged = ObjectStaging(StorePath(bucket.url(folder)), "train", "0" * 64, TOLD)
    return ObjectShardSink(staged, format_of(name), len(UNITS))


@pytest.mark.parametrize("name", ["webdataset", "squashfs"])
class TestObjectShardSink(SinkContract):
    @pytest.fixture
    def sink(self, bucket: Bucket, name: str) -> ObjectShardSink:
        return made(bucket, "a/b", name)

    def kept(self, sink: ObjectShardSink) -> object:
        return objects(sink.root)

    def another(self, sink: ObjectShardSink, folder: Path) -> ObjectShardSink:
        return replace(sink, staged=replace(sink.staged, root=sink.root / folder.name))

    def test_objects_are_the_files_of_a_folder(self, sink: ObjectShardSink, name: str, tmp_path: Path) -> None:
        """Byte for byte, the manifest too."""
        local = ShardSink(tmp_path, "train", format_of(name), len(UNITS), TOLD)
        for one in (sink, local):
            one.finish([one.write(unit, samples(unit)) for unit in UNITS], (), images_of(UNITS))
        files = {str(p.relative_to(tmp_path)): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
        assert objects(sink.root) == files

    def test_the_manifest_comes_last(self, sink: ObjectShardSink) -> None:
        receipts = [sink.write(unit, samples(unit)) for unit in UNITS]
        assert f"{OWN_FOLDER}/train.arrow" not in objects(sink.root)
        sink.finish(receipts, (), images_of(UNITS))
        assert [key for key in objects(sink.root) if key.startswith(OWN_FOLDER)] == [f"{OWN_FOLDER}/train.arrow"]


@pytest.fixture
def sink(bucket: Bucket) -> ObjectShardSink:
    return made(bucket, "a", "webdataset")


def test_lost_or_foreign_shards_are_not_held(sink: ObjectShardSink, bucket: Bucket) -> None:
    receipt = sink.write(UNITS[0], samples(UNITS[0]))
    key = f"a/{receipt.outputs[0].path}"
    whole = bucket.get(key)
    assert sink.holds(receipt)
    bucket.put({key: whole[:600] + b"!" + whole[601:]})
    assert not sink.holds(receipt)
    sink.root.bucket.delete([key])
    assert not sink.holds(receipt)


@pytest.mark.parametrize("name", ["train-000001.tar", "train-index.json"])
def test_nothing_of_anybodys_is_replaced(sink: ObjectShardSink, bucket: Bucket, name: str) -> None:
    """It appears while the run works: an object under a name that is needed."""
    bucket.put({f"a/{name}": b"mine"})
    with pytest.raises(UsageError, match=name) as caught:
        sink.finish([sink.write(unit, samples(unit)) for unit in UNITS], (), images_of(UNITS))
    assert caught.value.hint
    assert bucket.get(f"a/{name}") == b"mine"
    assert f"{OWN_FOLDER}/train.arrow" not in objects(sink.root)


def test_what_a_killed_run_of_the_same_plan_put_is_taken_over(sink: ObjectShardSink, bucket: Bucket) -> None:
    """The same bytes are not put again; other bytes with its note, of another version of a library, are replaced."""
    first = sink.write(UNITS[0], samples(UNITS[0]))
    path = sink.root / first.outputs[0].path
    since = sink.root.bucket.head(path.key)
    assert sink.write(UNITS[0], samples(UNITS[0])) == first
    assert sink.root.bucket.head(path.key) == since
    sink.root.bucket.put(path.key, b"other", notes={NOTE: f"train {'0' * 32} 1234"})
    assert sink.write(UNITS[0], samples(UNITS[0])) == first
    assert sink.holds(first)


def test_an_object_of_another_plan_is_not_replaced(sink: ObjectShardSink) -> None:
    other = replace(sink, staged=replace(sink.staged, plan="1" * 64))
    other.write(UNITS[0], samples(UNITS[0]))
    with pytest.raises(UsageError, match="this run did not write it"):
        sink.write(UNITS[0], samples(UNITS[0]))


def test_a_large_shard_goes_in_parts_and_leaves_none(
    sink: ObjectShardSink, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Twenty megabytes, of which no more than four are held at once."""
    monkeypatch.setattr(client, "LARGEST", 4 << 20)
    monkeypatch.setattr(client, "PIECE", 5 << 20)
    file = tmp_path / "large"
    file.write_bytes(bytes(range(256)) * (80 << 10))
    sink.staged.put(sink.root / "large", file, "00")
    assert bucket.get("a/large") == file.read_bytes()
    assert unfinished(sink.root) == []
    bucket.put({"a/theirs": b"mine"})
    with pytest.raises(UsageError, match="theirs"):
        sink.staged.put(sink.root / "theirs", file, "00")
    assert bucket.get("a/theirs") == b"mine"


def test_starting_over_removes_what_plans_put_and_nothing_else(sink: ObjectShardSink, bucket: Bucket) -> None:
    for unit in UNITS:
        sink.write(unit, samples(unit))
    bucket.put({"a/train-000001.tar": b"mine", "a/notes.txt": b"mine too"})
    sink.start_over([{"plan": "0" * 64, "format": "webdataset", "shards": len(UNITS)}])
    assert objects(sink.root) == {"notes.txt": b"mine too", "train-000001.tar": b"mine"}


def test_temporary_files_of_dead_processes_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    gone = subprocess.Popen(["true"])
    gone.wait()
    dead, other = tmp_path / f"ilsvrc-objects-{gone.pid}-abc", tmp_path / "ilsvrc-objects-mine"
    dead.mkdir()
    other.mkdir()
    with staging.scratch() as own:
        staging.remove_scratch()
        assert sorted(tmp_path.iterdir()) == sorted([own, other])
    assert list(tmp_path.iterdir()) == [other]
