from __future__ import annotations

import pytest

from ilsvrc.errors import UsageError
from ilsvrc.facts import classes
from ilsvrc.labels.query import find


@pytest.mark.parametrize(
    ("query", "wnid"),
    [
        ("n01751748", "n01751748"),
        ("devkit:490", "n01751748"),
        ("wnid:n01751748", "n01751748"),
        ("index1:1000", "n15075141"),
        ("ILSVRC2012_val_00000001.JPEG", "n01751748"),
        ("val/n01751748/ILSVRC2012_val_00000001", "n01751748"),
        ("n01440764_18.JPEG", "n01440764"),
        ("Sea Snake", "n01751748"),
        ("sea_snake", "n01751748"),
        ("Tinca tinca", "n01440764"),
        ("crane (lifting device)", "n03126707"),
    ],
)
def test_finds_one_class(query: str, wnid: str) -> None:
    (match,) = find(query)
    assert match.synset.wnid == wnid


def test_whole_names_come_before_words_and_parts() -> None:
    found = find("cock")
    assert [m.synset.words for m in found[:1]] == ["cock"]
    assert [m.found_as for m in found] == sorted(
        (m.found_as for m in found), key=["name", "word in its names", "part of a word"].index
    )
    assert {"peacock", "cockroach, roach"} <= {m.synset.words for m in found}


def test_a_bare_number_is_read_under_each_scheme() -> None:
    found = {m.found_as: m.synset.index for m in find("65")}
    assert found == {
        "index 65": 65,
        "index1, background 65": 64,
        "devkit 65": 351,
        "devkit0 65": 176,
        "lexicographic 65": 157,
    }
    assert {m.found_as for m in find("1000")} == {"index1, background 1000", "devkit 1000"}


@pytest.mark.parametrize(
    ("word", "others"), [("n02012849", {"n03126707"}), ("n03710637", {"n03710721"}), ("n02113186", {"n02963159"})]
)
def test_shared_names_are_told(word: str, others: set[str]) -> None:
    (match,) = find(word)
    assert {s.wnid for s in match.namesakes} == others


def test_place_in_wordnet() -> None:
    (match,) = find("n01440764")
    assert match.place[0] == "entity"
    assert match.place[-1] == "cyprinid"
    for synset in classes():
        assert find(synset.wnid)[0].place[0] == "entity"


def test_a_synset_above_classes_finds_those_below() -> None:
    below = {m.synset.wnid for m in find("n01482330")}  # shark
    assert below == {"n01484850", "n01491361", "n01494475"}
    assert len(find("n02084071")) == 118  # dog


def test_everything_about_a_match_as_json() -> None:
    document = find("devkit:490")[0].to_json()
    assert document["labels"] == {
        "index": 65, "index1": 66, "background": 66, "devkit": 490, "devkit0": 489, "lexicographic": 612,
        "wnid": "n01751748",
    }  # fmt: skip
    assert (document["train_images"], document["words"], document["namesakes"]) == (1300, ["sea snake"], [])


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("tenchh", "tench"),
        ("devkt:4", "devkit"),
        ("n01440765", "n01440764"),
        ("5000", "SCHEME:NUMBER"),
        ("", "SCHEME:NUMBER"),
    ],
)
def test_what_is_not_found_gets_a_hint(query: str, hint: str) -> None:
    with pytest.raises(UsageError) as error:
        find(query)
    assert hint in error.value.hint


def test_a_number_outside_its_scheme() -> None:
    with pytest.raises(UsageError, match="not in the scheme devkit"):
        find("devkit:0")
    with pytest.raises(UsageError, match="whole numbers"):
        find("devkit:n01440764")


@pytest.mark.parametrize("query", ["9" * 20, "9" * 5_000, "devkit:" + "9" * 20, "index:" + "9" * 5_000])
def test_numbers_of_any_length_are_refused(query: str) -> None:
    with pytest.raises(UsageError):
        find(query)
