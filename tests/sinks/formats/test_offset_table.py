"""Shards that end where 32-bit offsets do are refused, before and while they are written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import ilsvrc
from ilsvrc.errors import UsageError
from ilsvrc.readers.units import Sample
from ilsvrc.sinks.formats import offset_table
from ilsvrc.sinks.formats.base import ShardFile
from ilsvrc.sinks.formats.litdata import LitData
from ilsvrc.sinks.formats.mds import MDS


@pytest.fixture
def file(tmp_path: Path) -> Iterator[ShardFile]:
    path = tmp_path / "shard"
    shard = ShardFile(os.open(path, os.O_RDWR | os.O_CREAT), path)
    yield shard
    shard.close()


def samples(count: int, size: int) -> list[Sample]:
    return [Sample(f"val/{at}.JPEG", f"{at}.JPEG", at, bytes(size)) for at in range(count)]


def test_the_largest_shard_ends_where_offsets_do(file: ShardFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten images of LitData: 4 + 11 * 4 bytes of table, and each 4 + 4 + 100 + 8."""
    size = 4 + 11 * 4 + 10 * 116
    monkeypatch.setattr(offset_table, "LARGEST", size)
    assert [placed.offset for placed in LitData().write(file, samples(10, 100), "val")] == list(range(56, 1216, 116))
    assert file.tell() == size
    monkeypatch.setattr(offset_table, "LARGEST", size - 1)
    with pytest.raises(UsageError, match="a shard would have 1,208 bytes"):
        list(LitData().write(file, samples(10, 100), "val"))


def test_images_are_not_taken_once_they_are_too_many(file: ShardFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offset_table, "LARGEST", 250)
    left = iter(samples(10, 100))
    with pytest.raises(UsageError, match="a shard would have 300 bytes") as refused:
        list(MDS().write(file, left, "val"))
    assert "--shard-size" in refused.value.hint
    assert len(list(left)) == 7
    assert file.tell() == 0


@pytest.mark.parametrize("kind", [MDS, LitData])
def test_a_plan_of_too_large_shards_is_refused(
    kind: type[MDS | LitData], mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind, "shard_limit", 20_000)
    with pytest.raises(UsageError, match=rf"{kind.name} allows 20,000 in a shard"):
        ilsvrc.prepare(mini, tmp_path / "out", format=kind.name, shard_size="1GB", splits=("train",), jobs=1)
    assert not (tmp_path / "out").exists()
