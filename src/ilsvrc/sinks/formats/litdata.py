"""Chunks of LitData, of Lightning: samples `{"image": ..., "label": ...}`, laid out as its `optimize` does.

The form is that of `BinaryWriter` of litdata 0.2.76: https://github.com/Lightning-AI/litData, `streaming/writer.py`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import xxhash

from ilsvrc.readers.units import Sample
from ilsvrc.sinks.formats.base import Placed, Plain, ShardFile, Written
from ilsvrc.sinks.formats.offset_table import LABEL_BYTES, LARGEST, write_items

_CHUNK = 1 << 26
"""Bytes of a chunk, about, as `optimize(chunk_bytes="64MB")` counts them."""


@dataclass(frozen=True, slots=True)
class LitData(Plain):
    """`train/chunk-0-0.bin` and `train/index.json`, as `litdata.StreamingDataset("train")` reads them.

    An item is two lengths, the image's file, and the label: the index 0..999, in the test split -1. The serializer
    is `jpeg`, which decodes any file, PNG and WebP too, to an RGB tensor of shape (3, H, W), uint8.
    """

    name: ClassVar[str] = "litdata"
    shard_size: ClassVar[int] = _CHUNK
    shard_limit: ClassVar[int] = LARGEST
    whole: ClassVar[bool] = False

    def path(self, split: str, number: int, count: int) -> str:  # noqa: ARG002
        """Return `train/chunk-0-12.bin`: the writer's rank, which is 0, and the chunk's number."""
        return f"{split}/chunk-0-{number}.bin"

    def write(self, file: ShardFile, samples: Iterable[Sample], split: str) -> Iterator[Placed]:  # noqa: ARG002
        """Write table and items; the whole chunk is held in memory.

        Raises
        ------
        UsageError
            If the chunk has 4 GiB or more.
        """
        return write_items(file, samples, head=_head)

    def closing(self, splits: Mapping[str, Written]) -> dict[str, bytes]:
        """Return the index of each split: its chunks with their images and bytes, and how an item is read."""
        return {f"{split}/index.json": _index(written) for split, written in splits.items()}


def _head(size: int) -> bytes:
    return struct.pack("<II", size, LABEL_BYTES)


def _index(written: Written) -> bytes:
    """Return the index of a split; a chunk from which every image was left out is not in it.

    `updated_at`, which names the reader's cache of a remote folder, is the time in LitData's own. Here it is a digest
    of all chunks: other chunks get another cache, and equal ones, made again, have an equal index.
    """
    chunks = [
        {
            "chunk_bytes": shard.size,
            "chunk_size": shard.images,
            "dim": None,
            "filename": Path(shard.path).name,
        }
        for shard in written.shards
        if shard.images
    ]
    digest = xxhash.xxh3_128_hexdigest("".join(shard.digest for shard in written.shards).encode())
    return json.dumps({"chunks": chunks, "config": _config(), "updated_at": digest}, sort_keys=True).encode()


def _config() -> dict[str, Any]:
    """Return how an item is read: a dict of two leaves, each with a serializer."""
    leaf: dict[str, Any] = {"type": None, "context": None, "children_spec": []}
    spec = {"type": "builtins.dict", "context": json.dumps(["image", "label"]), "children_spec": [leaf, leaf]}
    return {
        "chunk_bytes": _CHUNK,
        "chunk_size": None,
        "compression": None,
        "compression_batch_size": None,
        "compression_level": None,
        "data_format": ["jpeg", "int"],
        "data_spec": json.dumps([1, spec]),
        "encryption": None,
        "ipc_compression": None,
        "item_loader": "PyTreeLoader",
        "types": {"image": "jpeg", "label": "int"},
    }
