"""Images as browsers show them: thumbnails, kept in memory, and files as they are."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from dataclasses import dataclass

from ilsvrc.images.decode import UndecodableError, pillow
from ilsvrc.images.inspect import MOST_PIXELS
from ilsvrc.images.measure import measure
from ilsvrc.images.thumbnail import thumbnail
from ilsvrc.web.collection import Split

SIDE = 224
"""Pixels of a thumbnail's longer side; pages show it at half of that, sharp on dense screens too."""

KEPT = 48 << 20
"""Bytes of thumbnails that are kept."""

JPEG = "image/jpeg"
_TYPES = {"JPEG": JPEG, "grey JPEG": JPEG, "CMYK JPEG": JPEG, "PNG": "image/png", "WebP": "image/webp"}
"""Formats that every browser shows, by our names for them."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Bytes for a browser.

    data : the bytes
    media_type : what they are
    """

    data: bytes
    media_type: str


class Thumbnails:
    """Thumbnails by split and row; those that were not asked for longest are given up. Safe from many threads."""

    def __init__(self, most: int = KEPT) -> None:
        self._most, self._bytes = most, 0
        self._kept = OrderedDict[tuple[str, int], bytes]()
        self._lock = threading.Lock()

    def get(self, split: Split, row: int) -> Picture:
        """Return the thumbnail of an image; a drawing that says so where none can be made.

        Raises
        ------
        DataError
            If the image can't be read.
        """
        key = split.name, row
        with self._lock:
            data = self._kept.get(key)
            if data is not None:
                self._kept.move_to_end(key)
                return Picture(data, JPEG)
        whole = split.reader.read(row)
        split.measures.keep(row, whole)
        try:
            made = thumbnail(whole, SIDE)
        except UndecodableError:
            return NO_PICTURE
        with self._lock:
            if key not in self._kept:
                self._kept[key] = made
                self._bytes += len(made)
            while self._bytes > self._most:
                self._bytes -= len(self._kept.popitem(last=False)[1])
        return Picture(made, JPEG)


def shown(data: bytes) -> Picture:
    """Return an image's file as browsers show it: as it is, or where they don't know its format, as a PNG."""
    found = measure(data)
    if found is None or found.width * found.height > MOST_PIXELS:
        return NO_PICTURE
    if found.kind in _TYPES:
        return Picture(data, _TYPES[found.kind])
    try:
        made = io.BytesIO()
        pillow(data).save(made, "PNG")
    except UndecodableError:
        return NO_PICTURE
    return Picture(made.getvalue(), "image/png")


NO_PICTURE = Picture(
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 128 128" width="256" height="256">'
    b'<rect width="128" height="128" fill="#8a8f98"/>'
    b'<path d="M48 48l32 32m0-32l-32 32" stroke="#fff" stroke-width="5"/>'
    b'<text x="64" y="108" text-anchor="middle" font-family="sans-serif" font-size="12" fill="#fff">no picture</text>'
    b"</svg>",
    "image/svg+xml",
)
"""Stands for an image that can't be decoded."""
