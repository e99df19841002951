"""Decode the bytes of an image's file to pixels."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

from ilsvrc.errors import UsageError
from ilsvrc.images.inspect import FORMATS, components

CMYK = 4
"""Colour components of a CMYK JPEG."""

Loader = Callable[[bytes], Any]
"""Turns the bytes of an image's file into what a transform takes."""


class UndecodableError(ValueError):
    """Bytes that are no image; the caller adds their place."""


def pillow(data: bytes) -> Image.Image:
    """Return an RGB Pillow image, pixel for pixel equal to that of torchvision's loader; CMYK and PNG too.

    Raises
    ------
    UndecodableError
        If it is no image, or not whole.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        image.load()
        return image if image.mode == "RGB" else image.convert("RGB")
    except (OSError, ValueError, SyntaxError) as error:
        raise UndecodableError(str(error)) from error


def simplejpeg_array(data: bytes) -> npt.NDArray[np.uint8]:
    """Return RGB pixels, shape (height, width, 3), uint8: by libjpeg-turbo alone; CMYK and other formats by Pillow.

    Raises
    ------
    UndecodableError
        If it is no image, or not whole.
    """
    if components(data) == CMYK:
        return np.array(pillow(data))
    try:
        pixels: npt.NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "RGB")
    except ValueError:
        return np.array(pillow(data))
    return pixels


LOADERS: dict[str, Loader] = {"pillow": pillow, "simplejpeg": simplejpeg_array}
"""The loaders that have a name."""


def loader_of(loader: str | Loader | None) -> Loader:
    """Return the loader of a name, or the function that was given, or Pillow's by default.

    Raises
    ------
    UsageError
        If no loader has this name.
    """
    if loader is None:
        return pillow
    if callable(loader):
        return loader
    if loader not in LOADERS:
        hint = f"use one of {', '.join(LOADERS)}, or a function of the bytes"
        raise UsageError(f"there is no loader {loader!r}", hint=hint)
    return LOADERS[loader]
