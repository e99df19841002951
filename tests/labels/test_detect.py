from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ilsvrc.errors import UsageError
from ilsvrc.facts import convert, scheme, schemes, val_labels
from ilsvrc.facts.names import val_name
from ilsvrc.labels.detect import SIZES, detect_scheme

DISTINCT = ["index", "index1", "devkit", "devkit0", "lexicographic"]
Ints = np.ndarray[Any, np.dtype[np.int64]]


def simulate(images: int, accuracy: float, seed: int) -> tuple[list[str], Ints]:
    """Return names and the indices that a model of this accuracy predicts, its errors on neighbours or anywhere."""
    rng = np.random.default_rng(seed)
    numbers = rng.choice(50_000, images, replace=False)
    truth = val_labels()[numbers].astype(np.int64)
    near = (truth + rng.integers(-30, 31, images)).clip(0, 999)
    errors = np.where(rng.random(images) < 0.5, near, rng.integers(0, 1000, images))
    return [val_name(n + 1) for n in numbers], np.where(rng.random(images) < accuracy, truth, errors)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(DISTINCT), st.sampled_from([200, 500, 1000]), st.floats(0.4, 1.0), st.integers(0, 2**32 - 1))
def test_names_the_scheme_of_a_fair_model(name: str, images: int, accuracy: float, seed: int) -> None:
    names, indices = simulate(images, accuracy, seed)
    found = detect_scheme(names, convert(indices, "index", name))
    assert found.scheme in ({"index1", "background"} if name == "index1" else {name})
    assert (found.needed, found.images) == (0, images)


@settings(deadline=None, max_examples=60)
@given(st.integers(20, 2000), st.integers(0, 2**32 - 1))
def test_never_names_one_for_random_predictions(images: int, seed: int) -> None:
    names, _ = simulate(images, 0, seed)
    rng = np.random.default_rng(seed)
    for predictions in (
        rng.integers(0, 1000, images),
        np.full(images, rng.integers(1000)),
        rng.random((images, 1000)),
    ):
        assert detect_scheme(names, predictions).scheme is None


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(DISTINCT), st.sampled_from([50, 200, 1000]), st.floats(0.05, 1.0), st.integers(0, 2**32 - 1))
def test_never_names_a_wrong_one(name: str, images: int, accuracy: float, seed: int) -> None:
    names, indices = simulate(images, accuracy, seed)
    found = detect_scheme(names, convert(indices, "index", name)).scheme
    assert found in (None, name, "background" if name == "index1" else name)


@pytest.mark.parametrize("offset", [-3, -2, -1, 2, 3])
def test_an_offset_that_is_no_scheme_is_none_of_these(offset: int) -> None:
    names, indices = simulate(500, 0.8, 1)
    found = detect_scheme(names, indices + offset)
    assert (found.scheme, found.needed) == (None, None)
    assert f"off by {offset:+}" in found.reason


def test_a_permuted_model_is_none_of_these() -> None:
    names, indices = simulate(1000, 0.9, 2)
    found = detect_scheme(names, np.random.default_rng(3).permutation(1000)[indices])
    assert (found.scheme, found.needed) == (None, None)
    assert found.reason.startswith("none of these")


def test_images_of_one_class_are_one_witness() -> None:
    """A wrong mapping that meets a scheme on a dozen classes would else be named for their images."""
    alike = np.flatnonzero(scheme("lexicographic").labels == np.arange(1000))
    assert len(alike) == 12
    numbers = np.flatnonzero(np.isin(val_labels(), alike))
    assert len(numbers) == 600
    names = [val_name(int(n) + 1) for n in numbers]
    found = detect_scheme(names, val_labels()[numbers])
    assert found.scheme is None  # index and lexicographic can't be told apart by these classes
    assert {s.scheme for s in found.scores if s.top1 == 1} == {"index", "lexicographic"}


def test_too_few_images_ask_for_more_and_more_settle_it() -> None:
    names, indices = simulate(3000, 0.4, 4)
    few = detect_scheme(names[:20], indices[:20])
    assert few.scheme is None
    assert few.needed is not None
    assert few.needed > 0
    assert detect_scheme(names[: 20 + 4 * few.needed], indices[: 20 + 4 * few.needed]).scheme == "index"


@pytest.mark.parametrize("images", [50, 400])
def test_the_number_needed_is_about_right(images: int) -> None:
    """Over many weak models, about half should be settled by the number asked for."""
    settled = total = 0
    for seed in range(40):
        names, indices = simulate(20_000, 0.12 if images == 50 else 0.06, seed)
        few = detect_scheme(names[:images], indices[:images])
        if few.needed and images + few.needed <= 20_000:
            total += 1
            settled += detect_scheme(names[: images + few.needed], indices[: images + few.needed]).needed in (0, None)
    assert total >= 10
    assert settled / total > 0.25


def test_1001_columns_are_a_background_model() -> None:
    names, indices = simulate(300, 0.7, 5)
    scores = np.random.default_rng(6).random((300, 1001)).astype(np.float32)
    scores[np.arange(300), indices + 1] = 2
    found = detect_scheme(names, scores)
    assert (found.scheme, found.equivalents) == ("background", ("index1",))
    scores = np.roll(scores, -1, axis=1)
    assert detect_scheme(names, scores).scheme == "index"


def test_a_predicted_0_tells_background_from_index1() -> None:
    names, indices = simulate(300, 0.7, 7)
    labels = indices + 1
    assert detect_scheme(names, labels).scheme == "index1"
    assert detect_scheme(names, labels).equivalents == ("background",)
    labels[0] = 0
    found = detect_scheme(names, labels)
    assert (found.scheme, found.equivalents) == ("background", ("index1",))


@pytest.mark.parametrize("name", ["index", "devkit0", "lexicographic"])
def test_1000_columns(name: str) -> None:
    names, indices = simulate(300, 0.7, 8)
    scores = np.zeros((300, 1000), np.float32)
    scores[np.arange(300), convert(indices, "index", name)] = 1
    found = detect_scheme(names, scores)
    assert found.scheme == name
    score = next(s for s in found.scores if s.scheme == name)
    assert score.top5 is not None
    assert score.top5 >= score.top1 > 0.6


def test_labels_beyond_an_output_are_not_named() -> None:
    names, indices = simulate(300, 0.8, 9)
    scores = np.zeros((300, 1000))
    scores[np.arange(300), (indices + 1).clip(max=999)] = 1
    found = detect_scheme(names, scores)
    assert found.scheme is None
    assert "beyond an output of 1,000 columns" in found.reason


@pytest.mark.parametrize("columns", [10, 100, 5000, *SIZES])
def test_other_sizes_are_unknown(columns: int) -> None:
    names, _ = simulate(4, 0, 10)
    found = detect_scheme(names, np.random.default_rng(1).random((4, columns)))
    assert (found.scheme, found.needed) == (None, None)
    assert f"{columns:,} columns are" in found.reason
    assert SIZES.get(columns, "") in found.reason


def test_labels_of_a_larger_output_are_told() -> None:
    names, _ = simulate(400, 0, 11)
    found = detect_scheme(names, np.random.default_rng(2).integers(0, 21_841, 400))
    assert found.scheme is None
    assert "not of the 1000 classes" in found.reason


def test_wnids_and_wnids_looked_up_wrongly() -> None:
    names, indices = simulate(300, 0.6, 12)
    found = detect_scheme(names, convert(indices, "index", "wnid"))
    assert (found.scheme, [s.scheme for s in found.scores]) == ("wnid", ["wnid"])
    wrong = detect_scheme(names, convert(convert(indices, "index", "devkit0"), "index", "wnid"))
    assert wrong.scheme is None
    assert "scheme devkit0 taken for indices" in wrong.reason


def test_scores_of_each_scheme_by_hand() -> None:
    names = [val_name(n) for n in (1, 2, 3, 4)]  # 65, 970, 230, 809
    found = detect_scheme(names, [[65, 1, 2, 3, 4], [1, 970, 2, 3, 4], [1, 2, 3, 4, 5], [809, 810, 1, 2, 3]])
    scores = {s.scheme: (s.top1, s.top5) for s in found.scores}
    assert scores["index"] == (0.5, 0.75)
    assert scores["index1"] == (0, 0.25)
    assert found.to_json()["schemes"]["index"]["interval"] == pytest.approx([0.15, 0.85], abs=0.005)
    assert next(s for s in detect_scheme(names, [1, 2, 3, 4]).scores).top5 is None


def test_truth_may_be_given() -> None:
    rng = np.random.default_rng(13)
    truth = rng.integers(0, 1000, 200)
    found = detect_scheme([f"photo{n}" for n in range(200)], convert(truth, "index", "devkit"), truth)
    assert found.scheme == "devkit"
    with pytest.raises(UsageError, match="are of no image"):
        detect_scheme([f"photo{n}" for n in range(200)], truth)


def test_lengths_must_agree() -> None:
    with pytest.raises(UsageError, match="1 names, 1 true labels and 2 predictions"):
        detect_scheme([val_name(1)], [1, 2])


def test_all_schemes_are_scored() -> None:
    found = detect_scheme([val_name(1)], [65])
    assert [s.scheme for s in found.scores] == [s.name for s in schemes() if s.numeric]
    assert (found.scheme, found.images) == (None, 1)
