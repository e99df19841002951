"""Parquet shards, read by datasets, by pyarrow, by duckdb and polars, and by our own reader of Parquet."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import ilsvrc
from ilsvrc import facts
from ilsvrc.errors import MachineError
from ilsvrc.readers.locate import find_splits, open_reader
from ilsvrc.readers.units import Sample
from ilsvrc.sinks.formats.base import ShardFile
from ilsvrc.sinks.formats.parquet import Parquet, class_names
from ilsvrc.testing import MiniSpec, write_mini
from tests.sinks.formats.reading import read_with
from tests.sinks.formats.test_contract import manifest
from tests.sinks.formats.test_webdataset import in_order

HUB = {"train": "train", "val": "validation", "test": "test"}


@pytest.fixture(scope="module")
def shards(thousand: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parquet") / "shards"
    ilsvrc.prepare(thousand, folder, format="parquet", shard_images=700, jobs=1)
    return folder


@pytest.mark.parametrize("split", ["train", "val"])
def test_every_library_reads_every_image_in_order(split: str, thousand: Path, shards: Path, tmp_path: Path) -> None:
    found = read_with("parquet_.py", shards, HUB[split], tmp_path)
    wanted = in_order(thousand, shards, split)
    for library in ("datasets", "streamed", "pyarrow", "polars"):
        assert found[library] == wanted, library
    assert found["duckdb"] == sorted(row for row in wanted if int(str(row[1])) % 7 == 3)
    assert found["splits"] == {HUB[one]: manifest(shards, one).num_rows for one in ("train", "val")}
    with Image.open(io.BytesIO(open_reader(shards, split).read(first(shards, split)))) as image:
        assert found["decoded"] == list(image.size)


def first(shards: Path, split: str) -> int:
    """The row of the first image of the first shard."""
    return int(open_reader(shards, split).storage_order()[0])


def test_datasets_knows_the_classes(shards: Path, tmp_path: Path) -> None:
    names = read_with("parquet_.py", shards, "validation", tmp_path)["names"]
    assert names == list(class_names())
    assert len(set(names)) == 1000
    assert {place for place, name in enumerate(names) if name != facts.classes()[place].words} == {517}
    assert names[517] == "crane2"


def test_without_its_manifest_it_is_the_same_data_set_as_parquet(
    thousand: Path, shards: Path, tmp_path: Path
) -> None:
    assert {found.form for found in find_splits(shards).values()} == {"parquet shards"}
    bare = shutil.copytree(shards, tmp_path / "bare", ignore=shutil.ignore_patterns(".ilsvrc"))
    for split in ("train", "val"):
        reader, official = open_reader(bare, split), open_reader(thousand, split)
        assert reader.form == "Parquet"
        assert reader.names == official.names
        assert reader.labels.tolist() == official.labels.tolist()
        rows = np.arange(0, len(official), 37)
        assert dict(reader.take(rows)) == dict(official.take(rows))
        assert reader.spans(rows) is not None, "each image lies there byte for byte"
        places = {reader.name(row): reader.where(row).offset for row in range(len(reader))}
        told = manifest(shards, split).select(["path", "offset"]).to_pylist()
        assert places == {row["path"].rpartition("/")[2]: row["offset"] for row in told}


def test_row_groups_are_small_and_have_a_page_index(shards: Path) -> None:
    files = sorted(shards.glob("data/train-*"))
    assert [path.name for path in files] == [f"train-{number:05}-of-00005.parquet" for number in range(5)]
    told = pq.ParquetFile(files[0]).metadata
    groups = [told.row_group(number) for number in range(told.num_row_groups)]
    assert [group.num_rows for group in groups] == [100] * 7
    assert {groups[0].column(at).compression for at in range(3)} == {"UNCOMPRESSED"}
    assert all(groups[0].column(at).has_offset_index for at in range(3))
    assert groups[0].column(2).statistics.max <= 999


def test_a_test_split_has_labels_that_datasets_takes_for_none(tmp_path: Path) -> None:
    mini = write_mini(tmp_path / "mini", MiniSpec(classes=6, per_class=1, mean_bytes=4_000, test_images=7)).folder
    ilsvrc.prepare(mini, tmp_path / "out", format="parquet", splits=("test",), jobs=1)
    found = pq.read_table(tmp_path / "out/data/test-00000-of-00001.parquet")
    assert set(found.column("label").to_pylist()) == {-1}
    assert read_with("parquet_.py", tmp_path / "out", "test", tmp_path / "cache")["datasets"] == [
        [name, -1, digest] for name, _, digest in in_order(mini, tmp_path / "out", "test")
    ]


def test_a_later_split_is_added_to_the_card(mini: Path, tmp_path: Path) -> None:
    ilsvrc.prepare(mini, tmp_path / "out", format="parquet", splits=("val",), jobs=1)
    before = (tmp_path / "out/README.md").read_text()
    ilsvrc.prepare(mini, tmp_path / "out", format="parquet", splits=("train",), jobs=1)
    after = (tmp_path / "out/README.md").read_text()
    assert ("name: train" in before, "name: train" in after) == (False, True)
    assert "name: validation" in before
    assert "name: validation" in after


def test_images_of_every_size_lie_where_they_are_said_to(tmp_path: Path) -> None:
    """Of no byte, of one, larger than a page; and none at all."""
    rng = np.random.default_rng(0)
    sizes = [0, 1, 3 << 20, 5, 0, *rng.integers(1, 300_000, 150).tolist()]
    for count in (0, 1, 100, len(sizes)):
        samples = [
            Sample(f"train/n01440764_{k}.JPEG", f"n01440764_{k}.JPEG", 0, rng.bytes(size))
            for k, size in enumerate(sizes[:count])
        ]
        path = tmp_path / str(count)
        with open(path, "x+b") as file:
            placed = list(Parquet().write(ShardFile(file.fileno(), path), iter(samples), "train"))
        data = path.read_bytes()
        assert [one.sample for one in placed] == samples
        assert all(data[at : at + len(sample.data)] == sample.data for sample, at, _ in placed)
        assert pq.read_table(path).column("image").to_pylist() == [
            {"bytes": sample.data, "path": sample.name} for sample in samples
        ]


def test_pages_of_another_kind_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = pq.ParquetWriter

    def compressing(*args: object, **chosen: object) -> object:
        return writer(*args, **{**chosen, "compression": "zstd"})

    monkeypatch.setattr(pq, "ParquetWriter", compressing)
    sample = Sample("train/n01440764_1.JPEG", "n01440764_1.JPEG", 0, bytes(9000))
    with open(tmp_path / "shard", "x+b") as file, pytest.raises(MachineError, match="not known here"):
        list(Parquet().write(ShardFile(file.fileno(), tmp_path / "shard"), [sample], "train"))
