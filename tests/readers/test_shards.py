"""Shards that `prepare` wrote, found by their manifests: without one, and with its identity."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import xxhash

from ilsvrc import check
from ilsvrc.errors import DataError
from ilsvrc.prepare.prepare import prepare as prepare_any
from ilsvrc.readers.locate import find_splits
from ilsvrc.readers.shards import ShardReader, Shards
from ilsvrc.sinks.formats.registry import FORMATS
from ilsvrc.tree import manifest
from ilsvrc.tree.manifest import SHARDED
from tests.cli.helpers import ilsvrc
from tests.sinks.formats.preparing import prepare

READ_WITHOUT = ("parquet",)
"""Formats whose files are read without a manifest too."""


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in READ_WITHOUT])
def test_split_whose_manifest_is_gone_is_not_left_out(mini: Path, tmp_path: Path, name: str) -> None:
    out, lost, kept = tmp_path / "out", *(("val", "train") if name in ("mds", "tfrecord") else ("train", "val"))
    prepare(name, mini, out, shard_images=9, jobs=1)
    (out / f".ilsvrc/{lost}.arrow").unlink()
    with pytest.raises(DataError, match=f"it is gone, and the shards of {lost} can't be read") as caught:
        prepare_any(out, tmp_path / "back", format="mds", jobs=1)
    assert "`ilsvrc prepare SRC DST`" in caught.value.hint
    assert not (tmp_path / "back").exists()
    assert f"{lost}.arrow" in str(check(out).damage)
    assert prepare_any(out, tmp_path / "back", format="mds", splits=[kept], jobs=1).ok


@pytest.mark.parametrize("name", ["mds", "lmdb"])
def test_shards_without_any_manifest_are_refused_with_the_reason(mini: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    prepare(name, mini, out, jobs=1)
    for split in ("train", "val"):
        (out / f".ilsvrc/{split}.arrow").unlink()
    said = ilsvrc("ls", out, status=2).stderr
    assert "holds no train image" in said or "without their manifests" in said


def test_split_that_was_never_written_is_not_missed(mini: Path, tmp_path: Path) -> None:
    prepare("webdataset", mini, tmp_path / "out", splits=("val",), jobs=1)
    assert list(find_splits(tmp_path / "out")) == ["val"]


def test_a_manifest_is_read_once(mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To check every value of the full data set's takes a while."""
    prepare("mds", mini, tmp_path / "out", jobs=1)
    read: list[Path] = []
    mapped = manifest._mapped

    def noted(path: Path) -> pa.BufferReader:
        read.append(path)
        return mapped(path)

    monkeypatch.setattr(manifest, "_mapped", noted)
    assert len(find_splits(tmp_path / "out")["train"].open()) == 24
    assert [path.name for path in read if path.name == "train.arrow"] == ["train.arrow"]


def test_identity_is_the_one_that_manifests_record() -> None:
    """What was prepared from shards names it: a digest of all values as Python writes them."""
    odd = [b"'" * 16, b"'\"" * 8, b'"' * 16, b"\\" * 16, b"\n\t\r\0" * 4, bytes(16)]
    digests = [*odd, *(os.urandom(16) for _ in range(100_000))]
    count = len(digests)
    columns: dict[str, list[Any]] = {
        "path": [f"train/n{row:08}_{row}.JPEG" for row in range(count)],
        "label": [row % 1000 for row in range(count)],
        "size": list(range(count)),
        "xxh3_128": digests,
        "shard": [0] * count,
        "offset": [0] * count,
        "source": digests,
    }
    table = pa.table(columns, SHARDED)
    hashed = xxhash.xxh3_128(b"train")
    for name in ("path", "label", "size", "xxh3_128"):
        hashed.update("".join(f"{value}\n" for value in columns[name]).encode())
    reader = ShardReader("train", Shards(Path("/nowhere"), "mds shards", {}), table)
    assert reader.identity == hashed.hexdigest()
