"""MDS, the shards of MosaicML Streaming: the columns `x`, the image's file, and `y`, its label.

The form is that of `MDSWriter` of mosaicml-streaming 0.13: https://github.com/mosaicml/streaming, `base/format/mds`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ilsvrc.readers.units import Sample
from ilsvrc.sinks.formats.base import Placed, Plain, Shard, ShardFile, Written
from ilsvrc.sinks.formats.offset_table import LABEL_BYTES, LARGEST, write_items

_VERSION = 2
"""The version of the form, which the reader insists on."""

_HASH = "xxh3_128"
"""The digest in the index, which `validate_hash` names; the shards' own in our manifest."""

_CONFIG: dict[str, Any] = {
    "column_encodings": ["jpeg", "int"],
    "column_names": ["x", "y"],
    "column_sizes": [None, LABEL_BYTES],
    "compression": None,
    "format": "mds",
    "hashes": [_HASH],
    "size_limit": None,
    "version": _VERSION,
}
"""What every shard says of itself, in its header and in the index, keys sorted.

The encoding `jpeg` keeps any file as it is, and the reader opens it with Pillow, which looks at the bytes: PNG and
WebP too. `bytes` would keep it too, but then `StreamingImageNet` would get no picture.
"""


@dataclass(frozen=True, slots=True)
class MDS(Plain):
    """`train/shard.00000.mds` and `train/index.json`, as `StreamingDataset(local=..., split="train")` reads them.

    An item is the length of the image's file, the file, and the label: the index 0..999, in the test split -1.
    """

    name: ClassVar[str] = "mds"
    shard_size: ClassVar[int] = 1 << 26
    shard_limit: ClassVar[int] = LARGEST
    whole: ClassVar[bool] = False

    def path(self, split: str, number: int, count: int) -> str:  # noqa: ARG002
        """Return `train/shard.00012.mds`."""
        return f"{split}/shard.{number:05}.mds"

    def write(self, file: ShardFile, samples: Iterable[Sample], split: str) -> Iterator[Placed]:  # noqa: ARG002
        """Write table, header and items; the whole shard is held in memory.

        Raises
        ------
        UsageError
            If the shard has 4 GiB or more.
        """
        config = json.dumps(_CONFIG, sort_keys=True).encode()
        return write_items(file, samples, head=struct.Struct("<I").pack, between=config)

    def closing(self, splits: Mapping[str, Written]) -> dict[str, bytes]:
        """Return the index of each split: its shards with their images, bytes and digests."""
        return {f"{split}/index.json": _index(written) for split, written in splits.items()}


def _index(written: Written) -> bytes:
    """Return the index of a split; a shard from which every image was left out is not in it."""
    shards = [_entry(shard) for shard in written.shards if shard.images]
    return json.dumps({"shards": shards, "version": _VERSION}, sort_keys=True).encode()


def _entry(shard: Shard) -> dict[str, Any]:
    name = Path(shard.path).name
    data = {"basename": name, "bytes": shard.size, "hashes": {_HASH: shard.digest}}
    return {**_CONFIG, "raw_data": data, "samples": shard.images, "zip_data": None}
