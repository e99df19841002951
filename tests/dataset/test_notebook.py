"""What notebooks show, read back by the standard library's HTML parser and by Pillow."""

from __future__ import annotations

import base64
import io
import shutil
import tarfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from ilsvrc import ImageNet, facts, prepare
from ilsvrc.dataset.notebook import Thumbnail, strip
from ilsvrc.testing import Fault, MiniSpec, write_mini

DATA = "data:image/jpeg;base64,"


class Page(HTMLParser):
    """Elements and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def images(self) -> Iterator[Image.Image]:
        """Yield the images that are in the page."""
        for tag, attributes in self.elements:
            if tag == "img":
                source = attributes["src"] or ""
                assert source.startswith(DATA)
                yield Image.open(io.BytesIO(base64.b64decode(source.removeprefix(DATA), validate=True)))


def page_of(dataset: ImageNet) -> Page:
    text = dataset._repr_html_()
    assert len(text) < 100_000
    page = Page(text)
    assert not page.open
    return page


def test_a_strip_of_twelve_from_first_to_last(mini: Path) -> None:
    dataset = ImageNet(mini)
    page = page_of(dataset)
    assert page.text[0] == repr(dataset)
    images = list(page.images())
    assert len(images) == 12
    assert all(image.format == "JPEG" and max(image.size) <= 96 for image in images)
    titles = [attributes["title"] for tag, attributes in page.elements if tag == "figure"]
    assert titles[0] == dataset.path(0)
    assert titles[-1] == dataset.path(-1)
    assert len(set(titles)) == 12
    assert page.text[1] == facts.classes()[0].name
    assert {tag for tag, _ in page.elements} == {"div", "pre", "figure", "figcaption", "img"}


@pytest.mark.parametrize("count", [0, 1, 5])
def test_small_data_sets_show_all(mini: Path, count: int) -> None:
    dataset = ImageNet(mini)
    dataset.samples = dataset.samples[:count]
    assert len(list(page_of(dataset).images())) == count


def test_a_damaged_image_is_a_box_with_the_reason(tmp_path: Path) -> None:
    spec = MiniSpec(4, 3, 1, mean_bytes=4000, faults=frozenset({Fault.TRUNCATED_IMAGE}))
    write_mini(tmp_path, spec)
    page = page_of(ImageNet(tmp_path))
    assert len(list(page.images())) == 11
    assert any("truncated" in text for text in page.text[1:])


def test_an_image_that_is_gone_is_a_box_with_the_reason(mini: Path, tmp_path: Path) -> None:
    prepare(mini, tmp_path, jobs=1)
    dataset = ImageNet(tmp_path, "val")
    Path(dataset.path(0)).unlink()
    page = page_of(dataset)
    assert len(list(page.images())) == 11
    assert any("missing-image" in text for text in page.text)


def test_paths_and_reasons_are_escaped(mini: Path, tmp_path: Path) -> None:
    folder = tmp_path / "<b>\"'&amp;<script>x<"
    shutil.copytree(mini, folder)
    dataset = ImageNet(folder)
    page = page_of(dataset)
    assert page.text[0] == repr(dataset)
    assert next(attributes["title"] for tag, attributes in page.elements if tag == "figure") == dataset.path(0)
    assert {tag for tag, _ in page.elements} == {"div", "pre", "figure", "figcaption", "img"}

    def fail() -> bytes:
        raise OSError("<script>")

    assert Page(strip("", [Thumbnail("<i>", "<u>", fail)])).text == ["<script>", "<i>"]


def test_test_images_have_no_class(mini: Path, tmp_path: Path) -> None:
    data = ImageNet(mini).bytes(0)
    with tarfile.open(tmp_path / "ILSVRC2012_img_test_v10102019.tar", "w") as archive:
        member = tarfile.TarInfo("test/ILSVRC2012_test_00000001.JPEG")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    assert page_of(ImageNet(tmp_path, "test")).text[1:] == ["-1"]
