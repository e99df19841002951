"""Measure an image by its header: format, width and height; no pixel is decoded."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

from PIL import Image

from ilsvrc.images.inspect import FORMATS, frame_of

KINDS = ("JPEG", "grey JPEG", "CMYK JPEG", "PNG", "WebP", "PPM", "other")
"""The formats that are told apart."""

_BY_COMPONENTS = {1: "grey JPEG", 3: "JPEG", 4: "CMYK JPEG"}
_BY_PILLOW = {"PNG": "PNG", "WEBP": "WebP", "PPM": "PPM"}
_JPEG = b"\xff\xd8\xff"


@dataclass(frozen=True, slots=True)
class Measure:
    """What an image's header says.

    kind : one of KINDS
    width, height : pixels, as they are stored: EXIF may say that the image should be turned
    """

    kind: str
    width: int
    height: int


def measure(data: bytes) -> Measure | None:
    """Return what the header of an image's file says, or None if it is no image."""
    frame = frame_of(data) if data.startswith(_JPEG) else 0
    if frame:
        height, width = (int.from_bytes(data[at : at + 2], "big") for at in (frame + 5, frame + 7))
        return Measure(_BY_COMPONENTS.get(data[frame + 9], "other"), width, height) if width and height else None
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return Measure(_BY_PILLOW.get(str(image.format), "other"), image.width, image.height)
    except Exception:  # Pillow's readers raise whatever they meet in damaged headers
        return None
