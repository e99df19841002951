"""Inspect an image's bytes: a quick look at every image that is unpacked, a full decode where it is needed."""

from __future__ import annotations

import io
import warnings

import simplejpeg
from PIL import Image, UnidentifiedImageError

from ilsvrc import facts
from ilsvrc.issues import Code, Issue

_JPEG = b"\xff\xd8\xff"
_END = b"\xff\xd9"
_PNG = b"\x89PNG\r\n\x1a\n"
_STANDALONE = frozenset({0x01, *range(0xD0, 0xDA)})
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_CMYK_COMPONENTS = 4
_OTHERS = {"png": "PNG", "webp": "WEBP", "ppm": "PPM"}
"""Endings of names that are no JPEG's, and what Pillow calls the format."""


FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "ICO")
"""What Pillow may recognise a file as. EPS is not among them: Pillow would run the PostScript program that it is."""

MOST_PIXELS = 1 << 26
"""Pixels of the largest image that is decoded to be looked at: the largest real one has 20 million.

A JPEG of 1 KB may state 4 billion, and take 12 GB."""


def ending_of(path: str) -> str:
    """Return jpg, webp, png or ppm: the format that a file's name tells; jpg for every other name."""
    ending = path.rpartition(".")[2].lower()
    return ending if ending in _OTHERS else "jpg"


def ending_in(data: bytes, told: str) -> str:
    """Return the ending of an image among images of an ending: JPEGs are among pixels, where FFCV's mode is smart."""
    return "jpg" if told == "ppm" and data.startswith(_JPEG) else told


def glance(name: str, data: bytes, ending: str = "jpg") -> Issue | None:
    """Return the fault or oddity that an image's first and last bytes show, or None; decode it if they look wrong.

    This finds empty files, files that are no JPEG, CMYK, and images without their end, in a few microseconds. Where
    `ending` says that it should be a PNG or a WebP, it is decoded.
    """
    if ending == "jpg" and data.startswith(_JPEG) and data.endswith(_END):
        return _issue(name, Code.CMYK, "CMYK, not RGB") if components(data) == _CMYK_COMPONENTS else None
    return examine(name, data, ending)


def examine(name: str, data: bytes, ending: str = "jpg") -> Issue | None:
    """Return the fault or oddity of an image, or None, after decoding all of it.

    libjpeg-turbo decodes to grey at 1/8 size, which still reads every entropy-coded bit, and each of its warnings
    counts as an error; Pillow decodes files that are no JPEG.
    """
    if not data:
        return _issue(name, Code.ZERO_BYTES, "the file is empty")
    if ending in _OTHERS or not data.startswith(_JPEG):
        return _examine_other(name, data, ending)
    at = frame_of(data)
    height, width = (int.from_bytes(data[place : place + 2], "big") for place in (at + 5, at + 7))
    if at and width * height > MOST_PIXELS:
        return _issue(name, Code.UNDECODABLE, f"{width:,} x {height:,} pixels: not decoded")
    cmyk = components(data) == _CMYK_COMPONENTS
    try:
        simplejpeg.decode_jpeg(
            data, "CMYK" if cmyk else "GRAY", fastdct=True, fastupsample=True, min_height=1, min_width=1
        )
    except ValueError as error:
        code = Code.UNDECODABLE if data.rstrip(b"\0").endswith(_END) else Code.TRUNCATED_IMAGE
        return _issue(name, code, f"{error} ({len(data):,} bytes)")
    return _issue(name, Code.CMYK, "CMYK, not RGB") if cmyk else None


def components(data: bytes) -> int:
    """Return the number of colour components in a JPEG's frame header, 0 if it has none (ITU T.81, B.2)."""
    at = frame_of(data)
    return data[at + 9] if at else 0


def frame_of(data: bytes) -> int:
    """Return where the marker of a JPEG's frame header is, 0 if it has none (ITU T.81, B.2).

    Height and width are the two big-endian numbers of 16 bits from byte 5 after it; byte 9 is the colour components.
    """
    position, end = 2, len(data) - 9
    while position < end and data[position] == 0xFF:
        marker = data[position + 1]
        if marker in _FRAMES:
            return position
        if marker == 0xFF:
            position += 1
        elif marker in _STANDALONE:
            position += 2
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return 0


def _examine_other(name: str, data: bytes, ending: str) -> Issue | None:
    """Return the issue of a file that is no JPEG; None if it is what its ending says."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"{image.width:,} x {image.height:,} pixels, not decoded")
            image.load()
            kind = str(image.format)
    except UnidentifiedImageError:  # its text has the address of the BytesIO, another one in every run
        return _issue(name, Code.NOT_AN_IMAGE, f"{len(data):,} bytes that are no image of any known format")
    except Exception as error:
        return _issue(name, Code.NOT_AN_IMAGE, f"{len(data):,} bytes that are no image: {error}")
    if kind == _OTHERS.get(ending):
        return None
    if ending in _OTHERS:
        return _issue(name, Code.NOT_AN_IMAGE, f"a {kind}, and it should be a {_OTHERS[ending]}")
    if data.startswith(_PNG):
        return _issue(name, Code.PNG, "a PNG under the name of a JPEG")
    return _issue(name, Code.NOT_AN_IMAGE, f"a {kind} under the name of a JPEG")


def _issue(name: str, code: Code, detail: str) -> Issue:
    return Issue(name, code, detail, known=facts.anomalies().get(name.rpartition("/")[2]) is code)
