"""The figures of a split, beside those of numpy, collections and Pillow."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ilsvrc import facts
from ilsvrc.check import overview
from ilsvrc.check.check import check
from ilsvrc.check.overview import SEED, Histogram, Measures, sample_of
from ilsvrc.check.report import CheckReport
from ilsvrc.readers.locate import find_splits
from ilsvrc.testing.faults import Fault
from ilsvrc.testing.mini import MiniSpec, write_mini
from ilsvrc.testing.spec import Form

EDGES = (0, 10, 20, 50, 100)


@given(st.lists(st.integers(0, 300), min_size=1))
def test_histogram_counts_every_value_once(values: list[int]) -> None:
    found = Histogram.of(np.array(values), EDGES)
    assert sum(found.counts) == len(values)
    assert len(found.edges) == len(found.counts) + 1
    assert found.counts[0]
    assert found.counts[-1]
    by_hand = Counter(max(edge for edge in EDGES[:-1] if edge <= value) for value in values)
    assert {low: count for low, count in zip(found.edges, found.counts, strict=False) if count} == by_hand
    assert (found.least, found.greatest) == (min(values), max(values))
    assert found.median == pytest.approx(float(np.median(values)))


def test_histogram_of_nothing_is_empty() -> None:
    assert Histogram.of(np.array([], np.int64), EDGES) == Histogram()


def images_of(archives: Path, split: str) -> list[bytes]:
    reader = find_splits(archives)[split].open()
    return [reader.read(row) for row in range(len(reader))]


@pytest.mark.parametrize("deep", [False, True])
def test_figures_are_those_of_pillow(mini: Path, deep: bool) -> None:
    for part in check(mini, overview=True, deep=deep, jobs=1).parts:
        assert part.overview is not None
        data = images_of(mini, part.split)
        opened = [Image.open(io.BytesIO(one)) for one in data]
        measures = part.overview.measures
        assert measures is not None
        assert (measures.images, measures.of, measures.seed) == (len(data), len(data), None)
        assert Counter({size[:2]: size[2] for size in measures.common}) <= Counter(one.size for one in opened)
        assert measures.common[0][2] == Counter(one.size for one in opened).most_common(1)[0][1]
        assert measures.kinds.get("grey JPEG", 0) == sum(one.mode == "L" for one in opened)
        assert sum(measures.kinds.values()) == len(data)
        assert measures.width.mean == pytest.approx(np.mean([one.width for one in opened]))
        assert measures.height.greatest == max(one.height for one in opened)
        assert measures.aspect.median == pytest.approx(np.median([one.width / one.height for one in opened]))
        assert part.overview.bytes.mean == pytest.approx(np.mean([len(one) for one in data]))
        assert sum(part.overview.bytes.counts) == len(data)


def test_counts_per_class_are_beside_those_that_there_should_be(mini: Path, tree: Path) -> None:
    (train,) = (part for part in check(mini, overview=True).parts if part.split == "train")
    assert train.overview is not None
    assert train.overview.classes is not None
    assert train.overview.classes.found == (4,) * 6 + (0,) * 994
    assert train.overview.classes.wanted == train.overview.classes.found, "by the devkit beside it"
    (train,) = (part for part in check(tree, overview=True).parts if part.split == "train")
    assert train.overview is not None
    assert train.overview.classes is not None
    assert train.overview.classes.wanted == tuple(synset.train_images for synset in facts.classes())


def test_sample_is_the_same_in_every_form_and_is_said_to_be_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "SAMPLE", 7)
    spec = MiniSpec(classes=4, per_class=5, val_per_class=1, mean_bytes=3_000)
    chosen = set()
    for form in (Form.ARCHIVES, Form.TREE, Form.KAGGLE_ZIP, Form.HF_PARQUET):
        write_mini(tmp_path / form, spec, form=form)
        reader = find_splits(tmp_path / form)["train"].open()
        rows = sample_of(reader, 7)
        order = reader.storage_order().tolist()
        assert [order.index(row) for row in rows.tolist()] == sorted(order.index(row) for row in rows.tolist())
        chosen.add(frozenset(reader.name(row) for row in rows.tolist()))
        for part in check(tmp_path / form, overview=True).parts:
            assert part.overview is not None
            measures = part.overview.measures
            assert measures is not None
            drawn = (7, 7, 20, SEED) if part.split == "train" else (4, 4, 4, None)
            assert (measures.images, measures.read, measures.of, measures.seed) == drawn
    assert len(chosen) == 1
    assert len(next(iter(chosen))) == 7


def test_damaged_images_end_no_sample(tmp_path: Path) -> None:
    spec = MiniSpec(classes=4, per_class=3, val_per_class=1, mean_bytes=3_000, form=Form.TREE)
    write_mini(tmp_path, spec)
    images = sorted((tmp_path / "train").glob("*/*.JPEG"))
    images[2].write_bytes(b"")
    (train,) = (part for part in check(tmp_path, overview=True).parts if part.split == "train")
    assert train.overview is not None
    assert isinstance(train.overview.measures, Measures)
    assert (train.overview.measures.images, train.overview.measures.of) == (11, 12)


def test_compressed_tar_is_not_read_for_a_sample(tmp_path: Path) -> None:
    spec = MiniSpec(classes=3, per_class=2, val_per_class=1, mean_bytes=3_000, form=Form.KAGGLE_TARGZ)
    write_mini(tmp_path, spec)
    for part in check(tmp_path, overview=True).parts:
        assert part.overview is not None
        assert part.overview.measures is None
    for part in check(tmp_path, overview=True, deep=True, jobs=1).parts:
        assert part.overview is not None
        assert part.overview.measures is not None
        assert part.overview.measures.images == part.images


def documents(report: CheckReport) -> Any:
    return json.loads(json.dumps(report.to_dict()))["parts"]


def test_document_has_the_figures_and_the_place_of_each_issue(tmp_path: Path) -> None:
    write_mini(
        tmp_path, MiniSpec(classes=6, per_class=3, mean_bytes=3_000), faults=frozenset([Fault.TRUNCATED_IMAGE])
    )
    plain = documents(check(tmp_path, deep=True, jobs=1))
    told = documents(check(tmp_path, deep=True, overview=True, jobs=1))
    assert all(part["overview"] is None for part in plain)
    (bare,), (issue,) = ([issue for part in parts for issue in part["issues"]] for parts in (plain, told))
    assert bare == issue | {"place": None}
    archive, offset = tmp_path / facts.TRAIN, issue["place"]["offset"]
    assert issue["place"]["file"] == str(archive)
    assert archive.read_bytes()[offset : offset + 3] == b"\xff\xd8\xff"
    assert set(told[0]["overview"]) == {"classes", "bytes", "measures", "loaders"}
