"""Make an image's file anew: resize or crop its pixels, turn them upright, encode them.

The reference is Pillow: its antialiased filters, its encoders. JPEGs are decoded by libjpeg-turbo directly, whose
pixels are equal to Pillow's, since Pillow decodes by it too.

Decoding at a reduced size (libjpeg's scaled inverse DCT, Pillow's `draft`) is not offered: from 500 x 375 pixels to a
shorter side of 256, pixels differed from those of the full decode by 3.3 of 255 on average and 34 at most.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from enum import StrEnum

import PIL
import simplejpeg
from PIL import Image

from ilsvrc.images.decode import UndecodableError, pillow, simplejpeg_array
from ilsvrc.images.encode import JPEG, KEEP, Encoding, UnencodableError, kind_of
from ilsvrc.images.inspect import FORMATS, examine
from ilsvrc.issues import Code

FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
}
"""Pillow's filters, which all average over the pixels that they replace."""

_ORIENTATION = 0x0112
"""The EXIF tag (Exif 2.32, 4.6.4 A)."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns an image upright, for each value of the tag but 1."""

_SIDEWAYS = 5
"""From this value on, width and height change places."""


class Fit(StrEnum):
    """How an image fits a size."""

    SHORTER = "shorter"
    """Its shorter side has the size: torchvision's `Resize(N)`."""
    LONGER = "longer"
    """Its longer side has the size at most: FFCV's `max_resolution`."""
    EXACT = "exact"
    """It has this width and height, whatever its shape was."""
    CROP = "crop"
    """The middle of it, a square: `center_crop_arr` of ADM (openai/guided-diffusion, image_datasets.py), which EDM's
    dataset_tool.py calls center-crop-dhariwal: halved by averaging while the shorter side is twice the size or more,
    then resized so that it has the size, then cropped."""


@dataclass(frozen=True, slots=True)
class Size:
    """The pixels that an image is to have.

    fit : how it fits
    width, height : pixels; equal but for `exact`
    filter : one of FILTERS; the halving of `crop` averages with any
    enlarge : whether images that are smaller are enlarged; `exact` and `crop` enlarge always
    """

    fit: Fit
    width: int
    height: int
    filter: str = "bicubic"
    enlarge: bool = False

    def of(self, width: int, height: int) -> tuple[int, int]:
        """Return the width and height of the result, in pixels."""
        if self.fit in (Fit.EXACT, Fit.CROP):
            return self.width, self.height
        side = min(width, height) if self.fit is Fit.SHORTER else max(width, height)
        if side == self.width or (side < self.width and not self.enlarge):
            return width, height
        if self.fit is Fit.SHORTER:  # torchvision's arithmetic, rounding errors included
            longer = int(self.width * max(width, height) / side)
            return (self.width, longer) if width <= height else (longer, self.width)
        return max(1, self.width * width // side), max(1, self.width * height // side)

    def apply(self, image: Image.Image) -> Image.Image:
        """Return the image in its new size."""
        if self.fit is Fit.CROP:
            return self._cropped(image)
        size = self.of(*image.size)
        return image if size == image.size else image.resize(size, FILTERS[self.filter])

    def _cropped(self, image: Image.Image) -> Image.Image:
        side = self.width
        while min(image.size) >= 2 * side:
            image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
        scale = side / min(image.size)
        width, height = round(image.width * scale), round(image.height * scale)
        left, top = (width - side) // 2, (height - side) // 2
        return image.resize((width, height), FILTERS[self.filter]).crop((left, top, left + side, top + side))


@dataclass(frozen=True, slots=True)
class Remaking:
    """Makes files of images anew. Pure: equal bytes give equal bytes, with the same versions of the codecs.

    encoding : the format of the result
    size : the pixels of the result; None for those of the source
    orient : whether pixels are turned as the EXIF orientation says; else it is ignored
    all : whether an image is encoded again that has size, format and colours already
    """

    encoding: Encoding
    size: Size | None = None
    orient: bool = False
    all: bool = False

    @property
    def settings(self) -> dict[str, object]:
        """What it does, in plain values, and the versions of the libraries that the bytes depend on."""
        size = self.size
        resized = {"fit": str(size.fit), "width": size.width, "height": size.height} if size else {}
        resized |= {"filter": size.filter, "enlarge": size.enlarge} if size else {}
        codecs = {"pillow": PIL.__version__, "simplejpeg": simplejpeg.__version__, **self.encoding.versions}
        return {"encode": str(self.encoding), **resized, "orient": self.orient, "all": self.all, "codecs": codecs}

    @property
    def ending(self) -> str | None:
        """What every image becomes: jpg, webp or png; None for what it was."""
        return None if self.encoding.kind == KEEP else self.encoding.ending(None)

    @property
    def turns(self) -> bool:
        """Whether pixels are turned as the EXIF orientation says."""
        return self.orient

    def __call__(self, data: bytes) -> tuple[bytes, str]:
        """Return the new file and its ending: jpg, webp or png; the bytes given, if nothing is to be done.

        The result is RGB, whatever the source is: grey, CMYK, a palette, with transparency; grey only if it is kept.

        Raises
        ------
        UndecodableError
            If the bytes are no image, or not whole.
        UnencodableError
            If the format can't hold the result.
        """
        header = _opened(data)
        turn, before = self._upright(data, header)
        ending = self.encoding.ending(header.format)
        fits = self.size is None or self.size.of(*before) == before
        if fits and turn == 1 and not self.all and self.encoding.takes(header.format, header.mode):
            _require_whole(data)
            return data, ending
        return self.encoding.encode(self._image(data, header, turn), data), ending

    def size_of(self, data: bytes) -> tuple[int, int]:
        """Return width and height of the result, in pixels; the header alone is read.

        Raises
        ------
        UndecodableError
            If the bytes are no image.
        """
        before = self._upright(data, _opened(data))[1]
        return self.size.of(*before) if self.size else before

    def image(self, data: bytes) -> Image.Image:
        """Return the pixels of the result before they are encoded, RGB.

        Raises
        ------
        UndecodableError
            If the bytes are no image, or not whole.
        """
        header = _opened(data)
        return self._image(data, header, self._upright(data, header)[0])

    def _upright(self, data: bytes, header: Image.Image) -> tuple[int, tuple[int, int]]:
        """Return the orientation to undo, 1 for none, and width and height once it is undone."""
        turn = orientation(data, header) if self.orient else 1
        return turn, (header.height, header.width) if turn >= _SIDEWAYS else header.size

    def _image(self, data: bytes, header: Image.Image, turn: int) -> Image.Image:
        image = _rgb(data) if kind_of(header.format) == JPEG else pillow(data)
        image = image.transpose(_UPRIGHT[turn]) if turn in _UPRIGHT else image
        return self.size.apply(image) if self.size else image


def orientation(data: bytes, header: Image.Image | None = None) -> int:
    """Return the EXIF orientation of an image's file, 1..8; 1, which is upright, where none can be read."""
    if b"Exif\0\0" not in data[: 1 << 16]:
        return 1
    try:
        with warnings.catch_warnings(action="ignore"):
            found = int((header or Image.open(io.BytesIO(data), formats=FORMATS)).getexif().get(_ORIENTATION, 1))
    except Exception:  # Pillow's parser of EXIF raises whatever it meets in damaged tags
        return 1
    return found if found in _UPRIGHT else 1


def _opened(data: bytes) -> Image.Image:
    """Return an image of which the header alone is read; broken EXIF is no fault."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return Image.open(io.BytesIO(data), formats=FORMATS)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UndecodableError("no image" if isinstance(error, PIL.UnidentifiedImageError) else str(error)) from error


def _rgb(data: bytes) -> Image.Image:
    return Image.fromarray(simplejpeg_array(data))


def _require_whole(data: bytes) -> None:
    """Refuse a file that can't be decoded; what libjpeg only warns of is left to Pillow, which is less strict."""
    found = examine("", data)
    if found and found.code not in (Code.CMYK, Code.PNG):
        pillow(data)


__all__ = ["FILTERS", "Fit", "Remaking", "Size", "UndecodableError", "UnencodableError", "orientation"]
