"""What a camera or a program wrote into an image's file: EXIF."""

from __future__ import annotations

import io
import warnings

from PIL import ExifTags, Image

from ilsvrc.images.inspect import FORMATS

LONGEST = 200
"""Characters of a value that are kept."""


def exif_of(data: bytes) -> dict[str, str]:
    """Return the EXIF fields of an image's file as text, by name (CIPA DC-008); none if there are none to read.

    Fields of bytes are told by their number only; a value is cut after LONGEST characters.
    """
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=FORMATS) as image:
            found = image.getexif()
            fields = {**found, **found.get_ifd(ExifTags.IFD.Exif)}
    except Exception:  # Pillow's readers raise whatever they meet in damaged headers
        return {}
    pointers = {int(one) for one in ExifTags.IFD}
    return {
        ExifTags.TAGS.get(tag, f"tag {tag}"): _text(value) for tag, value in fields.items() if tag not in pointers
    }


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    text = str(value).strip("\0 ")
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} and {len(text) - LONGEST:,} more characters"
