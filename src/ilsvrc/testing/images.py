"""Generate pictures with the dimensions, formats and file sizes of ImageNet's, thousands per second."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

from ilsvrc.testing.chance import chance

Pixels = npt.NDArray[np.uint8]

REAL_MEAN_BYTES = 110_000
"""Mean bytes of an image at ImageNet's pixel sizes; a smaller mean shrinks the pictures, not their quality."""

TILE = 1024
"""Side of the texture that all pictures are cut from, in pixels; it repeats without a seam."""

_SHAPES = {
    (500, 375): 42,
    (500, 333): 14,
    (375, 500): 12,
    (333, 500): 5,
    (400, 300): 4,
    (300, 225): 4,
    (500, 400): 3,
    (500, 500): 3,
    (640, 480): 3,
    (200, 150): 3,
    (160, 120): 2,
    (1600, 1200): 2,
    (800, 600): 1.5,
    (1024, 768): 1.5,
}
"""Width and height in pixels, and their share in percent: most of ImageNet's are 500 on the longer side."""

_OCTAVES = ((4, 22.0), (16, 14.0), (64, 9.0), (256, 11.0), (1024, 15.0))
"""Cells on a side of the texture, and their contrast: coarse shapes down to grain, as photographs have."""

_HEADER_BYTES = 623
_GREY, _PROGRESSIVE = 0.02, 0.01


@dataclass(frozen=True, slots=True)
class _Shot:
    """The random choices for one picture, all made before it is encoded.

    size : width and height in pixels
    corner : left and top in the texture, in pixels
    tint : added to red, green and blue
    quality : of the JPEG
    kind : from 0 to 1; the lowest are grey, the next progressive, the rest plain
    """

    size: tuple[int, int]
    corner: tuple[int, int]
    tint: tuple[int, int, int]
    quality: int
    kind: float


class Camera:
    """Takes pictures: the same bytes for the same seed, name and label, in any order and from any thread.

    Every class has a tint of its own, so that a network can learn to tell the classes of a miniature apart.
    """

    def __init__(self, seed: int, mean_bytes: int = REAL_MEAN_BYTES) -> None:
        self._seed = seed
        self._scale = ((mean_bytes - _HEADER_BYTES) / (REAL_MEAN_BYTES - _HEADER_BYTES)) ** 0.5
        longest = max(max(shape) for shape in _SHAPES) * self._scale
        repeats = 1 + -(-int(longest) // TILE)
        self._rows = np.tile(_texture(seed).reshape(TILE, 3 * TILE), (repeats, repeats))

    def jpeg(self, name: str, label: int) -> bytes:
        """Return a JPEG file: two in a hundred are grey and one is progressive, about as in the real set."""
        shot = self._shot(name, label)
        pixels = self._expose(shot)
        if shot.kind < _GREY:
            return bytes(simplejpeg.encode_jpeg(_grey(pixels), shot.quality, "GRAY", "Gray"))
        if shot.kind < _GREY + _PROGRESSIVE:
            return _saved(Image.fromarray(pixels), "JPEG", quality=shot.quality, progressive=True)
        return bytes(simplejpeg.encode_jpeg(pixels, shot.quality, "RGB", "420"))

    def png(self, name: str, label: int) -> bytes:
        """Return the picture as a PNG file."""
        return _saved(Image.fromarray(self._expose(self._shot(name, label))), "PNG", compress_level=1)

    def cmyk(self, name: str, label: int) -> bytes:
        """Return the picture as a JPEG file of four inks."""
        shot = self._shot(name, label)
        return _saved(Image.fromarray(self._expose(shot)).convert("CMYK"), "JPEG", quality=shot.quality)

    def size(self, name: str, label: int) -> tuple[int, int]:
        """Return the width and height of a picture in pixels, without taking it."""
        return self._shot(name, label).size

    def _shot(self, name: str, label: int) -> _Shot:
        drawn = chance(self._seed, name)
        [(width, height)] = drawn.choices(list(_SHAPES), list(_SHAPES.values()))
        base = (label % 10, label // 10 % 10, label // 100)
        return _Shot(
            size=(max(8, round(width * self._scale)), max(8, round(height * self._scale))),
            corner=(drawn.randrange(TILE), drawn.randrange(TILE)),
            tint=tuple(12 * step - 54 + drawn.randint(-6, 6) for step in base),  # type: ignore[arg-type]
            quality=drawn.randint(84, 95),
            kind=drawn.random(),
        )

    def _expose(self, shot: _Shot) -> Pixels:
        """Return the pixels of a shot: shape (height, width, 3), uint8."""
        (left, top), (width, height) = shot.corner, shot.size
        crop = self._rows[top : top + height, 3 * left : 3 * (left + width)]
        # the texture keeps 64 away from black and white, so that no tint wraps around; a whole row of tints adds fast
        tints = np.tile(np.array(shot.tint, np.int8).astype(np.uint8), width)
        exposed: Pixels = (crop + tints).reshape(height, width, 3)
        return exposed


@lru_cache(maxsize=2)
def _texture(seed: int) -> Pixels:
    """Return noise with as much detail at every scale as a photograph: shape (TILE, TILE, 3), uint8 in 64..191.

    Kept, 3 MB each, since tests write many miniatures of one seed; read it, don't change it.
    """
    generator = np.random.default_rng(seed)
    light = sum(contrast * _octave(generator, cells) for cells, contrast in _OCTAVES)
    colour = [light + 12 * _octave(generator, 32) for _ in range(3)]
    pixels: Pixels = np.clip(128 + np.stack(colour, axis=-1), 64, 191).astype(np.uint8)
    return pixels


def _octave(generator: np.random.Generator, cells: int) -> npt.NDArray[np.float32]:
    """Return smooth noise of so many cells on a side that repeats without a seam: shape (TILE, TILE), float32."""
    margin = 2
    noise = np.pad(generator.standard_normal((cells, cells), np.float32), margin, mode="wrap")
    cell = TILE // cells
    side = TILE + 2 * margin * cell
    smooth = np.asarray(Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC))
    return smooth[margin * cell :, margin * cell :][:TILE, :TILE]


def _grey(pixels: Pixels) -> Pixels:
    """Return the green channel alone: shape (height, width, 1)."""
    return np.ascontiguousarray(pixels[..., 1:2])


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
