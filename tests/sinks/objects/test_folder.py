"""The sink of class folders in a bucket under its contract; what the bucket holds before and after it is finished."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ilsvrc.errors import MachineError, UsageError
from ilsvrc.files import OWN_FOLDER
from ilsvrc.issues import Code, Issue
from ilsvrc.sinks.folder import FolderSink
from ilsvrc.sinks.objects.folder import ObjectFolderSink
from ilsvrc.sinks.objects.staging import ObjectStaging
from ilsvrc.stores.path import StorePath
from ilsvrc.testing.contracts import UNITS, SinkContract, images_of, samples
from tests.sinks.objects.holding import objects
from tests.stores.servers import Bucket

TOLD = (("archive", "a.tar"), ("settings", '{"layout": "{split}/{wnid}/{name}"}'))


@pytest.fixture
def sink(bucket: Bucket) -> ObjectFolderSink:
    return ObjectFolderSink(ObjectStaging(StorePath(bucket.url("a/b")), "train", "0" * 64, TOLD))


def finished(sink: ObjectFolderSink) -> ObjectFolderSink:
    sink.finish([sink.write(unit, samples(unit)) for unit in UNITS], (), images_of(UNITS))
    return sink


class TestObjectFolderSink(SinkContract):
    @pytest.fixture
    def sink(self, sink: ObjectFolderSink) -> ObjectFolderSink:
        return sink

    def kept(self, sink: ObjectFolderSink) -> object:
        return objects(sink.root)

    def another(self, sink: ObjectFolderSink, folder: Path) -> ObjectFolderSink:
        return replace(sink, staged=replace(sink.staged, root=sink.root / folder.name))


def test_objects_are_the_files_of_a_folder(sink: ObjectFolderSink, tmp_path: Path) -> None:
    """Byte for byte, lists and manifest too."""
    local = FolderSink(tmp_path, "train", TOLD)
    local.finish([local.write(unit, samples(unit)) for unit in UNITS], (), images_of(UNITS))
    files = {str(p.relative_to(tmp_path)): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert objects(finished(sink).root) == files


def test_lost_or_foreign_images_are_not_held(sink: ObjectFolderSink, bucket: Bucket) -> None:
    receipt = sink.write(UNITS[0], samples(UNITS[0]))
    sample = samples(UNITS[0])[1]
    assert sink.holds(receipt)
    bucket.put({f"a/b/{sample.key}": b"!" * len(sample.data)})
    assert not sink.holds(receipt)
    sink.root.bucket.delete([f"a/b/{sample.key}"])
    assert not sink.holds(receipt)


@pytest.mark.parametrize("place", ["image", "train.txt", "classes.json", "train/n01440764/surplus.JPEG"])
def test_nothing_of_anybodys_is_replaced_or_published(sink: ObjectFolderSink, bucket: Bucket, place: str) -> None:
    """It appears while the run works."""
    key = samples(UNITS[1])[0].key if place == "image" else place
    bucket.put({f"a/b/{key}": b"mine"})
    with pytest.raises((UsageError, MachineError)) as caught:
        finished(sink)
    assert caught.value.hint
    assert bucket.get(f"a/b/{key}") == b"mine"
    assert f"{OWN_FOLDER}/train.arrow" not in objects(sink.root)


def test_meta_bin_of_torchvision_is_left_alone(sink: ObjectFolderSink, bucket: Bucket) -> None:
    bucket.put({"a/b/meta.bin": b"theirs"})
    finished(sink)
    assert bucket.get("a/b/meta.bin") == b"theirs"


def test_mending_puts_back_what_is_gone_and_touches_nothing_else(sink: ObjectFolderSink, bucket: Bucket) -> None:
    whole = objects(finished(sink).root)
    gone, changed = (sample.key for sample in samples(UNITS[0])[:2])
    sink.root.bucket.delete([f"a/b/{gone}"])
    bucket.put({f"a/b/{changed}": b"?"})
    issues = [Issue(key, Code.MISSING_IMAGE, "") for key in (gone, changed)]
    mender = sink.mender()
    kept = sink.root.bucket.head(f"a/b/{samples(UNITS[0])[2].key}")
    receipts = [mender.write(UNITS[0], samples(UNITS[0]))]
    sink.mend(receipts, issues, sink.recorded())
    assert objects(sink.root) == whole
    assert sink.root.bucket.head(f"a/b/{samples(UNITS[0])[2].key}") == kept


def test_starting_over_removes_what_plans_put_and_nothing_else(sink: ObjectFolderSink, bucket: Bucket) -> None:
    sink.write(UNITS[0], samples(UNITS[0]))
    bucket.put({"a/b/train/n01440764/mine.JPEG": b"mine"})
    sink.start_over([{"plan": "0" * 64}])
    assert objects(sink.root) == {"train/n01440764/mine.JPEG": b"mine"}
