"""Encode pixels to the bytes of an image's file."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

from PIL import Image, JpegImagePlugin, features

from ilsvrc.errors import UsageError

KEEP = "keep"
JPEG, WEBP, PNG = "jpeg", "webp", "png"
KINDS = (JPEG, WEBP, PNG, KEEP)

QUALITY = 90
"""Of JPEG and WebP, where the user does not say."""

LONGEST = {JPEG: 65_500, WEBP: 16_383, PNG: 1 << 20, KEEP: 16_383}
"""Most pixels on a side: libjpeg's JPEG_MAX_DIMENSION, WebP's WEBP_MAX_DIMENSION; of PNG, what memory holds."""

_ENDINGS = {JPEG: "jpg", WEBP: "webp", PNG: "png"}
_FORMATS = {"JPEG": JPEG, "MPO": JPEG, "WEBP": WEBP}
_TEXT = re.compile(r"([a-z]+)(?::(\d{1,3}))?")


class UnencodableError(ValueError):
    """An image that a format can't hold; the caller adds its place."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How pixels become a file.

    kind : jpeg, webp, png, or keep for the format that the source's file has
    quality : 1..100 of JPEG and WebP, as Pillow takes it; None of png and keep
    """

    kind: str
    quality: int | None = None

    @classmethod
    def parse(cls, text: str) -> Encoding:
        """Return the encoding that `jpeg:90`, `webp:80`, `png` or `keep` names.

        Raises
        ------
        UsageError
            If the text names none.
        """
        found = _TEXT.fullmatch(text.strip().lower())
        kind, quality = (found[1], found[2]) if found else ("", None)
        with_quality = kind in (JPEG, WEBP)
        if kind not in KINDS or (quality and not (with_quality and 1 <= int(quality) <= 100)):
            hint = "use jpeg:90, webp:90 (qualities from 1 to 100), png or keep"
            raise UsageError(f"there is no encoding {text!r}", hint=hint)
        return cls(kind, int(quality or QUALITY) if with_quality else None)

    def __str__(self) -> str:
        return f"{self.kind}:{self.quality}" if self.quality else self.kind

    @property
    def versions(self) -> dict[str, str | None]:
        """The libraries on which the encoded bytes depend, with their versions."""
        named = {JPEG: ("libjpeg_turbo",), WEBP: ("webp",), PNG: ("zlib", "zlib_ng")}
        wanted = [name for kind in named for name in named[kind] if self.kind in (kind, KEEP)]
        return {name: features.version(name) for name in wanted}

    def takes(self, format: str | None, mode: str) -> bool:  # noqa: A002  -- as Pillow calls it
        """Whether a file of Pillow's format and mode is of this kind already, in RGB or grey."""
        return mode in ("RGB", "L") and self.kind in (kind_of(format), KEEP)

    def ending(self, format: str | None) -> str:  # noqa: A002
        """Return the ending of the file that an image of Pillow's format becomes: jpg, webp or png."""
        return _ENDINGS[kind_of(format) if self.kind == KEEP else self.kind]

    def encode(self, image: Image.Image, source: bytes) -> bytes:
        """Return the file of an image, by Pillow; it holds no EXIF, colour profile or comment.

        JPEG has 4:2:0 chroma, as Pillow's by default. With `keep`, a JPEG has the quantisation tables of its source,
        its chroma subsampling where it is 4:4:4, 4:2:2 or 4:2:0 (else 4:2:0), and is grey if the source is; a WebP
        has quality 90, since a file does not tell the quality that it was made with; all other formats become PNG.

        Parameters
        ----------
        image
            RGB.
        source
            The file that the pixels came from; read with `keep` only.

        Raises
        ------
        UnencodableError
            If the format can't hold the image: it is too wide or too high.
        """
        try:
            return self._kept(image, source) if self.kind == KEEP else _saved(image, self.kind, self.quality)
        except (OSError, ValueError, SystemError) as error:
            width, height = image.size
            raise UnencodableError(f"{width:,} x {height:,} pixels can't be encoded as {self}: {error}") from error

    def _kept(self, image: Image.Image, source: bytes) -> bytes:
        with Image.open(io.BytesIO(source)) as opened:
            kind = kind_of(opened.format)
            image = image.convert("L") if opened.mode == "L" else image
            if kind != JPEG:
                return _saved(image, kind, QUALITY)
            assert isinstance(opened, JpegImagePlugin.JpegImageFile)
            tables = [opened.quantization[number] for number in sorted(opened.quantization)][:2]
            file, sampling = io.BytesIO(), JpegImagePlugin.get_sampling(opened)
        chroma = 2 if sampling < 0 and image.mode != "L" else sampling
        image.save(file, "JPEG", qtables=tables, subsampling=chroma)
        return file.getvalue()


def kind_of(format: str | None) -> str:  # noqa: A002
    """Return jpeg or webp for Pillow's name of such a format, png for all others."""
    return _FORMATS.get(format or "", PNG)


def _saved(image: Image.Image, kind: str, quality: int | None) -> bytes:
    file = io.BytesIO()
    options = {} if kind == PNG else {"quality": quality}
    image.save(file, kind.upper(), **options)
    return file.getvalue()
