"""A data set as notebooks show it: its text, and a strip of thumbnails that needs no file and no network."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from PIL import Image

from ilsvrc.errors import IlsvrcError
from ilsvrc.images.decode import UndecodableError, pillow

THUMBNAILS = 12
"""Images in a strip: about 40 kB of HTML."""

_SIDE = 96
_QUALITY = 70
_BOX = f"width:{_SIDE}px;height:{_SIDE}px"
_REASON = "overflow:hidden;font-size:9px;overflow-wrap:anywhere;border:1px solid"


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """An image of the strip.

    caption : words of its class
    path : where it is, shown when the pointer rests on it
    read : returns the bytes of its file
    """

    caption: str
    path: str
    read: Callable[[], bytes]


def strip(text: str, thumbnails: Iterable[Thumbnail]) -> str:
    """Return HTML: a text and images below it. An image that can't be read or decoded is a box with the reason."""
    figures = "".join(map(_figure, thumbnails))
    return (
        f'<div><pre>{html.escape(text)}</pre><div style="display:flex;flex-wrap:wrap;gap:6px">{figures}</div></div>'
    )


def _figure(thumbnail: Thumbnail) -> str:
    caption, path = html.escape(thumbnail.caption), html.escape(thumbnail.path)
    return (
        f'<figure style="margin:0;width:{_SIDE}px" title="{path}">{_picture(thumbnail)}'
        f'<figcaption style="font-size:11px;overflow:hidden;text-overflow:ellipsis;white-space:nowrap">'
        f"{caption}</figcaption></figure>"
    )


def _picture(thumbnail: Thumbnail) -> str:
    try:
        data = base64.b64encode(_shrunk(thumbnail.read())).decode()
    except (UndecodableError, IlsvrcError, OSError, Image.DecompressionBombError) as error:
        return f'<div style="{_BOX};{_REASON}">{html.escape(str(error))}</div>'
    return f'<img style="{_BOX};object-fit:contain" alt="" src="data:image/jpeg;base64,{data}">'


def _shrunk(data: bytes) -> bytes:
    """Return a JPEG of at most 96 by 96 pixels."""
    image = pillow(data)
    image.thumbnail((_SIDE, _SIDE))
    shrunk = io.BytesIO()
    image.save(shrunk, "JPEG", quality=_QUALITY)
    return shrunk.getvalue()
