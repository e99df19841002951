"""Sinks under their contract, and what a folder holds before and after it is published."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import xxhash

from ilsvrc import facts
from ilsvrc.archive.sidecar import Verified
from ilsvrc.archive.source import FileState
from ilsvrc.errors import MachineError, UsageError
from ilsvrc.files import Filesystems
from ilsvrc.sinks.base import Sink
from ilsvrc.sinks.comparing import ComparingSink
from ilsvrc.sinks.folder import FolderSink
from ilsvrc.sinks.lists import class_index
from ilsvrc.sinks.null import NullSink
from ilsvrc.testing.contracts import UNITS, SinkContract, images_of, samples
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

    def another(self, sink: NullSink, folder: Path) -> NullSink:
        return sink


class TestFolderSink(SinkContract):
    @pytest.fixture
    def sink(self, tmp_path: Path) -> FolderSink:
        return FolderSink(tmp_path, "train", (("archive", "a.tar"),))

    def kept(self, sink: FolderSink) -> object:
        return files(sink.root)

    def another(self, sink: FolderSink, folder: Path) -> FolderSink:
        return FolderSink(folder, sink.split, sink.provenance)

    def test_nothing_has_the_splits_name_before_it_is_finished(self, sink: FolderSink) -> None:
        receipts = [sink.write(unit, samples(unit)) for unit in UNITS]
        assert [p.name for p in sink.root.iterdir()] == [".ilsvrc"]
        sink.finish(receipts, (), images_of(UNITS))
        assert sorted(p.name for p in sink.root.iterdir()) == [".ilsvrc", "classes.json", "train", "train.txt"]
        assert [p.name for p in (sink.root / ".ilsvrc").iterdir()] == ["train.arrow"]

    def test_manifest_tells_every_image(self, sink: FolderSink) -> None:
        sink.finish([sink.write(unit, samples(unit)) for unit in reversed(UNITS)], [PROVED], images_of(UNITS))
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
        with pytest.raises(MachineError, match="n01440764_0"):
            sink.write(UNITS[0], samples(UNITS[0]))
        assert target.read_bytes() == b"keep me"

    def test_linked_folder_in_staging_is_not_followed(self, sink: FolderSink, tmp_path: Path) -> None:
        users = tmp_path / "users"
        users.mkdir()
        (sink.staging / "train").mkdir(parents=True)
        (sink.staging / "train/n01440764").symlink_to(users)
        with pytest.raises(MachineError, match="no regular file of ilsvrc's own"):
            sink.write(UNITS[0], samples(UNITS[0]))
        assert not list(users.iterdir())

    @pytest.mark.parametrize("linked", ["", "train", "train.parts"])
    def test_linked_staging_is_refused_and_never_cleared(self, sink: FolderSink, tmp_path: Path, linked: str) -> None:
        users = tmp_path / "users"
        (users / "train").mkdir(parents=True)
        (users / "train/mine").write_text("precious")
        (sink.staging / linked).parent.mkdir(parents=True, exist_ok=True)
        (sink.staging / linked).symlink_to(users)
        with pytest.raises(MachineError, match="not a folder of ilsvrc's own"), sink.begun():
            pytest.fail("it was begun")
        if linked:
            sink.clear()  # the link goes, and nothing else
        else:
            with pytest.raises(MachineError, match="not a folder of ilsvrc's own"):
                sink.clear()
        assert (users / "train/mine").read_text() == "precious"

    def test_a_staged_image_changed_at_equal_size_is_not_held(self, sink: FolderSink) -> None:
        receipt = sink.write(UNITS[0], samples(UNITS[0]))
        image = sink.staging / "train/n01440764/n01440764_2.JPEG"
        image.write_bytes(b"x" * image.stat().st_size)
        assert not sink.holds(receipt)

    def test_receipt_without_outputs_is_not_held(self, sink: FolderSink) -> None:
        receipt = sink.write(UNITS[0], samples(UNITS[0]))
        assert sink.holds(receipt)
        assert not sink.holds(replace(receipt, outputs=()))

    def test_foreign_folder_of_the_splits_name_is_not_replaced(self, sink: FolderSink) -> None:
        receipts = [sink.write(unit, samples(unit)) for unit in UNITS]
        (sink.root / "train").mkdir()  # somebody, while the run works
        with pytest.raises(UsageError, match="appeared while this run worked"):
            sink.finish(receipts, (), images_of(UNITS))
        assert not list((sink.root / "train").iterdir())
        assert not sink.manifest.exists()
        (sink.root / "train").rmdir()
        sink.finish(receipts, (), images_of(UNITS))
        assert sink.manifest.exists()

    def test_foreign_list_is_not_replaced_and_the_manifest_comes_last(self, sink: FolderSink) -> None:
        receipts = [sink.write(unit, samples(unit)) for unit in UNITS]
        (sink.root / "train.txt").write_text("mine")
        with pytest.raises(UsageError, match="ilsvrc did not write it"):
            sink.finish(receipts, (), images_of(UNITS))
        assert (sink.root / "train.txt").read_text() == "mine"
        assert not sink.manifest.exists()
        assert not (sink.root / "train").exists()

    def test_file_systems_are_held_from_before_the_first_write(
        self, sink: FolderSink, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A sync on a descriptor opened later misses a write-back error that another program's sync was told of."""
        told: list[str] = []

        class Recorded(Filesystems):
            def __init__(self, folders: Iterable[Path]) -> None:
                told.append(f"opened with {len(files(sink.root))} files")
                super().__init__(folders)

            def sync(self) -> None:
                told.append("synced")
                super().sync()

        monkeypatch.setattr(sys.modules["ilsvrc.sinks.staging"], "Filesystems", Recorded)
        with sink.begun():
            for unit in UNITS:
                sink.write(unit, samples(unit))
                sink.sync()
        assert told == ["opened with 0 files", "synced", "synced"]


def test_comparing_tells_what_differs(tmp_path: Path) -> None:
    for sample in samples(UNITS[0]):
        path = tmp_path / sample.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sample.data)
    (tmp_path / "train/n01440764/n01440764_1.JPEG").write_bytes(b"zz")
    (tmp_path / "train/n01440764/n01440764_2.JPEG").unlink()
    receipt = ComparingSink(tmp_path).write(UNITS[0], samples(UNITS[0]))
    assert [issue.code for issue in receipt.issues] == ["changed-image", "missing-image"]
    assert (receipt.samples, receipt.bytes) == (3, 6)


def test_classes_have_the_form_of_class_index_json() -> None:
    found = json.loads(b"".join(class_index()))
    assert list(found) == [str(i) for i in range(1000)]
    assert found["0"] == ["n01440764", "tench"]
    assert found["2"] == ["n01484850", "great_white_shark"]
    assert found["517"] == ["n03126707", "crane_(lifting_device)"]
    assert [wnid for wnid, _ in found.values()] == list(facts.classes().wnids)
    assert len({name for _, name in found.values()}) == 1000
