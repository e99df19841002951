"""Class lists against independent copies of them: timm's, and the words of imagenette's own page."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from ilsvrc import facts
from ilsvrc.errors import UsageError

TOOL = Path(__file__).parents[2] / "tools/derive_class_lists.py"

IMAGENETTE = {
    "tench", "English springer", "cassette player", "chain saw", "church", "French horn", "garbage truck", "gas pump",
    "golf ball", "parachute",
}  # fmt: skip
"""As the README of fastai/imagenette names them; the packaged list was read from a table of wnids."""

IMAGEWOOF = {
    "australian terrier", "border terrier", "samoyed", "beagle", "shih-tzu", "english foxhound",
    "rhodesian ridgeback", "dingo", "golden retriever", "old english sheepdog",
}  # fmt: skip


def test_lists_have_their_published_sizes_and_only_classes_of_ilsvrc_2012() -> None:
    sizes = {listed.name: len(listed.wnids) for listed in facts.class_lists()}
    assert sizes == {
        "imagenette": 10, "imagewoof": 10, "imagenet-100": 100, "imagenet-a": 200, "imagenet-r": 200,
        "tinyimagenet": 200,
    }  # fmt: skip
    for listed in facts.class_lists():
        assert list(listed.wnids) == sorted(set(listed.wnids))
        assert set(listed.wnids) <= set(facts.classes().wnids)
        assert [s.wnid for s in listed.synsets] == list(listed.wnids)
        assert listed.labels == {facts.classes().wnids.index(wnid) for wnid in listed.wnids}


def test_every_list_says_where_it_comes_from() -> None:
    for listed in facts.class_lists():
        assert listed.repository.count("/") == 1
        assert listed.path
        assert len(listed.commit) == 40
        assert listed.title


@pytest.mark.parametrize("name", ["imagenet-a", "imagenet-r"])
def test_lists_are_those_that_timm_packages(name: str) -> None:
    spec = importlib.util.find_spec("timm")  # found, not imported
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("timm is not installed")
    info = Path(spec.submodule_search_locations[0]) / "data/_info"
    stem = name.replace("-", "_")
    listed = facts.class_list(name)
    assert set((info / f"{stem}_synsets.txt").read_text().split()) == set(listed.wnids)
    assert set(map(int, (info / f"{stem}_indices.txt").read_text().split())) == listed.labels


def test_imagenette_and_imagewoof_are_the_classes_that_their_page_names() -> None:
    assert {s.name for s in facts.class_list("imagenette").synsets} == IMAGENETTE
    assert {s.name.casefold() for s in facts.class_list("imagewoof").synsets} == IMAGEWOOF


def test_an_unknown_name_gets_the_near_ones() -> None:
    with pytest.raises(UsageError, match="no class list is called 'ImageNete'") as caught:
        facts.class_list("ImageNete")
    assert "imagenette" in caught.value.hint
    with pytest.raises(UsageError) as caught:
        facts.class_list("zzz")
    assert "tinyimagenet" in caught.value.hint


def test_the_detection_task_has_200_classes_of_which_150_are_classes_of_classification() -> None:
    wnids = facts.detection_wnids()
    assert len(wnids) == 200
    assert len(wnids & set(facts.classes().wnids)) == 150
    assert {"n00007846", "n02084071"} <= wnids, "person and dog stand above classes of classification"


def derive() -> ModuleType:
    spec = importlib.util.spec_from_file_location("derive_class_lists", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tool_reads_each_form_and_runs_none() -> None:
    tool, known = derive(), list(facts.classes().wnids)
    table = "path,noisy_labels_0\ntrain/n02979186/n02979186_9036.JPEG,n02979186\nval/n01440764/a.JPEG,n03000684\n"
    assert tool.READERS["imagenette"](table, known) == ["n02979186", "n01440764"]
    assert tool.READERS["imagenet-100"]("n02869837\nn01749939\n", known) == ["n02869837", "n01749939"]
    module = "raise SystemExit('run')\nthousand_k_to_200 = {0: -1, 6: 0, 11: 1}\n"
    assert tool.READERS["imagenet-a"](module, known) == [known[6], known[11]]
    module = "raise SystemExit('run')\nimagenet_r_wnids = {'n01484850', 'n01443537'}\n"
    assert tool.READERS["imagenet-r"](module, known) == ["n01443537", "n01484850"]
    assert tool.main([]) == 2
