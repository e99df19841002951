"""Read random images out of Parquet files with ilsvrc, pyarrow or datasets, and say how long it took.

Usage: python -m bench.peers.parquet ours|pyarrow|datasets|index FOLDER [READS]. Reads are those of a second time, so
that the files are in memory; `index` opens the files, and builds their index if none is kept.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Read = Callable[[int], bytes]


def ours(folder: Path) -> tuple[int, Read]:
    """Return how many images there are, and what reads one."""
    from ilsvrc.readers.parquet import recognise

    reader = recognise(folder)[0].open()
    return len(reader), reader.read


def pyarrow(folder: Path) -> tuple[int, Read]:
    """Read the row group of each image."""
    import pyarrow.parquet as pq

    files = [pq.ParquetFile(path) for path in sorted(folder.glob("*.parquet"))]
    groups = [(file, group) for file in files for group in range(file.num_row_groups)]
    ends = np.cumsum([file.metadata.row_group(group).num_rows for file, group in groups])

    def read(row: int) -> bytes:
        place = int(np.searchsorted(ends, row, "right"))
        file, group = groups[place]
        column = file.read_row_group(group, columns=["image.bytes"]).column("image")
        start = ends[place] - file.metadata.row_group(group).num_rows
        data: bytes = column[int(row - start)].as_py()["bytes"]
        return data

    return int(ends[-1]), read


def datasets(folder: Path) -> tuple[int, Read]:
    """Read the cache that datasets makes of the files at first, a second copy of all images."""
    from datasets import Image, load_dataset

    files = str(folder / "*.parquet")
    loaded: Any = load_dataset("parquet", data_files=files, split="train", cache_dir=str(cache(folder)))
    rows = loaded.cast_column("image", Image(decode=False))
    return len(rows), lambda row: bytes(rows[row]["image"]["bytes"])


def cache(folder: Path) -> Path:
    """Return the folder of datasets' cache."""
    return folder.with_name(f"{folder.name}-cache")


KINDS: dict[str, Callable[[Path], tuple[int, Read]]] = {
    "ours": ours,
    "index": ours,
    "pyarrow": pyarrow,
    "datasets": datasets,
}


def main(kind: str, folder: Path, reads: int) -> None:
    begun = time.perf_counter()
    images, read = KINDS[kind](folder)
    if kind != "index":
        rows = np.random.RandomState(0).randint(0, images, reads).tolist()
        for _ in range(2):
            begun = time.perf_counter()
            for row in rows:
                read(row)
    print(f"seconds: {time.perf_counter() - begun}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int((sys.argv[3:] or ["100"])[0]))
