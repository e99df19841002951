from __future__ import annotations

from dataclasses import replace

import pytest

from ilsvrc.errors import UsageError
from ilsvrc.facts import classes
from ilsvrc.testing import MiniSpec


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("classes", 1, 1000),
        ("per_class", 1, 1300),
        ("val_per_class", 1, 50),
        ("seed", 0, 2**32 - 1),
        ("mean_bytes", 2000, 400_000),
    ],
)
def test_numbers_have_ranges(name: str, low: int, high: int) -> None:
    for right in (low, high):
        assert getattr(replace(MiniSpec(), **{name: right}), name) == right  # type: ignore[arg-type]
    for wrong in (low - 1, high + 1):
        with pytest.raises(UsageError, match=name):
            replace(MiniSpec(), **{name: wrong})  # type: ignore[arg-type]


def test_the_default_has_all_classes() -> None:
    assert MiniSpec().images == 4000
    assert MiniSpec().synsets == classes()[:]
    assert [s.wnid for s in MiniSpec(classes=2).synsets] == ["n01440764", "n01443537"]
