"""WebDataset shards, read by webdataset, by its wids, by datasets, and by Python's tarfile."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import pytest

import ilsvrc
from ilsvrc.readers.locate import open_reader
from tests.sinks.formats.reading import read_with
from tests.sinks.formats.test_contract import names_in_order


@pytest.fixture(scope="module")
def shards(thousand: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("webdataset") / "shards"
    ilsvrc.prepare(thousand, folder, format="webdataset", shard_images=300, jobs=1)
    return folder


def in_order(source: Path, shards: Path, split: str) -> list[list[object]]:
    """Name, label and sha256 of every image, from the archives, in the order of the shards."""
    reader = open_reader(source, split)
    row = {name: at for at, name in enumerate(reader.names.to_pylist())}
    return [
        [name, int(reader.labels[row[name]]), hashlib.sha256(reader.read(row[name])).hexdigest()]
        for name in names_in_order(shards, split)
    ]


@pytest.mark.parametrize("split", ["train", "val"])
def test_webdataset_wids_and_datasets_read_every_image_in_order(
    split: str, thousand: Path, shards: Path, tmp_path: Path
) -> None:
    found = read_with("webdataset_.py", shards, split, tmp_path)
    wanted = in_order(thousand, shards, split)
    assert found["webdataset"] == wanted
    assert found["wids"] == wanted
    assert found["datasets"] == wanted


def test_tarfile_lists_plain_members_of_nobody(shards: Path) -> None:
    with tarfile.open(shards / "train-000000.tar") as tar:
        members = tar.getmembers()
        assert len(members) == 900
        assert {(m.uid, m.gid, m.mtime, m.mode, m.isreg()) for m in members} == {(0, 0, 0, 0o444, True)}
        told = json.loads(tar.extractfile(members[2]).read())  # type: ignore[union-attr]
    assert set(told) == {"name", "wnid", "label", "words", "size", "xxh3_128"}
    assert told["size"] == members[0].size
    assert (shards / "train-000000.tar").stat().st_size % 10_240 == 0
