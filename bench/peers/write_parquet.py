"""Write Parquet shards by pyarrow, row groups of 100 without compression. Usage: see `writing`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bench.peers.writing import Image, sharded

ROWS = 100
SCHEMA = pa.schema(
    [("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])), ("label", pa.int64())],
)


def write(path: Path, images: Sequence[Image]) -> None:
    with pq.ParquetWriter(path, SCHEMA, compression="none", use_dictionary=False) as writer:
        for begin in range(0, len(images), ROWS):
            rows = [
                {"image": {"bytes": image.read(), "path": Path(image.path).name}, "label": image.label}
                for image in images[begin : begin + ROWS]
            ]
            writer.write_table(pa.Table.from_pylist(rows, SCHEMA))


if __name__ == "__main__":
    sharded(write, "data/train-{number:05}-of-{count:05}.parquet")
