"""Keep images as pixels, which need no decoding: a binary PPM each, which Pillow and most other programs open.

A PPM is a line of text and RGB bytes, row by row (https://netpbm.sourceforge.net/doc/ppm.html). Which images are kept
so is said in the words of FFCV's `RGBImageField` (fields/rgb_image.py of https://github.com/libffcv/ffcv): its
`write_mode`, `smart_threshold` and `compress_probability`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import xxhash
from PIL import Image

from ilsvrc.images.transform import Remaking

PPM = "ppm"
"""Ending of a file of pixels."""

_HEADER = re.compile(rb"P6\n(\d{1,9}) (\d{1,9})\n255\n")
_ALL = 1 << 64


class Header(NamedTuple):
    """The header of a PPM: sides in pixels, and the bytes before the pixels."""

    width: int
    height: int
    size: int


def ppm(image: Image.Image) -> bytes:
    """Return the file of an RGB image's pixels."""
    return b"P6\n%d %d\n255\n" % image.size + image.tobytes()


def ppm_header(data: bytes) -> Header | None:
    """Return the header of a file that `ppm` made; None for all others."""
    found = _HEADER.match(data)
    if found is None:
        return None
    header = Header(int(found[1]), int(found[2]), found.end())
    return header if len(data) == header.size + 3 * header.width * header.height else None


class Mode(StrEnum):
    """Which images are kept as pixels."""

    JPG = "jpg"
    """None."""
    RAW = "raw"
    """All."""
    SMART = "smart"
    """Those with few bytes of pixels."""
    PROPORTION = "proportion"
    """Some, drawn at random."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which images are kept as pixels; the others are files of images.

    mode : how it is chosen
    threshold : most bytes of pixels, with `smart`: FFCV's `smart_threshold`
    compressed : share of the images that are not kept as pixels, with `proportion`: FFCV's `compress_probability`
    """

    mode: Mode
    threshold: int = 0
    compressed: float = 0.0

    @property
    def settings(self) -> dict[str, object]:
        """The choice in plain values."""
        values: dict[Mode, dict[str, object]] = {
            Mode.SMART: {"threshold": self.threshold},
            Mode.PROPORTION: {"compressed": self.compressed},
        }
        return {"mode": str(self.mode), **values.get(self.mode, {})}

    def takes(self, size: tuple[int, int], data: bytes) -> bool:
        """Whether an image is kept as pixels.

        Parameters
        ----------
        size
            Width and height in pixels, as it will have them.
        data
            Its file in the source: `proportion` draws by a hash of it, so that every run draws the same.
        """
        if self.mode is Mode.SMART:
            return 3 * size[0] * size[1] <= self.threshold
        if self.mode is Mode.PROPORTION:
            return xxhash.xxh3_64_intdigest(data) >= self.compressed * _ALL
        return self.mode is Mode.RAW


@dataclass(frozen=True, slots=True)
class Unpacking:
    """Makes files of pixels of those images that a choice takes. Pure, as Remaking.

    choice : which images
    remaking : what becomes of their pixels before, and of the other images
    """

    choice: Choice
    remaking: Remaking

    @property
    def settings(self) -> dict[str, object]:
        """What it does, in plain values."""
        return {"pixels": self.choice.settings, **self.remaking.settings}

    @property
    def ending(self) -> str:
        """What the images become, ppm: of some modes, JPEGs are among them."""
        return PPM

    @property
    def turns(self) -> bool:
        """Whether pixels are turned as the EXIF orientation says."""
        return self.remaking.turns

    def __call__(self, data: bytes) -> tuple[bytes, str]:
        """Return the new file and its ending; the bytes given, if nothing is to be done.

        Raises
        ------
        UndecodableError
            If the bytes are no image, or not whole.
        UnencodableError
            If the format can't hold the result.
        """
        if not self.choice.takes(self.remaking.size_of(data), data):
            return self.remaking(data)
        return ppm(self.remaking.image(data)), PPM
