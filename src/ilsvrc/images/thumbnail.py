"""Make a small picture of an image's file, to look at."""

from __future__ import annotations

import io
import warnings

import simplejpeg
from PIL import Image

from ilsvrc.images.decode import UndecodableError
from ilsvrc.images.inspect import FORMATS, MOST_PIXELS
from ilsvrc.images.measure import measure


def thumbnail(data: bytes, side: int) -> bytes:
    """Return an image's file as a small JPEG in RGB, its longer side `side` pixels at most.

    JPEGs are decoded at a reduced size (libjpeg's scaled inverse DCT). A damaged one shows as far as
    it can be decoded.

    Raises
    ------
    UndecodableError
        If it is no image, or larger than MOST_PIXELS.
    """
    found = measure(data)
    if found is None or found.width * found.height > MOST_PIXELS:
        raise UndecodableError("no image" if found is None else f"{found.width} x {found.height} pixels")
    try:
        with warnings.catch_warnings(action="ignore"):
            image = _decoded(data, found.kind, side)
            image.thumbnail((side, side), Image.Resampling.BILINEAR, reducing_gap=None)
    except Exception as error:  # decoders raise whatever they meet in damaged files
        raise UndecodableError(str(error)) from error
    made = io.BytesIO()
    image.save(made, "JPEG", quality=70)
    return made.getvalue()


def _decoded(data: bytes, kind: str, side: int) -> Image.Image:
    if kind in ("JPEG", "grey JPEG"):
        pixels = simplejpeg.decode_jpeg(
            data, "RGB", fastdct=True, fastupsample=True, min_height=side, min_width=side, strict=False
        )
        return Image.fromarray(pixels)
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    image.draft("CMYK", (side, side))
    return image.convert("RGB")
