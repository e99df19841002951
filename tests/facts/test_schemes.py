from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ilsvrc.errors import UsageError
from ilsvrc.facts import classes, convert, permutation, scheme, schemes, val_labels

NAMES = [s.name for s in schemes()]
NUMERIC = [s.name for s in schemes() if s.numeric]
SHARED = Path(os.environ.get("ILSVRC_SHARED", Path(__file__).parents[3] / "shared"))


@given(
    st.sampled_from(NAMES),
    st.sampled_from(NAMES),
    hnp.arrays(np.int64, hnp.array_shapes(), elements=st.integers(0, 999)),
)
def test_conversions_round_trip(source: str, target: str, indices: np.ndarray[Any, Any]) -> None:
    labels = convert(indices, "index", source)
    there = convert(labels, source, target)
    assert there.shape == indices.shape
    np.testing.assert_array_equal(convert(there, target, source), labels)
    np.testing.assert_array_equal(convert(there, target, "index"), indices)


@pytest.mark.parametrize("name", NAMES)
def test_a_scheme_labels_each_class_once(name: str) -> None:
    assert len(set(scheme(name).labels.tolist())) == 1000
    np.testing.assert_array_equal(scheme(name).indices(scheme(name).labels), np.arange(1000))


def test_the_seeds_claims() -> None:
    labels = val_labels()
    assert convert(labels[:5], "index", "devkit").tolist() == [490, 361, 171, 822, 297]
    assert convert(labels[-5:], "index", "devkit").tolist() == [10, 495, 128, 848, 186]
    assert labels[:4].tolist() == [65, 970, 230, 809]
    assert convert(490, "devkit", "wnid") == "n01751748"
    assert classes()[65].words == "sea snake"
    shared = {
        s.words.split(", ")[0]
        for s in classes()
        if [c.words.split(", ")[0] for c in classes()].count(s.words.split(", ")[0]) > 1
    }
    assert shared == {"crane", "maillot"}
    assert [s.index for s in classes() if s.words.startswith(("crane", "maillot"))] == [134, 517, 638, 639]


def test_schemes_against_plain_python() -> None:
    folders = sorted(str(i) for i in range(1000))
    assert scheme("lexicographic").labels.tolist() == [folders.index(str(i)) for i in range(1000)]
    assert scheme("devkit").labels.tolist() == [s.devkit_id for s in classes()]
    assert scheme("wnid").labels.tolist() == sorted(s.wnid for s in classes())
    assert (scheme("devkit0").labels == np.arange(1000)).sum() == 0  # no class is right by luck
    assert (scheme("lexicographic").labels == np.arange(1000)).sum() == 12


def test_schemes_against_the_facts() -> None:
    table = SHARED / "facts" / "classes.tsv"
    if not table.is_file():
        pytest.skip(f"no {table}; set ILSVRC_SHARED")
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [int(r["ilsvrc2012_id"]) for r in rows] == scheme("devkit").labels.tolist()
    assert [r["wnid"] for r in rows] == scheme("wnid").labels.tolist()


def test_columns_and_ranges() -> None:
    assert {s.name: s.columns for s in schemes()} == {
        "index": 1000, "index1": 1001, "background": 1001, "devkit": 1001, "devkit0": 1000, "lexicographic": 1000,
        "wnid": 0,
    }  # fmt: skip
    assert scheme("devkit").range == "1 to 1000"
    assert scheme("wnid").range == "n01440764 to n15075141"


def test_shapes_and_types() -> None:
    assert convert(65, "index", "devkit") == 490
    assert convert([], "index", "devkit").shape == (0,)
    assert convert(np.zeros((2, 0), np.int32), "index", "wnid").shape == (2, 0)
    assert convert(np.array([[0], [1]], np.uint8), "index", "index1").tolist() == [[1], [2]]
    assert convert(["n01440764"], "wnid", "index").dtype == np.int64


@pytest.mark.parametrize(
    ("labels", "source", "message"),
    [
        ([1, 0, 1001], "devkit", r"not in the scheme devkit \(1 to 1000\): 0 at \[1\]; 1001 at \[2\]"),
        ([[0, -1]], "index", r"-1 at \[0, 1\]"),
        (1000, "index", "1000"),
        ([0], "background", r"0 at \[0\]"),
        (range(2000, 2009), "index", r"2002 at \[2\] and 6 more"),
        (["n00000000"], "wnid", "n00000000"),
        ([0.5], "index", "whole numbers, not float64"),
        ([True], "index", "whole numbers, not bool"),
        ([3], "wnid", "wnids as text, not int64"),
        (["65"], "index", "whole numbers, not <U2"),
    ],
)
def test_labels_outside_a_scheme(labels: Any, source: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        convert(labels, source, "index")


def test_an_unknown_scheme_names_close_ones() -> None:
    with pytest.raises(UsageError, match="'devkt'") as error:
        convert([1], "devkt", "index")
    assert "devkit" in error.value.hint
    with pytest.raises(UsageError) as error:
        scheme("zzz")
    assert "lexicographic" in error.value.hint


@pytest.mark.parametrize("source", NUMERIC)
@pytest.mark.parametrize("target", NAMES)
def test_a_permutation_reorders_outputs(source: str, target: str) -> None:
    scores = np.zeros((1000, scheme(source).columns))
    scores[np.arange(1000), scheme(source).labels] = 1  # image i shows class i
    moved = scores[:, permutation(source, target)]
    ascending = np.sort(scheme(target).labels)
    np.testing.assert_array_equal(ascending[moved.argmax(axis=1)], scheme(target).labels)


def test_a_permutation_from_wnids_is_refused() -> None:
    with pytest.raises(UsageError, match="not numbers of columns"):
        permutation("wnid", "index")


def test_schemes_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        scheme("index").labels[0] = 1
