"""Every form of the data set holds the same names, labels and bytes as the official archives, for 1000 classes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xxhash

import ilsvrc
from ilsvrc.readers.locate import find_splits, open_reader
from ilsvrc.readers.reader import Reader
from ilsvrc.testing import Form, MiniSpec, write_mini
from ilsvrc.tree.manifest import read_manifest
from tests.cli.helpers import ilsvrc as ilsvrc_command

SPEC = MiniSpec(per_class=1, val_per_class=1, mean_bytes=2_000, test_images=5)
"""All classes, once each: the contract tests of the readers have several images of each class."""

FORMS: dict[str, tuple[MiniSpec, str]] = {
    "inner": (replace(SPEC, form=Form.INNER), "class tars"),
    "heap": (replace(SPEC, form=Form.HEAP), "class folders"),
    "tree": (replace(SPEC, form=Form.TREE), "class folders"),
    "kaggle": (replace(SPEC, form=Form.KAGGLE), "class folders"),
    "kaggle-zip": (replace(SPEC, form=Form.KAGGLE_ZIP), "zip"),
    "kaggle-zip-deflated": (replace(SPEC, form=Form.KAGGLE_ZIP, compressed=True), "zip"),
    "kaggle-targz": (replace(SPEC, form=Form.KAGGLE_TARGZ), "tar.gz"),
    "hf-parquet": (replace(SPEC, form=Form.HF_PARQUET), "Parquet"),
    "hf-tar": (replace(SPEC, form=Form.HF_TAR), "Hugging Face tar.gz"),
    "tree-tar": (replace(SPEC, form=Form.TREE_TAR), "tar"),
    "tree-tar-gz": (replace(SPEC, form=Form.TREE_TAR, compressed=True), "tar.gz"),
}


Content = list[tuple[str, int, int, bytes]]
Written = Callable[[str], Path]


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mini(tmp_path_factory.mktemp("official"), SPEC).folder


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Return the folder of a form's miniature, written once."""
    made: dict[str, Path] = {}

    def write(form: str) -> Path:
        if form not in made:
            made[form] = write_mini(tmp_path_factory.mktemp(form), FORMS[form][0]).folder
        return made[form]

    return write


def content(reader: Reader) -> Content:
    """Name, label, size and digest of every image, read in storage order, in catalog order."""
    digests = {row: xxhash.xxh3_128_digest(data) for row, data in reader.take(reader.storage_order())}
    columns = (reader.names.to_pylist(), reader.labels.tolist(), reader.sizes.tolist())
    return [(*row, digests[at]) for at, row in enumerate(zip(*columns, strict=True))]


@pytest.fixture(scope="module")
def truth(official: Path) -> dict[str, Content]:
    return {split: content(open_reader(official, split)) for split in ("train", "val", "test")}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_holds_what_the_archives_hold(form: str, written: Written, truth: dict[str, Content]) -> None:
    for split in ("train", "val"):
        reader = open_reader(written(form), split)
        assert content(reader) == truth[split]
        rows = np.random.default_rng(0).integers(len(reader), size=20).tolist()
        assert [xxhash.xxh3_128_digest(reader.read(row)) for row in rows] == [truth[split][row][3] for row in rows]


@pytest.mark.parametrize("form", FORMS)
def test_imagenet_opens_every_form(form: str, written: Written, official: Path) -> None:
    for split in ("train", "val"):
        theirs = ilsvrc.ImageNet(written(form), split=split, loader=bytes)
        ours = ilsvrc.ImageNet(official, split=split, loader=bytes)
        assert len(theirs) == len(ours)
        assert theirs.targets == ours.targets
        assert [theirs[i] for i in range(0, len(ours), 97)] == [ours[i] for i in range(0, len(ours), 97)]


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_called_by_its_name(form: str, written: Written) -> None:
    found = find_splits(written(form))
    assert {"train", "val"} <= set(found)
    assert found["train"].form == FORMS[form][1]
    assert found["train"].open().form == found["train"].form


@pytest.fixture(scope="module")
def prepared(official: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("prepared") / "tree"
    ilsvrc.prepare(official, tree, jobs=1)
    return tree


@pytest.mark.parametrize("form", FORMS)
def test_prepare_makes_the_same_tree_of_every_form(
    form: str, written: Written, prepared: Path, tmp_path: Path
) -> None:
    report = ilsvrc.prepare(written(form), tmp_path / "tree", jobs=1)
    assert report.ok
    for split in ("train", "val"):
        ours, theirs = (read_manifest(tree / f".ilsvrc/{split}.arrow") for tree in (prepared, tmp_path / "tree"))
        assert theirs.replace_schema_metadata(None).equals(ours.replace_schema_metadata(None))
        files = sorted(str(p.relative_to(tmp_path / "tree")) for p in (tmp_path / "tree" / split).rglob("*.JPEG"))
        assert files == sorted(ours.column("path").to_pylist())


@pytest.mark.parametrize("form", FORMS)
def test_index_counts_every_form(form: str, written: Written) -> None:
    found = json.loads(ilsvrc_command("--json", "index", written(form)).stdout)["archives"]
    counts = {one["split"]: (one["images"], one["classes"]) for one in found}
    assert counts["train"] == (1000, 1000)
    assert counts["val"] == (1000, 1000)
