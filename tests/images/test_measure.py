"""Measures by the header, beside Pillow's."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from ilsvrc.images.measure import Measure, measure


def encoded(kind: str, mode: str = "RGB", **options: object) -> bytes:
    made = io.BytesIO()
    Image.new(mode, (37, 21), 1).save(made, kind, **options)
    return made.getvalue()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (encoded("JPEG"), "JPEG"),
        (encoded("JPEG", progressive=True), "JPEG"),
        (encoded("JPEG", "L"), "grey JPEG"),
        (encoded("JPEG", "CMYK"), "CMYK JPEG"),
        (encoded("PNG"), "PNG"),
        (encoded("WEBP"), "WebP"),
        (encoded("PPM"), "PPM"),
        (encoded("GIF", "P"), "other"),
    ],
)
def test_header_says_format_and_pixels(data: bytes, kind: str) -> None:
    assert measure(data) == Measure(kind, 37, 21)


def test_picture_in_the_exif_is_not_taken_for_the_image() -> None:
    exif = b"\xff\xe1" + (len(encoded("JPEG")) + 2).to_bytes(2, "big") + encoded("JPEG")
    large = io.BytesIO()
    Image.new("RGB", (500, 375)).save(large, "JPEG")
    assert measure(b"\xff\xd8" + exif + large.getvalue()[2:]) == Measure("JPEG", 500, 375)


@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"<html>", encoded("JPEG")[:30], encoded("PNG")[:12]])
def test_what_is_no_image_has_no_measure(data: bytes) -> None:
    assert measure(data) is None
