"""Parquet files read in place: random images against pyarrow and datasets, and the index at full scale."""

from __future__ import annotations

import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.command import run
from bench.data import DATA, miniature
from bench.full import MEMORY
from bench.harness import Spread, Work, measure, ratio, stated
from bench.peers.parquet import cache
from bench.table import Row
from ilsvrc.archive.source import FileSource
from ilsvrc.facts import classes
from ilsvrc.files import OWN_FOLDER
from ilsvrc.readers.archive import ArchiveReader

READING = (sys.executable, "-m", "bench.peers.parquet")
SIZE = 5e8
SHARDS = 294
"""Files of the train split that Hugging Face publishes."""

_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_CHUNKS = {"min_chunk_size": 256 << 10, "max_chunk_size": 1 << 20, "norm_level": 0}
_PLAIN = {"image.bytes": "none", "image.path": "snappy", "label": "snappy"}

WRITERS: dict[str, dict[str, Any]] = {
    "row groups of 100, Snappy": {"row_group_size": 100},
    "datasets 5": {
        "compression": _PLAIN,
        "use_dictionary": ["image.path", "label"],
        "column_encoding": {"image.bytes": "PLAIN"},
        "use_content_defined_chunking": _CHUNKS,
        "write_page_index": True,
        "row_group_size": 960,
    },
}
"""How `datasets` writes images: before its version 5, and since, with row groups of about 100 MB."""


def rows(fraction: float, runs: int) -> list[Row]:
    """Return the lines of the table about Parquet files, and about an index of this fraction of the full split."""
    return [line for name in WRITERS for line in (*reads(name, runs), memory(name, fraction))]


def reads(name: str, runs: int) -> list[Row]:
    """Compare random reads from memory."""
    folder = _real(name)
    works = [Work(kind, (*READING, kind, folder)) for kind in ("ours", "pyarrow", "datasets")]
    rounds = measure(works, runs)
    stored = sum(path.stat().st_size for path in folder.glob("*.parquet"))
    copied = sum(path.stat().st_size for path in cache(folder).rglob("*") if path.is_file())
    title = f"random reads of Parquet, {name}"
    return [
        Row(title, "pyarrow, the row group", ratio(rounds["ours"], rounds["pyarrow"], stated), runs, most=1 / 5),
        Row(title, "datasets, its cache", ratio(rounds["ours"], rounds["datasets"], stated), runs),
        Row(f"bytes that datasets adds, {name}", "the files", Spread.of([copied / stored]), 1),
    ]


def memory(name: str, fraction: float) -> Row:
    """Compare the peak memory of indexing with the contract's, at full scale with tiny images."""
    folder = _simulated(name, fraction)
    work = Work("index", (*READING, "index", folder), partial(shutil.rmtree, folder / OWN_FOLDER, ignore_errors=True))
    [found] = measure([work], runs=1, warmups=0).values()
    return Row(
        f"index of Parquet, full scale, {name}: peak memory", "400 MB", Spread.of([found[0].rss / MEMORY]), 1, most=1
    )


def _real(name: str) -> Path:
    """Return a folder of a miniature's images in one file, making it at first."""
    folder = DATA / f"parquet-{_slug(name)}"
    path = folder / "train-00000-of-00001.parquet"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        reader = ArchiveReader.open(FileSource(miniature(SIZE)))
        order = np.random.default_rng(0).permutation(len(reader))
        part = path.with_suffix(".part")
        schema = pa.schema([("image", _IMAGE), ("label", pa.int64())])
        size = WRITERS[name]["row_group_size"]
        options = {key: value for key, value in WRITERS[name].items() if key != "row_group_size"}
        with pq.ParquetWriter(part, schema, **options) as writer:
            for start in range(0, len(order), size):
                some = order[start : start + size]
                named = zip(some.tolist(), (data for _, data in reader.take(some)), strict=True)
                images = [
                    {"bytes": data, "path": _published(reader.name(row), int(reader.labels[row]))}
                    for row, data in named
                ]
                writer.write_table(
                    pa.table([pa.array(images, _IMAGE), reader.labels[some].astype(np.int64)], schema=schema)
                )
        part.rename(path)
    return folder


def _simulated(name: str, fraction: float) -> Path:
    """Return a folder of the split's real number of images and files, each image of some hundred bytes."""
    folder = DATA / f"parquet-simulated-{_slug(name)}-{fraction:g}"
    counts = np.array([max(1, round(synset.train_images * fraction)) for synset in classes()])
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(counts)), counts)
    numbers = np.concatenate([generator.permutation(20 * count)[:count] for count in counts])
    shards = max(1, round(SHARDS * fraction))
    noise = generator.bytes(1 << 20)
    for number, some in enumerate(np.array_split(generator.permutation(len(labels)), shards)):
        path = folder / f"train-{number:05}-of-{shards:05}.parquet"
        if path.exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        wnids = [classes()[label].wnid for label in labels[some].tolist()]
        starts = generator.integers(0, len(noise) - 1000, len(some)).tolist()
        images = [
            {"bytes": noise[start : start + 200 + start % 97], "path": f"{wnid}_{k}_{wnid}.JPEG"}
            for wnid, k, start in zip(wnids, numbers[some].tolist(), starts, strict=True)
        ]
        table = pa.table({"image": pa.array(images, _IMAGE), "label": labels[some]})
        pq.write_table(table, path.with_suffix(".part"), **WRITERS[name])
        path.with_suffix(".part").rename(path)
    return folder


def _published(name: str, label: int) -> str:
    return f"{name.removesuffix('.JPEG')}_{classes()[label].wnid}.JPEG"


def _slug(name: str) -> str:
    return name.replace(" ", "-").replace(",", "").lower()


if __name__ == "__main__":
    run(__doc__, ("--fraction", 1.0, "part of the full 1,281,167 images"), rows)
