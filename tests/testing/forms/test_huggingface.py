from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ilsvrc.facts import classes
from ilsvrc.sinks.formats.parquet import class_names
from ilsvrc.testing import Form
from tests.oracles import package
from tests.testing.conftest import Written
from tests.testing.forms.test_folders import labels
from tests.testing.helpers import Files, images_of

SPLITS = {"train": "train", "val": "validation", "test": "test"}


def hugging_face(archives: Path, split: str) -> Files:
    """Return the images of a split by the names that they have at Hugging Face."""
    images = images_of(archives)[split]
    if split == "test":
        return images
    truth = labels(archives, split)
    return {f"{name.removesuffix('.JPEG')}_{truth[name]}.JPEG": data for name, data in images.items()}


def members(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path, "r:gz") as archive:
        for member in archive:
            yield member.name, archive.extractfile(member).read()  # type: ignore[union-attr]


@pytest.mark.parametrize("split", SPLITS)
def test_datasets_loads_the_shards(
    written: Written, split: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = package("datasets")
    files = sorted(map(str, (written(Form.HF_PARQUET) / "data").glob(f"{SPLITS[split]}-*.parquet")))
    loaded = datasets.load_dataset("parquet", data_files={"x": files}, split="x", cache_dir=str(tmp_path))
    assert isinstance(loaded.features["image"], datasets.Image)
    assert loaded.features["label"].names == list(class_names())
    assert loaded[0]["image"].format == "JPEG"
    raw = loaded.cast_column("image", datasets.Image(decode=False))
    assert {row["image"]["path"]: row["image"]["bytes"] for row in raw} == hugging_face(written(), split)
    for row in raw:
        assert row["label"] == expected_label(row["image"]["path"], split)


def expected_label(path: str, split: str) -> int:
    """Return the place of the wnid at the end of a path in the list of sorted wnids; -1 for test."""
    return -1 if split == "test" else classes().wnids.index(path[-14:-5])


def test_the_shards_are_numbered_and_cover_the_split(written: Written) -> None:
    data = written(Form.HF_PARQUET, per_class=100) / "data"
    names = sorted(path.name for path in data.iterdir())
    assert names == [
        "test-00000-of-00002.parquet",
        "test-00001-of-00002.parquet",
        *(f"train-{k:05}-of-00003.parquet" for k in range(3)),
        "validation-00000-of-00002.parquet",
        "validation-00001-of-00002.parquet",
    ]
    groups = [pq.read_metadata(data / name) for name in names if name.startswith("train")]
    assert [[shard.row_group(k).num_rows for k in range(shard.num_row_groups)] for shard in groups] == [[100] * 4] * 3


def test_a_shard_has_the_columns_of_the_real_ones(written: Written) -> None:
    schema = pq.read_schema(written(Form.HF_PARQUET) / "data/train-00000-of-00002.parquet")
    assert schema.names == ["image", "label"]
    assert str(schema.field("image").type) == "struct<bytes: binary, path: string>"
    assert str(schema.field("label").type) == "int64"


def test_the_names_of_classes_are_the_words_once_each() -> None:
    names = class_names()
    assert len(set(names)) == 1000
    assert (names[0], names[134], names[517]) == ("tench, Tinca tinca", "crane", "crane2")
    assert [k for k, synset in enumerate(classes()) if names[k] != synset.words] == [517]


def test_the_archives_are_flat_and_hold_the_same(written: Written) -> None:
    data = written(Form.HF_TAR) / "data"
    train = [f"train_images_{k}.tar.gz" for k in range(5)]
    assert sorted(path.name for path in data.iterdir()) == ["test_images.tar.gz", *train, "val_images.tar.gz"]
    for split, names in {"train": train, "val": ["val_images.tar.gz"], "test": ["test_images.tar.gz"]}.items():
        found = [member for name in names for member in members(data / name)]
        assert len(found) == len(dict(found))
        assert dict(found) == hugging_face(written(), split)
    assert [len(list(members(data / name))) for name in train] == [12] * 5


def test_the_train_images_are_in_one_shuffled_order_in_both_forms(written: Written) -> None:
    tars = [name for k in range(5) for name, _ in members(written(Form.HF_TAR) / f"data/train_images_{k}.tar.gz")]
    rows: list[dict[str, Any]] = []
    for path in sorted((written(Form.HF_PARQUET) / "data").glob("train-*")):
        rows += pq.read_table(path).to_pylist()
    assert [row["image"]["path"] for row in rows] == tars
    wnids = [name[-14:-5] for name in tars]
    assert wnids != sorted(wnids)


def test_without_test_images_there_is_no_test(written: Written) -> None:
    for form in (Form.HF_PARQUET, Form.HF_TAR):
        names = [path.name for path in (written(form, test_images=0) / "data").iterdir()]
        assert not [name for name in names if name.startswith("test")]
