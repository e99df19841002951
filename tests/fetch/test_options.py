from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ilsvrc.errors import UsageError
from ilsvrc.fetch.options import file_options, piece_length
from ilsvrc.fetch.request import Limits


@given(st.integers(0, 10**13))
def test_a_piece_is_a_power_of_two_from_1_to_16_mib(size: int) -> None:
    piece = piece_length(size)
    assert piece & (piece - 1) == 0
    assert 1 << 20 <= piece <= 16 << 20
    assert piece == 16 << 20 or size / piece <= 512


def test_limits_reach_the_engine() -> None:
    options = file_options(Limits(connections=3, patience=7.5), 10**9)
    assert (options["split"], options["max-connection-per-server"], options["timeout"]) == ("3", "3", "7")


@pytest.mark.parametrize("words", [{"connections": 0}, {"connections": 17}, {"max_speed": -1}, {"patience": 0}])
def test_limits_that_make_no_sense_are_refused(words: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        Limits(**words)  # type: ignore[arg-type]
