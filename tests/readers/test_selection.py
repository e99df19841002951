"""What users write for classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from ilsvrc import facts
from ilsvrc.errors import UsageError
from ilsvrc.readers.subset import read_selection, select_classes


@pytest.mark.parametrize(
    ("item", "label"),
    [
        ("n01440764", 0),
        ("0", 0),
        ("999", 999),
        ("tench", 0),
        ("Tinca tinca", 0),
        ("great_white_shark", 2),
        ("GREAT WHITE SHARK", 2),
        ("crane (lifting device)", 517),
        (" pug ", 254),
    ],
)
def test_one_class(item: str, label: int) -> None:
    assert select_classes([item]) == {label}


@pytest.mark.parametrize("item", ["crane", "maillot", "cardigan"])
def test_shared_names_are_refused_with_both_wnids(item: str) -> None:
    with pytest.raises(UsageError, match="names 2 classes: n0") as caught:
        select_classes([item])
    assert "wnid" in caught.value.hint


def test_a_typo_gets_close_matches() -> None:
    with pytest.raises(UsageError) as caught:
        select_classes(["tensh"])
    assert "tench" in caught.value.hint


@pytest.mark.parametrize("items", [["1000"], ["n99999999"], [], ["", " "]])
def test_what_is_no_class_is_refused(items: list[str]) -> None:
    with pytest.raises(UsageError):
        select_classes(items)


def test_a_file_is_one_class_a_line(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("# mine\nn01440764\ttench\n\n1\n")
    assert read_selection(str(path)) == {0, 1}


def test_a_list_has_commas() -> None:
    assert read_selection("0, goldfish,n01484850") == {0, 1, 2}


def test_every_wnid_index_and_unique_name_selects_its_class() -> None:
    for synset in facts.classes():
        assert select_classes([synset.wnid]) == select_classes([str(synset.index)]) == {synset.index}
        assert select_classes([synset.name]) == {synset.index}
