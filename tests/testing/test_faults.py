from __future__ import annotations

from pathlib import Path

import pytest

from ilsvrc.errors import UsageError
from ilsvrc.testing import FAULTS, Fault, FaultSpec, parse_faults

PAGE = Path(__file__).parents[2] / "docs/reference/mini.md"


def test_every_fault_is_explained() -> None:
    assert list(FAULTS) == list(Fault)
    harmless = [fault for fault, spec in FAULTS.items() if spec.code is None]
    assert harmless == ["gnu-long-name", "pax-header", "base256-size", "dot-directories"]


def test_a_list_with_commas() -> None:
    assert parse_faults("symlink, cmyk,symlink") == {Fault.SYMLINK, Fault.CMYK}
    assert parse_faults("") == frozenset()
    assert parse_faults(",".join(Fault)) == set(Fault)


def test_an_unknown_fault_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="simlink") as caught:
        parse_faults("cmyk,simlink")
    assert "symlink" in caught.value.hint


def test_a_fault_like_no_other_is_answered_with_all() -> None:
    with pytest.raises(UsageError) as caught:
        parse_faults("zzz")
    assert all(fault in caught.value.hint for fault in Fault)


def test_the_page_has_the_same_table() -> None:
    text = PAGE.read_text(encoding="utf-8").partition("## Faults")[2]
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert rows == [row(fault, spec) for fault, spec in FAULTS.items()]


def row(fault: Fault, spec: FaultSpec) -> str:
    code = f"`{spec.code}`" if spec.code else "nothing: accepted"
    return f"| `{fault}` | {spec.description} | {spec.where} | {code} |"
