"""Prepare shards of any format, with the keywords that it can't do without."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import xxhash
from PIL import Image

import ilsvrc
from ilsvrc.readers.units import Sample
from ilsvrc.stores.path import Location


@dataclass(frozen=True)
class Squares:
    """Makes every image a PNG in RGB of so many pixels a side."""

    side: int = 16

    @property
    def settings(self) -> dict[str, object]:
        return {"side": self.side}

    @property
    def ending(self) -> str:
        return "png"

    @property
    def turns(self) -> bool:
        return False

    def __call__(self, sample: Sample) -> Sample:
        out = io.BytesIO()
        with Image.open(io.BytesIO(sample.data)) as image:
            image.convert("RGB").resize((self.side, self.side)).save(out, "png")
        return replace(sample, data=out.getvalue(), source=xxhash.xxh3_128_digest(sample.data), ending="png")


KEYWORDS: dict[str, dict[str, Any]] = {"edm": {"transform": Squares()}}
"""What `prepare` needs besides the name of a format: nothing, for those that hold any image."""


def prepare(name: str, source: Path, target: Location, **chosen: Any) -> None:
    """Prepare shards of a format."""
    ilsvrc.prepare(source, target, format=name, **KEYWORDS.get(name, {}), **chosen)


if __name__ == "__main__":
    from tests.sinks.formats import preparing  # noqa: PLW0406  -- workers find the transform there, not in a script

    name, source, target, images = sys.argv[1:]
    splits = ("train", "val", "test")
    preparing.prepare(name, Path(source), Path(target), shard_images=int(images), splits=splits, jobs=2)
