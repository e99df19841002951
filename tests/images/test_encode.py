"""Encodings by their names, and files as Pillow writes them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from ilsvrc.errors import UsageError
from ilsvrc.images.encode import Encoding

IMAGE = Image.fromarray(np.random.default_rng(1).integers(0, 255, (6, 8, 3), np.uint8)).resize((80, 60))


@pytest.mark.parametrize(
    ("text", "kind", "quality"),
    [
        ("jpeg", "jpeg", 90),
        ("JPEG:75", "jpeg", 75),
        ("webp:1", "webp", 1),
        ("png", "png", None),
        ("keep", "keep", None),
    ],
)
def test_an_encoding_has_a_name(text: str, kind: str, quality: int | None) -> None:
    found = Encoding.parse(text)
    assert found == Encoding(kind, quality)
    assert Encoding.parse(str(found)) == found


@pytest.mark.parametrize("text", ["", "jpg", "jpeg:0", "jpeg:101", "jpeg:x", "png:3", "keep:90", "webp:", "avif"])
def test_another_name_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="there is no encoding") as caught:
        Encoding.parse(text)
    assert "jpeg:90" in caught.value.hint


@pytest.mark.parametrize(("text", "form", "ending"), [("jpeg:70", "JPEG", "jpg"), ("webp:70", "WEBP", "webp")])
def test_lossy_files_are_those_of_pillow(text: str, form: str, ending: str) -> None:
    wanted = io.BytesIO()
    IMAGE.save(wanted, form, quality=70)
    encoding = Encoding.parse(text)
    assert encoding.encode(IMAGE, b"") == wanted.getvalue()
    assert encoding.ending("PNG") == ending


def test_png_keeps_every_pixel() -> None:
    with Image.open(io.BytesIO(Encoding("png").encode(IMAGE, b""))) as found:
        assert np.array_equal(np.asarray(found), np.asarray(IMAGE))


@pytest.mark.parametrize(("form", "ending"), [("JPEG", "jpg"), ("WEBP", "webp"), ("PNG", "png"), ("BMP", "png")])
def test_keep_has_the_format_of_the_source(form: str, ending: str) -> None:
    source = io.BytesIO()
    IMAGE.save(source, form)
    encoding = Encoding("keep")
    with Image.open(io.BytesIO(encoding.encode(IMAGE, source.getvalue()))) as found:
        assert found.format == {"BMP": "PNG"}.get(form, form)
    assert encoding.ending(form) == ending


def test_versions_are_those_of_the_codecs_that_are_used() -> None:
    assert set(Encoding("jpeg", 90).versions) == {"libjpeg_turbo"}
    assert set(Encoding("keep").versions) >= {"libjpeg_turbo", "webp", "zlib"}
