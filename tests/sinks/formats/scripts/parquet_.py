"""Read a split with datasets, pyarrow, duckdb and polars: name, label and digest of every image, in order."""

import hashlib
import json
import sys
from pathlib import Path

import datasets
import duckdb
import polars
import pyarrow.parquet

root, split = Path(sys.argv[1]), sys.argv[2]
files = sorted(map(str, root.glob(f"data/{split}-*.parquet")))


def told(rows):
    return [[name, label, hashlib.sha256(data).hexdigest()] for name, label, data in rows]


loaded = datasets.load_dataset(str(root), split=split, cache_dir=sys.argv[3])
plain = loaded.cast_column("image", datasets.Image(decode=False))
streamed = datasets.load_dataset(str(root), split=split, streaming=True, cache_dir=sys.argv[3])
streamed = streamed.cast_column("image", datasets.Image(decode=False))
table = pyarrow.parquet.ParquetDataset(files).read().to_pylist()
query = "select image.path, label, image.bytes from read_parquet(?) "
sql = duckdb.execute(f"{query} where label % 7 = 3 order by image.path", [files]).fetchall()
frame = polars.scan_parquet(files).select(
    polars.col("image").struct.field("path"), "label", polars.col("image").struct.field("bytes")
)

print(
    json.dumps(
        {
            "datasets": told((row["image"]["path"], row["label"], row["image"]["bytes"]) for row in plain),
            "streamed": told((row["image"]["path"], row["label"], row["image"]["bytes"]) for row in streamed),
            "pyarrow": told((row["image"]["path"], row["label"], row["image"]["bytes"]) for row in table),
            "duckdb": told(sql),
            "polars": told(frame.collect().rows()),
            "names": loaded.features["label"].names,
            "decoded": loaded[0]["image"].size,
            "splits": {one.name: one.num_examples for one in loaded.info.splits.values()},
        }
    )
)
