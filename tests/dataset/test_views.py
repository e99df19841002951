"""Views against the lists that they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ilsvrc.dataset.views import Numbers, View


@given(st.lists(st.integers()), st.slices(20), st.integers(-25, 25))
def test_view_is_its_list(items: list[int], part: slice, index: int) -> None:
    view = View(len(items), items.__getitem__)
    assert view == items
    assert items == view
    assert list(view) == items
    assert view[part] == items[part]
    if -len(items) <= index < len(items):
        assert view[index] == items[index]
    else:
        with pytest.raises(IndexError):
            view[index]
    assert view != [*items, 1]
    assert view != len(items)


def test_says_how_it_begins() -> None:
    assert repr(View(5, str)) == "['0', '1', '2', ...] (5 entries)"
    assert repr(View(1, str)) == "['0'] (1 entries)"


def test_numbers_become_an_array_at_once() -> None:
    numbers = Numbers(lambda: np.arange(4) * 2, 4, lambda i: i * 2)
    assert np.asarray(numbers).tolist() == list(numbers) == [0, 2, 4, 6]
    assert np.asarray(numbers).dtype == np.int64
    assert np.asarray(numbers, np.float32).dtype == np.float32
    assert (np.unique(numbers) == [0, 2, 4, 6]).all()
    with pytest.raises(ValueError, match="always a copy"):
        np.array(numbers, copy=False)


def test_joins_with_lists_and_views() -> None:
    view = View(3, str)
    more = ["x"]
    assert view + more == [*"012", "x"]
    assert more + view == ["x", *"012"]
    assert view + view == list("012012")
    with pytest.raises(TypeError):
        view + 3


def test_changes_in_place_are_refused() -> None:
    with pytest.raises(TypeError, match="change a copy"):
        View(3, str)[0] = "x"
