from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ilsvrc.errors import UsageError
from ilsvrc.facts import val_labels
from ilsvrc.facts.names import true_label, true_labels, val_name, val_number


@given(st.integers(1, 50_000), st.sampled_from(["", "val/", "C:\\data\\", "val.zip@/"]), st.booleans())
def test_a_validation_name_gives_its_number(number: int, folder: str, ending: bool) -> None:
    name = folder + (val_name(number) if ending else val_name(number)[:-5])
    assert val_number(name) == number
    assert true_label(name) == val_labels()[number - 1]


def test_train_names_carry_their_wnid() -> None:
    assert true_label("train/n15075141/n15075141_3.JPEG") == 999
    assert true_label("n01440764_10026_n01440764.JPEG") == 0  # as Hugging Face names them


@pytest.mark.parametrize(
    "name", ["", "ILSVRC2012_val_00050001.JPEG", "ILSVRC2012_val_00000000", "n99999999_1", "cat.jpg"]
)
def test_other_names_tell_nothing(name: str) -> None:
    assert true_label(name) is None
    with pytest.raises(UsageError, match="1 of 2 names are of no image"):
        true_labels(["n01440764_18", name])
