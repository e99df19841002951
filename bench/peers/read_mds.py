"""Read MDS shards by MosaicML's StreamingDataset, in order. Usage: see `epoch`.

It hands out images that Pillow has opened and not decoded; their bytes are taken as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from streaming import StreamingDataset

from bench.peers.epoch import BATCH, Epoch, loaded, main, pixels


class Sized(StreamingDataset):  # type: ignore[misc]
    """Hands out the size of an image alone."""

    raw = False

    def __getitem__(self, at: int) -> Any:
        image = super().__getitem__(at)["x"]
        return len(image.fp.getvalue()) if self.raw else pixels(image)


def sizes(epoch: Epoch) -> Iterator[int]:
    Sized.raw = epoch.raw
    return loaded(Sized(local=str(epoch.folder), split="train", batch_size=BATCH, shuffle=False), epoch)


if __name__ == "__main__":
    main(sizes)
