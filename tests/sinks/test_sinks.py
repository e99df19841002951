"""Sinks under their contract, and what a folder holds before and after it is published."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import xxhash

from ilsvrc import facts
from ilsvrc.archive.sidecar import Verified
from ilsvrc.archive.source import FileState
from ilsvrc.sinks.base import Sink
from ilsvrc.sinks.folder import FolderSink, class_index_json
from ilsvrc.sinks.null import NullSink
from ilsvrc.testing.contracts import UNITS, SinkContract, samples
from ilsvrc.tree.manifest import metadata_of, read_manifest

PROVED = Verified("a.tar", FileState(1, 2, 3, 4), "md5:00", "official")


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


class TestNullSink(SinkContract):
    @pytest.fixture
    def sink(self) -> NullSink:
        return NullSink()

    def kept(self, sink: Sink) -> object:
        return None


class TestFolderSink(SinkContract):
    @pytest.fixture
    def sink(self, tmp_path: Path) -> FolderSink:
        return FolderSink(tmp_path, "train", (("archive", "a.tar"),))

    def kept(self, sink: FolderSink) -> object:
        return files(sink.root)

    def test_nothing_has_the_splits_name_before_it_is_finished(self, sink: FolderSink) -> None:
        receipts = [sink.write(unit, samples(unit)) for unit in UNITS]
        assert [p.name for p in sink.root.iterdir()] == [".ilsvrc"]
        sink.finish(receipts, None)
        assert sorted(p.name for p in sink.root.iterdir()) == [".ilsvrc", "classes.json", "train", "train.txt"]
        assert [p.name for p in (sink.root / ".ilsvrc").iterdir()] == ["train.arrow"]

    def test_manifest_tells_every_image(self, sink: FolderSink) -> None:
        sink.finish([sink.write(unit, samples(unit)) for unit in reversed(UNITS)], PROVED)
        table = read_manifest(sink.manifest)
        assert metadata_of(table) == {"archive": "a.tar", "digest": "md5:00", "against": "official"}
        for row in table.to_pylist():
            data = (sink.root / row["path"]).read_bytes()
            assert (row["size"], row["xxh3_128"]) == (len(data), xxhash.xxh3_128_digest(data))
            assert row["label"] == 0
        assert table.column("path").to_pylist() == sorted(table.column("path").to_pylist())
        assert table.num_rows == 5
        assert (sink.root / "train.txt").read_text().splitlines()[0] == "n01440764/n01440764_0.JPEG 0"

    def test_lost_or_cut_images_are_not_held(self, sink: FolderSink) -> None:
        receipt = sink.write(UNITS[0], samples(UNITS[0]))
        image = sink.staging / "train/n01440764/n01440764_2.JPEG"
        os.truncate(image, 1)
        assert not sink.holds(receipt)
        sink.write(UNITS[0], samples(UNITS[0]))
        assert sink.holds(receipt)
        image.unlink()
        assert not sink.holds(receipt)

    def test_lost_or_damaged_part_is_not_held(self, sink: FolderSink) -> None:
        receipt = sink.write(UNITS[0], samples(UNITS[0]))
        part = sink.root / receipt.outputs[0].path
        whole = part.read_bytes()
        part.write_bytes(whole[:-1])
        assert not sink.holds(receipt)
        part.write_bytes(bytes(len(whole)))
        assert not sink.holds(receipt)
        part.unlink()
        assert not sink.holds(receipt)

    def test_link_in_staging_is_not_followed(self, sink: FolderSink, tmp_path: Path) -> None:
        target = tmp_path / "precious"
        target.write_bytes(b"keep me")
        folder = sink.staging / "train/n01440764"
        folder.mkdir(parents=True)
        (folder / "n01440764_0.JPEG").symlink_to(target)
        with pytest.raises(OSError, match="n01440764_0"):
            sink.write(UNITS[0], samples(UNITS[0]))
        assert target.read_bytes() == b"keep me"


def test_classes_have_the_form_of_class_index_json() -> None:
    found = json.loads(class_index_json())
    assert list(found) == [str(i) for i in range(1000)]
    assert found["0"] == ["n01440764", "tench"]
    assert found["2"] == ["n01484850", "great_white_shark"]
    assert found["517"] == ["n03126707", "crane_(lifting_device)"]
    assert [wnid for wnid, _ in found.values()] == list(facts.classes().wnids)
    assert len({name for _, name in found.values()}) == 1000
