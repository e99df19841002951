"""Pixels are those of Pillow, whichever loader makes them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from ilsvrc.errors import UsageError
from ilsvrc.images.decode import LOADERS, UndecodableError, loader_of


def encoded(mode: str, form: str, **options: int) -> bytes:
    pixels = np.random.default_rng(3).integers(0, 255, (3, 4), np.uint8).repeat(16, 0).repeat(16, 1)
    bands = [Image.fromarray(np.roll(pixels, 5 * i)) for i in range(len(Image.new(mode, (1, 1)).getbands()))]
    file = io.BytesIO()
    Image.merge(mode, bands).save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(
    ("mode", "form"),
    [("RGB", "JPEG"), ("L", "JPEG"), ("CMYK", "JPEG"), ("RGB", "PNG"), ("RGBA", "PNG"), ("L", "PNG")],
)
def test_every_kind_of_file_comes_out_as_pillows_rgb(loader: str, mode: str, form: str) -> None:
    data = encoded(mode, form)
    found = np.asarray(LOADERS[loader](data))
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(image.convert("RGB"))
    assert found.shape == (48, 64, 3)
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("data", [b"", b"no image", encoded("RGB", "JPEG")[:400], encoded("RGB", "PNG")[:60]])
def test_what_is_no_whole_image_is_refused(loader: str, data: bytes) -> None:
    with pytest.raises(UndecodableError):
        LOADERS[loader](data)


def test_loaders_have_names() -> None:
    assert loader_of(None) is LOADERS["pillow"]
    assert loader_of("simplejpeg") is LOADERS["simplejpeg"]
    assert loader_of(len) is len
    with pytest.raises(UsageError, match="opencv"):
        loader_of("opencv")
