"""Thumbnails, decoded again by Pillow."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from ilsvrc.images import thumbnail as module
from ilsvrc.images.decode import UndecodableError
from ilsvrc.images.thumbnail import thumbnail


def picture(kind: str, mode: str = "RGB", size: tuple[int, int] = (400, 300)) -> bytes:
    """Red on the left, blue on the right."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[:, : size[0] // 2, 0] = pixels[:, size[0] // 2 :, 2] = 255
    made = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(made, kind)
    return made.getvalue()


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("JPEG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "RGB"), ("PNG", "RGBA"), ("WEBP", "RGB")],
)
def test_thumbnail_is_a_small_jpeg_of_the_picture(kind: str, mode: str) -> None:
    small = Image.open(io.BytesIO(thumbnail(picture(kind, mode), 96)))
    assert (small.format, small.mode, small.size) == ("JPEG", "RGB", (96, 72))
    left, right = (np.array(small.getpixel(place), int) for place in ((10, 36), (86, 36)))
    if mode != "L":
        assert left.argmax() == 0
        assert right.argmax() == 2


def test_small_image_keeps_its_size() -> None:
    assert Image.open(io.BytesIO(thumbnail(picture("JPEG", size=(30, 20)), 96))).size == (30, 20)


def test_image_that_is_cut_short_shows_what_is_there() -> None:
    data = picture("JPEG")
    assert Image.open(io.BytesIO(thumbnail(data[: len(data) * 6 // 10], 96))).size == (96, 72)


@pytest.mark.parametrize("data", [b"", b"\0" * 1000, b"<html></html>"])
def test_what_is_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(UndecodableError, match="no image"):
        thumbnail(data, 96)


def test_image_of_very_many_pixels_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PIXELS", 100_000)
    with pytest.raises(UndecodableError, match="400 x 300 pixels"):
        thumbnail(picture("PNG"), 96)
