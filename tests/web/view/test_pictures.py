from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from ilsvrc.web.view.collection import open_collection
from ilsvrc.web.view.pictures import NO_PICTURE, Thumbnails, shown


def saved(kind: str, mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.new(mode, (40, 30), 7).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (saved("JPEG"), "image/jpeg"), (saved("JPEG", "L"), "image/jpeg"), (saved("JPEG", "CMYK"), "image/jpeg"),
        (saved("PNG"), "image/png"), (saved("WEBP"), "image/webp"),
    ],
)  # fmt: skip
def test_formats_that_browsers_know_are_sent_as_they_are(data: bytes, media_type: str) -> None:
    picture = shown(data)
    assert (picture.data, picture.media_type) == (data, media_type)


@pytest.mark.parametrize("kind", ["PPM", "BMP", "TIFF"])
def test_other_formats_are_sent_as_png(kind: str) -> None:
    picture = shown(saved(kind))
    with Image.open(io.BytesIO(picture.data)) as image:
        assert (image.format, image.size, image.getpixel((0, 0))) == ("PNG", (40, 30), (7, 0, 0))
    assert picture.media_type == "image/png"


@pytest.mark.parametrize("data", [b"", b"text", b"<svg onload='alert(1)'/>", b"\xff\xd8\xff", saved("BMP")[:60]])
def test_what_is_no_image_is_drawn_as_none(data: bytes) -> None:
    assert shown(data) == NO_PICTURE


def test_thumbnails_are_kept_up_to_so_many_bytes(mini: Path) -> None:
    split = open_collection(mini).splits["train"]
    single = len(Thumbnails().get(split, 0).data)
    kept = Thumbnails(most=single * 3)
    for row in range(len(split)):
        assert kept.get(split, row).media_type == "image/jpeg"
    held = sum(len(data) for data in kept._kept.values())
    assert held <= single * 3
    assert list(kept._kept)[-1] == ("train", len(split) - 1)
    first = next(iter(kept._kept))
    kept.get(split, first[1])
    assert list(kept._kept)[-1] == first
    assert split.measures.known.all()
