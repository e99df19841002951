from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ilsvrc.testing.chance import chance, out_of_order


def test_a_name_draws_the_same_whatever_was_drawn_before() -> None:
    first = chance(3, "a").random()
    chance(3, "b").random()
    assert chance(3, "a").random() == first
    assert chance(3, "b").random() != first
    assert chance(4, "a").random() != first


@given(st.sets(st.text(max_size=4), min_size=2), st.integers(0, 100))
def test_out_of_order_keeps_every_item_and_never_sorts(items: set[str], seed: int) -> None:
    drawn = out_of_order(items, chance(seed, "order"))
    assert sorted(drawn) == sorted(items)
    assert drawn != sorted(items)


def test_one_item_has_only_one_order() -> None:
    assert out_of_order(["a"], chance(0, "")) == ["a"]
