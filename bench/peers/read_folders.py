"""Read class folders by torchvision's ImageFolder. Usage: see `epoch`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torchvision.datasets import ImageFolder

from bench.peers.epoch import Epoch, loaded, main, pixels


def file_size(path: str) -> int:
    """Return the bytes of a file that is read."""
    return len(Path(path).read_bytes())


class Sized(ImageFolder):  # type: ignore[misc]
    """Hands out the size of an image alone."""

    def __getitem__(self, index: int) -> Any:
        return super().__getitem__(index)[0]


def sizes(epoch: Epoch) -> Iterator[int]:
    options: dict[str, Any] = {"loader": file_size} if epoch.raw else {"transform": pixels}
    return loaded(Sized(epoch.folder / "train", **options), epoch)


if __name__ == "__main__":
    main(sizes)
