"""Digests of every image: those of xxhash over what tarfile reads, and only of archives that are right."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import xxhash

from ilsvrc import ImageNet, facts, prepare
from ilsvrc.archive.sidecar import open_index, recorded, stored_digests
from ilsvrc.archive.source import FileSource
from ilsvrc.digests import record_digests
from ilsvrc.errors import ArchiveError, UsageError
from ilsvrc.events import Event, Note
from ilsvrc.issues import Code
from ilsvrc.sinks.digests import DigestSink
from ilsvrc.testing import MiniSpec, write_mini
from ilsvrc.testing.contracts import SinkContract
from ilsvrc.testing.tarball import Entry, TarWriter
from tests.cli.helpers import ilsvrc, ilsvrc_json


@pytest.fixture
def own(mini: Path, tmp_path: Path) -> Path:
    """Archives that a test may change."""
    return Path(shutil.copytree(mini, tmp_path / "own", ignore=shutil.ignore_patterns(".ilsvrc")))


def digests_of(archive: Path) -> list[bytes] | None:
    source = FileSource(archive)
    found = stored_digests(source, open_index(source))
    return None if found is None else [row.tobytes() for row in found]


class TestDigestSink(SinkContract):
    @pytest.fixture
    def sink(self, tmp_path: Path) -> DigestSink:
        with (tmp_path / facts.TRAIN).open("wb") as file:
            outer = TarWriter(file)
            with outer.nested("n01440764.tar"):
                inner = TarWriter(file)
                for place in range(5):
                    inner.add(Entry(f"n01440764_{place}.JPEG"), bytes([place]) * (place + 1))
                inner.close()
            outer.close()
        return DigestSink(FileSource(tmp_path / facts.TRAIN), tmp_path / "part")

    def kept(self, sink: DigestSink) -> object:
        return sink.part.read_bytes() if sink.part.exists() else digests_of(Path(str(sink.source.path)))

    def another(self, sink: DigestSink, folder: Path) -> DigestSink:
        return DigestSink(FileSource(shutil.copy(str(sink.source.path), folder)), folder / "part")

    def test_finish_keeps_what_readers_find(self, sink: DigestSink) -> None:
        self.test_finish_gives_the_same_whatever_the_order(sink)
        assert digests_of(Path(str(sink.source.path))) == [
            xxhash.xxh3_128_digest(bytes([i]) * (i + 1)) for i in range(5)
        ]
        assert not sink.part.exists()


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_image_has_its_digest(own: Path, jobs: int) -> None:
    assert [len(index) for index in record_digests(own, jobs=jobs)] == [24, 12]
    for split, name in (("train", facts.TRAIN), ("val", facts.VAL)):
        dataset = ImageNet(own, split)
        assert digests_of(own / name) == [xxhash.xxh3_128_digest(dataset.bytes(i)) for i in range(len(dataset))]
    proved = recorded(own / facts.TRAIN)
    assert proved is not None
    assert proved.against == "MD5SUMS"


def test_digests_are_recorded_once(own: Path) -> None:
    record_digests(own / facts.VAL, jobs=1)
    heard: list[Event] = []
    record_digests(own / facts.VAL, jobs=1, listener=heard.append)
    assert heard == [Note(f"{facts.VAL}: has digests already")]


def test_digests_of_another_state_are_void(own: Path) -> None:
    record_digests(own / facts.VAL, jobs=1)
    os.utime(own / facts.VAL, ns=(1, 1))
    assert digests_of(own / facts.VAL) is None


@pytest.mark.parametrize("content", [b"", b"ARROW1\0\0", b"x" * 5000])
def test_damaged_digests_are_not_believed(own: Path, content: bytes) -> None:
    record_digests(own / facts.VAL, jobs=1)
    (own / ".ilsvrc" / f"{facts.VAL}.digests.arrow").write_bytes(content)
    assert digests_of(own / facts.VAL) is None


def test_digests_of_a_damaged_archive_are_not_kept(own: Path) -> None:
    data = bytearray((own / facts.VAL).read_bytes())
    data[1500] ^= 1
    (own / facts.VAL).write_bytes(data)
    with pytest.raises(ArchiveError) as caught:
        record_digests(own / facts.VAL, jobs=1)
    assert caught.value.code is Code.WRONG_DIGEST
    assert digests_of(own / facts.VAL) is None


def test_command_records_them(own: Path) -> None:
    assert ilsvrc("cat", own, "val/n01440764", status=2).stdout == ""
    told = ilsvrc_json("index", own, "--digests", "-j", 1)
    assert [archive["images"] for archive in told["archives"]] == [24, 12]
    assert len(ImageNet(own, verify=True).bytes(3)) > 0


@pytest.mark.parametrize("form", ["kaggle-zip", "hf-parquet", "tree", "shards"])
def test_other_forms_are_refused_with_what_to_do(tmp_path: Path, form: str) -> None:
    held = "tree" if form == "shards" else form
    spec = MiniSpec(classes=2, per_class=2, val_per_class=1, mean_bytes=2_000, form=held)
    source = write_mini(tmp_path / "source", spec).folder
    if form == "shards":
        prepare(source, tmp_path / "shards", format="mds", jobs=1)
        source = tmp_path / "shards"
    with pytest.raises(UsageError, match="recorded for official archives alone") as caught:
        record_digests(source)
    assert f"`ilsvrc check --deep {source}`" in caught.value.hint


def test_forms_beside_archives_are_named(tmp_path: Path) -> None:
    """Train lies in class tars, and val in its archive."""
    spec = MiniSpec(classes=2, per_class=2, val_per_class=1, mean_bytes=2_000, form="inner")
    notes: list[object] = []
    found = record_digests(write_mini(tmp_path / "source", spec).folder, listener=notes.append)
    assert [index.split for index in found] == ["val"]
    assert [note.text for note in notes if isinstance(note, Note)] == [
        "train is in class tars: digests are recorded for official archives alone"
    ]
