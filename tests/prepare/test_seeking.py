"""Shards through bucket files, where random reads are slow: the measurement on simulated disks; the way itself."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ilsvrc import facts
from ilsvrc.errors import ArchiveError, UsageError
from ilsvrc.prepare import decision, seeking
from ilsvrc.prepare.prepare import prepare
from ilsvrc.prepare.seeking import is_slow_to_seek
from ilsvrc.readers.locate import open_reader
from ilsvrc.readers.reader import Reader, Rows
from ilsvrc.tree import paths
from ilsvrc.tree.manifest import SHARDED, metadata_of, read_manifest
from tests.prepare.test_prepare import interrupted_after

IMAGE = 110_000
"""Bytes of an image on the simulated disk, the mean of ImageNet."""


class Disk:
    """A reader's images on a disk whose clock tells simulated seconds."""

    def __init__(self, reader: Reader, seek: float, rate: float) -> None:
        self._reader, self._seek, self._rate = reader, seek, rate
        self._place = np.argsort(reader.storage_order())
        self.seconds = 0.0
        self.images = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def __len__(self) -> int:
        return len(self._reader)

    def clock(self) -> float:
        return self.seconds

    def take(self, rows: Rows) -> Iterator[tuple[int, bytes]]:
        last = -1
        for row in rows.tolist():
            self.seconds += IMAGE / self._rate + (self._seek if self._place[row] != last + 1 else 0)
            last, self.images = int(self._place[row]), self.images + 1
            yield row, bytes(IMAGE)


@pytest.mark.parametrize(
    ("seek", "rate", "slow"),
    [
        (0.010, 180e6, True),  # a rotating disk
        (0.005, 100e6, True),  # a network mount
        (0.0001, 500e6, False),  # SATA flash
        (0.00002, 3e9, False),  # NVMe
        (0.002, 100e6, False),  # 2.8 times slower: not worth writing all twice
    ],
)
def test_disks_are_told_apart_within_a_second(seek: float, rate: float, slow: bool, thousand: Path) -> None:
    disk = Disk(open_reader(thousand, "train"), seek, rate)
    assert is_slow_to_seek(disk, disk.clock) is slow
    assert disk.seconds < 1
    assert disk.images > 0


def test_files_of_their_own_and_few_images_are_not_measured(mini: Path, thousand_tree: Path) -> None:
    for reader in (open_reader(thousand_tree, "train"), open_reader(mini, "train")):
        disk = Disk(reader, 0.010, 180e6)
        assert not is_slow_to_seek(disk, disk.clock)
        assert disk.images == 0


def test_a_real_disk_is_measured(thousand: Path) -> None:
    """Whatever it finds; the images of the data set are as they were."""
    reader = open_reader(thousand, "train")
    before = reader.read(0)
    assert is_slow_to_seek(reader) in (True, False)
    assert reader.read(0) == before


CHOSEN: dict[str, Any] = {"format": "webdataset", "shard_images": 100, "splits": ("train",), "jobs": 2}


@pytest.fixture(scope="module")
def by_random_reads(thousand: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("random") / "out"
    prepare(thousand, folder, order_by="random", **CHOSEN)
    return folder


def told(root: Path) -> tuple[dict[str, str], list[dict[str, Any]], dict[str, str]]:
    """Digests of the files that are not ours alone, rows of the manifest, and what it says of its making."""
    files = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in root.glob("*.*") if p.is_file()}
    table = read_manifest(paths.manifest(root, "train"), SHARDED)
    return files, table.to_pylist(), metadata_of(table)


def test_shards_are_the_same_through_buckets(
    thousand: Path, by_random_reads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files, manifest and proof; and nothing of the buckets is left."""
    monkeypatch.setattr(seeking, "BUCKET", 500_000)
    report = prepare(thousand, tmp_path / "out", order_by="buckets", **CHOSEN)
    assert told(tmp_path / "out") == told(by_random_reads)
    assert (report.splits[0].digest or "").startswith("md5:")
    assert not paths.staging(tmp_path / "out").exists()


def test_an_interrupted_sweep_and_an_interrupted_run_are_resumed(
    thousand: Path, by_random_reads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By `auto` too. A bucket file that was changed meanwhile is written again, and no other one."""
    monkeypatch.setattr(seeking, "BUCKET", 500_000)
    root, chosen = tmp_path / "out", {**CHOSEN, "jobs": 1}
    buckets = paths.staging(root) / "train.buckets"
    interrupted_after(3, monkeypatch, lambda: prepare(thousand, root, order_by="buckets", **chosen))
    first = (buckets / "000000").stat()
    count = -(-open_reader(thousand, "train").sizes.sum() // 500_000)
    interrupted_after(int(count) + 5, monkeypatch, lambda: prepare(thousand, root, **chosen))
    assert len(list(buckets.glob("0*"))) >= count - 1
    assert (buckets / "000000").stat().st_mtime_ns == first.st_mtime_ns
    data = bytearray((buckets / "000002").read_bytes())
    data[len(data) // 2] ^= 1
    (buckets / "000002").write_bytes(data)
    prepare(thousand, root, **chosen)
    assert told(root) == told(by_random_reads)
    assert not buckets.exists()


def test_a_killed_run_is_resumed_to_the_same_bytes(thousand: Path, by_random_reads: Path, tmp_path: Path) -> None:
    rng = random.Random(1)
    command = [sys.executable, "-m", "ilsvrc", "prepare", thousand, tmp_path / "out", "--format", "webdataset"]
    command += ["--shard-images", 100, "--split", "train", "-j", 2, "--order-by", "buckets"]
    for _ in range(3):
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.8, 2.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    assert told(tmp_path / "out") == told(by_random_reads)


def test_buckets_of_an_archive_that_is_not_the_one_it_should_be_are_removed(thousand: Path, tmp_path: Path) -> None:
    source, root = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    (source / facts.TRAIN).write_bytes((thousand / facts.TRAIN).read_bytes())
    (source / "MD5SUMS").write_text(f"{'0' * 32}  {facts.TRAIN}\n")
    with pytest.raises(ArchiveError, match="damaged"):
        prepare(source, root, order_by="buckets", **CHOSEN)
    assert not (paths.staging(root) / "train.buckets").exists()
    assert not list(root.glob("*.tar"))


@pytest.mark.parametrize("slow", [True, False])
def test_auto_decides_by_the_measurement_and_says_the_room(
    slow: bool, thousand: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decision, "is_slow_to_seek", lambda reader: slow)
    monkeypatch.setattr(decision, "WORTH", 1)
    auto, forced = (
        prepare(thousand, tmp_path / "out", dry_run=True, order_by=how, **CHOSEN).decisions[0]
        for how in ("auto", "random")
    )
    size = int(open_reader(thousand, "train").sizes.sum())
    assert auto["needs_bytes"] - forced["needs_bytes"] == (size if slow else 0)
    assert ("buckets" in auto["how"]) is slow
    assert json.dumps(auto)
    assert not (tmp_path / "out").exists()


def test_little_is_not_measured(thousand: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(reader: Reader) -> bool:
        raise AssertionError("measured")

    monkeypatch.setattr(decision, "is_slow_to_seek", measured)
    assert "buckets" not in prepare(thousand, tmp_path / "out", dry_run=True, **CHOSEN).decisions[0]["how"]


def test_folders_have_no_buckets(mini: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="order_by"):
        prepare(mini, tmp_path / "out", order_by="buckets")
