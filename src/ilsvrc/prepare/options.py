"""What a user asked `prepare` for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ilsvrc.archive.find import SPLITS
from ilsvrc.errors import UsageError
from ilsvrc.images.encode import PNG, WEBP
from ilsvrc.readers.units import Transform
from ilsvrc.run.engine import refuse_jobs
from ilsvrc.run.plan import Damaged
from ilsvrc.sinks.formats.registry import (
    FOLDERS,
    FORMATS,
    format_of,
    refuse_missing_extra,
)
from ilsvrc.sinks.links import Link

if TYPE_CHECKING:
    from ilsvrc.sinks.formats.base import Format

VERIFY = ("md5", "sha256", "none")
SOURCE = ("keep", "delete")
LINK = tuple(map(str, Link))
FORMAT = (FOLDERS, *FORMATS)
ORDER = ("shuffled", "catalog")
ORDER_BY = ("auto", "random", "buckets")
DAMAGED = tuple(map(str, Damaged))

_CHOICES = {
    "verify": VERIFY,
    "source": SOURCE,
    "link": LINK,
    "format": FORMAT,
    "order": ORDER,
    "order_by": ORDER_BY,
    "damaged": DAMAGED,
}
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]i?)?b?", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The parameters of `prepare`, checked; see there."""

    splits: tuple[str, ...] | None = None
    layout: str = "wnid"
    classes: tuple[str, ...] | None = None
    verify: str = "md5"
    source: str = "keep"
    link: str = "auto"
    jobs: int | None = None
    restart: bool = False
    repair: bool = False
    val_labels: Path | str | None = None
    trust_val_labels: bool = False
    format: str = FOLDERS
    order: str = "shuffled"
    order_by: str = "auto"
    seed: int = 0
    shard_size: int | None = None
    shard_images: int | None = None
    transform: Transform | None = None
    ffcv_mode: str | None = None
    damaged: str = "stop"

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise UsageError(f"{name} can't be {getattr(self, name)!r}", hint=f"use one of {', '.join(allowed)}")
        if self.splits is not None:
            object.__setattr__(self, "splits", tuple(dict.fromkeys(self.splits)))
            if not set(self.splits) <= set(SPLITS) or not self.splits:
                raise UsageError(f"there is no split {', '.join(self.splits)!r}", hint="use train, val or test")
        refuse_jobs(self.jobs)
        if self.ffcv_mode is not None and self.format != "ffcv":
            detail = f"ffcv_mode says how FFCV's file holds images, and format is {self.format}"
            raise UsageError(detail, hint="add format='ffcv', or leave ffcv_mode out")
        self._refuse_shards()
        self._refuse_transform()
        if self.source == "delete" and (self.verify == "none" or self.classes):
            hint = "archives are deleted only after all of them was verified and unpacked: leave out the other option"
            raise UsageError("source='delete' does not go with verify='none' or with some classes only", hint=hint)

    @property
    def sharded(self) -> bool:
        """Whether shards are written, not folders."""
        return self.format != FOLDERS

    def format_chosen(self) -> Format:
        """Return the shard format.

        Raises
        ------
        MissingExtraError
            If a package that writes it is not installed.
        """
        refuse_missing_extra(self.format)
        return format_of(self.format)

    def _refuse_shards(self) -> None:
        """Refuse options that don't go with the format, or with each other."""
        if not self.sharded:
            chosen: dict[str, object] = {"shard_size": self.shard_size, "shard_images": self.shard_images}
            chosen |= {"seed": self.seed or None, "order_by": None if self.order_by == "auto" else self.order_by}
            chosen |= {"order": None if self.order == "shuffled" else self.order}
            given = [name for name, value in chosen.items() if value is not None]
            if given:
                hint = f"add a format: one of {', '.join(FORMATS)}; or leave {given[0]} out"
                raise UsageError(f"{given[0]} says how shards are made, and folders have none", hint=hint)
            return
        if self.source == "delete":
            hint = "leave it out; delete the source yourself once `ilsvrc check DST --deep --against SRC` is content"
            raise UsageError("source='delete' goes with folders only", hint=hint)
        if self.layout != "wnid":
            raise UsageError("a layout names the folders of a tree, and shards have none", hint="leave layout out")
        if self.link != "auto":
            raise UsageError("a link shares a file of the source, and shards are new files", hint="leave link out")
        if not 0 <= self.seed < 1 << 64:
            raise UsageError(f"seed can't be {self.seed:,}", hint="give 0 or more, and less than 2 to the 64th")
        if self.order == "catalog" and self.seed:
            raise UsageError("a seed shuffles, and order is catalog", hint="leave seed or order out")
        if self.shard_size is not None and self.shard_images is not None:
            raise UsageError("shard_size and shard_images contradict each other", hint="leave one of them out")
        for name, value in (("shard_size", self.shard_size), ("shard_images", self.shard_images)):
            if value is not None and value < 1:
                raise UsageError(f"{name} can't be {value:,}", hint="give 1 or more")

    def _refuse_transform(self) -> None:
        """Refuse options that don't go with images that are made anew, or that go with these alone."""
        if self.transform is None:
            if self.damaged != "stop":
                hint = "leave it out: without resize, crop, max_side, encode or orient every byte stays as it is"
                raise UsageError("damaged is about images that are made anew, and none is", hint=hint)
            return
        if self.source == "delete":
            hint = "leave it out; delete the source yourself once you are sure that you need no larger images"
            raise UsageError("source='delete' compares images with the source, and these are made anew", hint=hint)
        if self.link in ("hard", "reflink"):
            raise UsageError(f"link={self.link!r} shares bytes, and images are made anew", hint="leave link out")
        if not self.sharded and self.transform.ending in (WEBP, PNG):
            hint = f"add format='webdataset', or another of {', '.join(FORMATS)}; or encode='jpeg:90'"
            raise UsageError(f"images in folders are called .JPEG, and encode is {self.transform.ending}", hint=hint)


def bytes_in(text: str | int) -> int:
    """Return a number of bytes: `500MB`, `2GiB`, `1.5 GB`, or plain digits.

    Raises
    ------
    UsageError
        If the text is none.
    """
    found = _SIZE.fullmatch(str(text).strip())
    if found is None:
        raise UsageError(f"{text!r} is no size", hint="give one such as 500MB or 2GiB")
    return int(float(found[1]) * _UNITS[(found[2] or "").lower()])
