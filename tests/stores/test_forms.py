"""Every packed form is read from an object store as from a disk: the same names, labels and bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import ilsvrc
from ilsvrc.readers.locate import find_splits, open_reader
from ilsvrc.sinks.formats.registry import FORMATS
from ilsvrc.testing import Form, MiniSpec, write_mini
from tests.cli.helpers import ilsvrc as command
from tests.readers.test_forms import content
from tests.stores.servers import Bucket

SPEC = MiniSpec(classes=6, per_class=3, val_per_class=2, mean_bytes=3_000, test_images=5)

FORMS = {
    "archives": SPEC,
    "kaggle-zip": replace(SPEC, form=Form.KAGGLE_ZIP),
    "kaggle-zip-deflated": replace(SPEC, form=Form.KAGGLE_ZIP, compressed=True),
    "hf-parquet": replace(SPEC, form=Form.HF_PARQUET),
    "inner": replace(SPEC, form=Form.INNER),
    "tree-tar": replace(SPEC, form=Form.TREE_TAR),
    "tree-tar-gz": replace(SPEC, form=Form.TREE_TAR, compressed=True),
    "kaggle-targz": replace(SPEC, form=Form.KAGGLE_TARGZ),
    "hf-tar": replace(SPEC, form=Form.HF_TAR),
}

Written = Callable[[str], Path]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Return the folder of a form's miniature, written once."""
    made: dict[str, Path] = {}

    def write(form: str) -> Path:
        if form not in made:
            made[form] = write_mini(tmp_path_factory.mktemp(form), FORMS[form]).folder
        return made[form]

    return write


@pytest.mark.parametrize("form", FORMS)
def test_a_form_holds_what_its_files_hold(form: str, written: Written, bucket: Bucket) -> None:
    bucket.put_folder(written(form), "imagenet")
    here, there = find_splits(written(form)), find_splits(bucket.url("imagenet"))
    assert {split: one.form for split, one in there.items()} == {split: one.form for split, one in here.items()}
    for split in here:
        assert content(open_reader(bucket.url("imagenet"), split)) == content(open_reader(written(form), split))


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"edm"}))  # which takes images of one size alone
def test_shards_are_read_in_place(name: str, written: Written, bucket: Bucket, tmp_path: Path) -> None:
    ilsvrc.prepare(written("archives"), tmp_path / name, format=name, jobs=1, shard_images=7)
    bucket.put_folder(tmp_path / name, "shards")
    for split in ("train", "val"):
        theirs = ilsvrc.ImageNet(bucket.url("shards"), split, loader=bytes)
        assert list(theirs) == list(ilsvrc.ImageNet(tmp_path / name, split, loader=bytes))


@pytest.mark.parametrize("manifest", [True, False])
def test_class_folders_are_read_in_place(manifest: bool, written: Written, bucket: Bucket, tmp_path: Path) -> None:
    ilsvrc.prepare(written("archives"), tmp_path, jobs=1)
    bucket.put_folder(tmp_path, "folders")
    if not manifest:
        bucket.store().delete([f"folders/.ilsvrc/{split}.arrow" for split in ("train", "val", "test")])
    for split in ("train", "val"):
        theirs = ilsvrc.ImageNet(bucket.url("folders"), split, loader=bytes)
        assert list(theirs) == list(ilsvrc.ImageNet(tmp_path, split, loader=bytes))


def test_hints_fetch_to_this_machine_what_a_bucket_lacks(written: Written, bucket: Bucket) -> None:
    """Fetching to an address is refused."""
    bucket.put_folder(written("hf-parquet"), "imagenet")
    (zipped,) = written("kaggle-zip").glob("*.zip")
    bucket.put({f"kaggle/{zipped.name}": zipped.read_bytes()[:-5000]})
    lacking = command("check", bucket.url("imagenet"), status=1).stdout
    assert "ilsvrc fetch --hf --split val --to FOLDER" in lacking
    cut = command("index", bucket.url("kaggle"), status=None)
    assert "ilsvrc fetch --kaggle --to FOLDER" in cut.stderr
    assert "--to s3://" not in lacking + cut.stderr
