"""Write WebDataset shards by webdataset's ShardWriter. Usage: see `writing`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from webdataset import ShardWriter

from bench.peers.writing import Image, sharded


def write(path: Path, images: Sequence[Image]) -> None:
    pattern, number = f"{path.parent}/train-%06d.tar", int(path.stem.rpartition("-")[2])
    with ShardWriter(pattern, maxcount=len(images), maxsize=1e18, start_shard=number, verbose=0) as writer:
        for image in images:
            writer.write({"__key__": Path(image.path).stem, "jpg": image.read(), "cls": image.label})


if __name__ == "__main__":
    sharded(write, "train-{number:06}.tar")
