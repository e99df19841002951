"""Read the official archives in place by ilsvrc.ImageNet, or shards that it wrote. Usage: see `epoch`.

It runs where our package is, with torch.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.peers.epoch import Epoch, Mapped, loaded, main, pixels
from ilsvrc import ImageNet


def sizes(epoch: Epoch) -> Iterator[int]:
    dataset = ImageNet(epoch.folder, loader="pillow")

    def size(index: int) -> int:
        return len(dataset.bytes(index)) if epoch.raw else pixels(dataset[index][0])

    return loaded(Mapped(len(dataset), size), epoch)


if __name__ == "__main__":
    main(sizes)
