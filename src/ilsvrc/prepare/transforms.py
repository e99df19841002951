"""The transforms that `prepare` makes of its options: `resize`, `crop`, `max_side`, `encode`, `ffcv_mode`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import xxhash

from ilsvrc.errors import DamageError, UsageError
from ilsvrc.images.decode import UndecodableError
from ilsvrc.images.encode import JPEG, KEEP, LONGEST, QUALITY, Encoding, UnencodableError
from ilsvrc.images.pixels import Choice, Mode, Unpacking
from ilsvrc.images.transform import FILTERS, Fit, Remaking, Size
from ilsvrc.issues import Code, Issue
from ilsvrc.prepare.options import bytes_in
from ilsvrc.readers.units import Sample

_SQUASH = re.compile(r"(\d+)x(\d+)")
_SHARE = re.compile(r"0?\.\d+|[01](\.0*)?", re.ASCII)
"""A number from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Remade:
    """A Transform that makes the file of each image anew.

    remaking : from bytes to bytes
    """

    remaking: Remaking | Unpacking

    @property
    def settings(self) -> dict[str, object]:
        """What it does, in plain values, with the versions of codecs."""
        return self.remaking.settings

    @property
    def ending(self) -> str | None:
        """What every image becomes: jpg, webp, png or ppm; None for what it was."""
        return self.remaking.ending

    @property
    def turns(self) -> bool:
        """Whether images are turned as their EXIF orientation says."""
        return self.remaking.turns

    def __call__(self, sample: Sample) -> Sample:
        """Return the image anew, with the digest of its file in the source; or the same sample.

        Raises
        ------
        DamageError
            If it can't be decoded, or the format can't hold it.
        """
        try:
            data, ending = self.remaking(sample.data)
        except (UndecodableError, UnencodableError) as error:
            code = Code.UNDECODABLE if isinstance(error, UndecodableError) else Code.UNENCODABLE
            hint = "--damaged skip leaves such images out, and names each; --damaged list only names them"
            found = Issue(sample.key, code, f"{error} ({len(sample.data):,} bytes)")
            raise DamageError(f"{sample.key} can't be transformed", [found], hint=hint) from None
        if data is sample.data:
            return sample if ending == sample.ending else replace(sample, ending=ending)
        source = xxhash.xxh3_128_digest(sample.data)
        return replace(sample, data=data, file=None, source=source, ending=ending)


def transform_of(  # noqa: PLR0913  -- the options of `prepare`
    *,
    resize: int | str | None = None,
    crop: int | None = None,
    max_side: int | None = None,
    enlarge: bool = False,
    filter: str | None = None,  # noqa: A002  -- as the command line calls it
    encode: str | None = None,
    orient: bool = False,
    ffcv_mode: str | None = None,
) -> Remade | None:
    """Return what these options of `prepare` make of images; None if they leave every byte as it is.

    Raises
    ------
    UsageError
        If they contradict each other, or one of them says nothing that can be done.
    """
    given = {"resize": resize, "crop": crop, "max_side": max_side}
    sizes = [name for name, value in given.items() if value is not None]
    if len(sizes) > 1:
        raise UsageError(f"{' and '.join(sizes)} contradict each other", hint="leave all but one of them out")
    if filter is not None and filter not in FILTERS:
        raise UsageError(f"filter can't be {filter!r}", hint=f"use one of {', '.join(FILTERS)}")
    idle = [name for name, value in {"filter": filter, "enlarge": enlarge or None}.items() if value is not None]
    if idle and not sizes:
        hint = f"add resize, crop or max_side, or leave {idle[0]} out"
        raise UsageError(f"{idle[0]} says how images are resized, and none is", hint=hint)
    choice = _choice(ffcv_mode, encode)
    if encode is None and not sizes and not orient and choice is None:
        return None
    encoding = Encoding(JPEG, QUALITY) if encode is None else Encoding.parse(encode)
    if encoding.kind == KEEP and not sizes and not orient:
        hint = "leave it out, which keeps every byte; or add resize, crop, max_side or orient"
        raise UsageError("encode='keep' alone would only make images worse", hint=hint)
    size = _size(resize, crop, max_side) if sizes else None
    if size:
        _refuse_size(sizes[0], size, encoding)
        size = replace(size, filter=filter or size.filter, enlarge=enlarge)
    remaking = Remaking(encoding, size, orient, all=encode is not None and not sizes and encoding.kind != KEEP)
    return Remade(Unpacking(choice, remaking) if choice else remaking)


def _choice(text: str | None, encode: str | None) -> Choice | None:
    """Return which images are kept as pixels, as `ffcv_mode` says: `raw`, `smart:500KB`, `proportion:0.5`."""
    name, _, value = (text or Mode.JPG).strip().lower().partition(":")
    hint = "use jpg, raw, smart:BYTES such as smart:500KB, or proportion:SHARE such as proportion:0.5"
    if name == Mode.RAW and encode is not None:
        raise UsageError("ffcv_mode='raw' encodes no image, and encode says how", hint="leave one of them out")
    if name == Mode.SMART and value:
        return Choice(Mode.SMART, threshold=bytes_in(value))
    if name == Mode.PROPORTION and (share := _SHARE.fullmatch(value)):
        return Choice(Mode.PROPORTION, compressed=float(share[0]))
    if name not in (Mode.JPG, Mode.RAW) or value:
        raise UsageError(f"ffcv_mode can't be {text!r}", hint=hint)
    return Choice(Mode.RAW) if name == Mode.RAW else None


def _size(resize: int | str | None, crop: int | None, max_side: int | None) -> Size:
    if crop is not None:
        return Size(Fit.CROP, crop, crop)
    if max_side is not None:
        return Size(Fit.LONGER, max_side, max_side)
    text = str(resize).strip().lower()
    if found := _SQUASH.fullmatch(text):
        return Size(Fit.EXACT, int(found[1]), int(found[2]))
    if not text.isascii() or not text.isdigit():
        hint = "give the pixels of the shorter side, such as 256, or width and height, such as 256x256"
        raise UsageError(f"resize can't be {text!r}", hint=hint)
    return Size(Fit.SHORTER, int(text), int(text))


def _refuse_size(name: str, size: Size, encoding: Encoding) -> None:
    most = LONGEST[encoding.kind]
    if not (1 <= size.width <= most and 1 <= size.height <= most):
        wrong = size.width if not 1 <= size.width <= most else size.height
        raise UsageError(f"{name} can't be {wrong:,}", hint=f"give from 1 to {most:,} pixels")
