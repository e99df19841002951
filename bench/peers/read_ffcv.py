"""Read a .beton file by FFCV's Loader, in order, with a thread for each worker, at least one. Usage: see `epoch`.

Its decoders hand out arrays of one size: it decodes, crops the centre, and resizes to 224. It hands out no bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

from ffcv.fields.decoders import CenterCropRGBImageDecoder, IntDecoder
from ffcv.loader import Loader, OrderOption

from bench.peers.epoch import BATCH, Epoch, main

SIDE = 224


def sizes(epoch: Epoch) -> Iterator[int]:
    if epoch.raw:
        raise SystemExit("FFCV hands out no bytes")
    pipelines = {"image": [CenterCropRGBImageDecoder((SIDE, SIDE), ratio=1)], "label": [IntDecoder()]}
    loader = Loader(
        str(epoch.folder / "train.beton"),
        batch_size=min(BATCH, epoch.images),
        num_workers=max(1, epoch.workers),
        os_cache=True,
        order=OrderOption.SEQUENTIAL,
        drop_last=False,
        pipelines=pipelines,
    )
    return (SIDE * SIDE for images, _ in loader for _ in images)


if __name__ == "__main__":
    main(sizes)
