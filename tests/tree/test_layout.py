"""Layout templates: what they give, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ilsvrc import facts
from ilsvrc.errors import LayoutError
from ilsvrc.tree.layout import TEMPLATES, Layout, refuse_collisions

NAME = "n02012849_7.JPEG"


@pytest.mark.parametrize(
    ("layout", "path"),
    [
        ("wnid", "train/n02012849/n02012849_7.JPEG"),
        ("index", "train/134/n02012849_7.JPEG"),
        ("padded", "train/0134/n02012849_7.JPEG"),
        ("flat", "train/n02012849_7.JPEG"),
        ("{split}/{devkit_id}/{name}", "train/429/n02012849_7.JPEG"),
        ("{split}/{word}/{name}", "train/crane_(wading_bird)/n02012849_7.JPEG"),
        ("{split}/{wnid}_{word}/x_{name}", "train/n02012849_crane_(wading_bird)/x_n02012849_7.JPEG"),
    ],
)
def test_paths(layout: str, path: str) -> None:
    assert Layout.parse(layout).path("train", 134, NAME) == path


def test_image_without_label_goes_below_its_split() -> None:
    assert Layout.parse("wnid").path("test", -1, "a.JPEG") == "test/a.JPEG"


def test_layouts_know_their_names() -> None:
    assert [Layout.parse(name).name for name in TEMPLATES] == list(TEMPLATES)
    assert Layout.parse("{split}/a/{name}").name == "{split}/a/{name}"


@pytest.mark.parametrize(
    "template",
    [
        "nonsense",
        "{wnid}/{name}",
        "{split}/{nope}/{name}",
        "{split}/{name.__class__}",
        "{split}/{name[0]}",
        "{split}/{wnid}",
        "{split}/../{name}",
        "{split}/./{name}",
        "{split}//{name}",
        "{split}/.hidden/{name}",
        "{split}/{name}/",
        "/{split}/{name}",
        "{split}/{name",
        "{split}/{index:zz}/{name}",
        "{split}/{}/{name}",
        "",
    ],
)
def test_unusable_templates_are_refused_with_a_hint(template: str) -> None:
    with pytest.raises(LayoutError) as caught:
        Layout.parse(template)
    assert "{name}" in caught.value.hint


@given(st.sampled_from([*TEMPLATES, "{split}/{word}/{name}", "{split}/{devkit_id}/{name}"]), st.data())
def test_every_layout_keeps_images_apart_and_below_the_split(layout: str, data: st.DataObject) -> None:
    labels = data.draw(st.lists(st.integers(0, 999), min_size=1, max_size=20))
    images = {(label, f"{facts.classes()[label].wnid}_{i}.JPEG") for i, label in enumerate(labels)}
    paths = {Layout.parse(layout).path("train", *image) for image in images}
    assert len(paths) == len(images)
    assert all(path.startswith("train/") and ".." not in path.split("/") for path in paths)


def test_words_are_different_folders_for_all_classes_on_any_file_system() -> None:
    layout = Layout.parse("{split}/{word}/{name}")
    paths = [layout.path("train", i, "a") for i in range(1000)]
    refuse_collisions(layout, paths)
    assert len({path.casefold() for path in paths}) == 1000


def test_collisions_are_refused_also_by_case() -> None:
    layout = Layout.parse("flat")
    for paths in (["train/a", "train/a"], ["train/a", "train/A"]):
        with pytest.raises(LayoutError, match="more than one"):
            refuse_collisions(layout, paths)
