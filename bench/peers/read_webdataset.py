"""Read tars by webdataset, one after the other, each worker its own. Usage: see `epoch`."""

from __future__ import annotations

from collections.abc import Iterator

import webdataset

from bench.peers.epoch import Epoch, loaded, main, pixels


def sizes(epoch: Epoch) -> Iterator[int]:
    dataset = webdataset.WebDataset(epoch.files("train-*.tar"), shardshuffle=False, empty_check=False)
    if epoch.raw:
        return loaded(dataset.map(lambda sample: len(sample["jpg"])), epoch)
    return loaded(dataset.decode("pil").map(lambda sample: pixels(sample["jpg"])), epoch)


if __name__ == "__main__":
    main(sizes)
