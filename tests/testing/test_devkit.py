from __future__ import annotations

import io
import sys
import tarfile
from typing import Any

import numpy as np
import pytest
import scipy.io
from tools import derive_facts

from ilsvrc.errors import MissingExtraError
from ilsvrc.facts import DEVKIT, classes
from ilsvrc.facts.tables import read_rows
from ilsvrc.testing import MiniReport, MiniSpec
from ilsvrc.testing.devkit import devkit_archive

GENUINE_FIELDS = (
    "ILSVRC2012_ID",
    "WNID",
    "words",
    "gloss",
    "num_children",
    "children",
    "wordnet_height",
    "num_train_images",
)
TRUTH = ([490, 361, 171, 822, 297], [10, 495, 128, 848, 186])
"""The first and the last lines of the real ground truth, as guides to the data set print them."""


@pytest.fixture(scope="module")
def devkit(clean: MiniReport) -> tuple[list[dict[str, Any]], list[int]]:
    return derive_facts.read_devkit(clean.folder / DEVKIT)


def test_its_files_lie_where_the_genuine_ones_lie(clean: MiniReport) -> None:
    with tarfile.open(clean.folder / DEVKIT) as archive:
        names = archive.getnames()
    assert names == [
        "ILSVRC2012_devkit_t12",
        "ILSVRC2012_devkit_t12/data",
        "ILSVRC2012_devkit_t12/data/meta.mat",
        "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt",
        "ILSVRC2012_devkit_t12/readme.txt",
    ]


def test_the_ground_truth_is_the_real_one(devkit: tuple[list[dict[str, Any]], list[int]]) -> None:
    meta, truth = devkit
    assert len(truth) == 50_000
    assert (truth[:5], truth[-5:]) == TRUTH
    derive_facts.val_labels(derive_facts.synset_table(meta), truth)  # checks the digest of all labels


def test_the_tables_can_be_derived_from_it(devkit: tuple[list[dict[str, Any]], list[int]]) -> None:
    meta, _ = devkit
    columns = ("index", "wnid", "devkit_id", "train_images", "name", "words")
    synsets = [dict(zip(columns, map(str, row), strict=True)) for row in derive_facts.synset_table(meta)]
    counts = {s.wnid: "5" if s.index < 12 else "0" for s in classes()}
    assert synsets == [row | {"train_images": counts[row["wnid"]]} for row in read_rows("synsets.tsv")]
    edges = [tuple(row.values()) for row in read_rows("edges.tsv")]
    assert [tuple(map(str, row)) for row in derive_facts.edge_table(meta)] == edges
    ancestors = [tuple(row.values()) for row in read_rows("ancestors.tsv")]
    assert [tuple(map(str, row)) for row in derive_facts.ancestor_table(meta)] == ancestors


def test_meta_mat_has_the_shapes_and_types_of_the_genuine_one(clean: MiniReport) -> None:
    with tarfile.open(clean.folder / DEVKIT) as archive:
        file = archive.extractfile("ILSVRC2012_devkit_t12/data/meta.mat")
        assert file is not None
        synsets = scipy.io.loadmat(io.BytesIO(file.read()))["synsets"]
    assert synsets.shape == (1860, 1)
    assert synsets.dtype.names == GENUINE_FIELDS
    fox, entity = synsets[0, 0], synsets[1000, 0]
    shapes = {name: (fox[name].shape, fox[name].dtype) for name in GENUINE_FIELDS if name != "gloss"}
    uint8 = np.dtype(np.uint8)
    assert shapes == {
        "ILSVRC2012_ID": ((1, 1), uint8),
        "WNID": ((1,), np.dtype("<U9")),
        "words": ((1,), np.dtype("<U24")),
        "num_children": ((1, 1), uint8),
        "children": ((1, 0), uint8),
        "wordnet_height": ((1, 1), uint8),
        "num_train_images": ((1, 1), uint8),
    }
    assert fox["WNID"][0] == "n02119789"
    assert (entity["ILSVRC2012_ID"].dtype, entity["children"].dtype) == (np.uint16, np.uint16)
    assert entity["children"].tolist() == [[1002, 1847]]


def test_the_same_spec_gives_the_same_bytes() -> None:
    spec = MiniSpec(classes=2)
    first = devkit_archive(spec)
    assert devkit_archive(spec) == first
    assert devkit_archive(MiniSpec(classes=3)) != first


def test_without_scipy_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(MissingExtraError, match="scipy") as caught:
        devkit_archive(MiniSpec())
    assert "ilsvrc[devkit]" in caught.value.hint
