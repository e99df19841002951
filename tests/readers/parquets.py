"""Parquet files of a miniature's images, written by others: Hugging Face's datasets, and pyarrow with each option."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ilsvrc import facts
from ilsvrc.testing.contracts import Truth
from tests import oracles

PREFIXES = {"train": "train", "val": "validation", "test": "test"}

STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])

PLAIN: dict[str, Any] = {"use_dictionary": False, "compression": "none"}

OPTIONS: dict[str, dict[str, Any]] = {
    "as datasets wrote until 2025": {"row_group_size": 5},
    "not compressed": PLAIN,
    "not compressed, checksums": {**PLAIN, "write_page_checksum": True, "row_group_size": 3},
    "not compressed, version 2": {**PLAIN, "data_page_version": "2.0", "row_group_size": 4},
    "dictionary": {"compression": "none"},
    "snappy": {"use_dictionary": False},
    "snappy, version 2": {"use_dictionary": False, "data_page_version": "2.0"},
    "snappy, checksums": {"write_page_checksum": True},
    "zstd": {"compression": "zstd", "row_group_size": 7, "write_page_index": True},
    "zstd, version 2": {"compression": "zstd", "data_page_version": "2.0", "use_dictionary": False},
    "gzip": {"compression": "gzip", "use_dictionary": False},
    "brotli": {"compression": "brotli"},
    "lz4": {"compression": "lz4", "row_group_size": 5},
    "delta lengths": {"use_dictionary": False, "column_encoding": {"image.bytes": "DELTA_LENGTH_BYTE_ARRAY"}},
    "delta": {"use_dictionary": False, "column_encoding": {"image.bytes": "DELTA_BYTE_ARRAY"}, "row_group_size": 6},
    "chunked by content": {
        **PLAIN,
        "use_content_defined_chunking": {"min_chunk_size": 8_000, "max_chunk_size": 16_000},
    },
    "small pages": {**PLAIN, "data_page_size": 100, "write_batch_size": 1},
    "small pages, snappy": {"use_dictionary": False, "data_page_size": 100, "write_batch_size": 2},
    "dictionary that grows too large": {
        "dictionary_pagesize_limit": 10_000,
        "write_batch_size": 1,
        "data_page_size": 99,
    },
}
"""Keywords of pyarrow.parquet.write_table by what they make."""


def published_name(key: tuple[int, str]) -> str:
    """Return the name that Hugging Face gives an image: with its wnid after it."""
    label, name = key
    return name if label < 0 else f"{name.removesuffix('.JPEG')}_{facts.classes()[label].wnid}.JPEG"


def shuffled(truth: Truth) -> list[tuple[int, str]]:
    """Return the images in an order that is none of ours."""
    return sorted(truth, key=lambda key: (key[1][-6:], key))


def table(truth: Truth, keys: Sequence[tuple[int, str]] | None = None) -> pa.Table:
    """Return the columns that Hugging Face's files have."""
    keys = shuffled(truth) if keys is None else keys
    images = [{"bytes": truth[key], "path": published_name(key)} for key in keys]
    return pa.table({"image": pa.array(images, STRUCT), "label": pa.array([key[0] for key in keys], pa.int64())})


def write(truth: Truth, folder: Path, split: str, shards: int = 1, **options: Any) -> list[Path]:
    """Write a split by pyarrow, in so many files named as Hugging Face names them."""
    folder.mkdir(parents=True, exist_ok=True)
    keys, paths = shuffled(truth), []
    for number in range(shards):
        paths.append(folder / f"{PREFIXES[split]}-{number:05}-of-{shards:05}.parquet")
        pq.write_table(
            table(truth, keys[number * len(keys) // shards : (number + 1) * len(keys) // shards]),
            paths[-1],
            **options,
        )
    return paths


def write_by_datasets(truth: Truth, folder: Path, split: str, shards: int, cache: Path) -> list[Path]:
    """Write a split by `datasets`, by the features of imagenet-1k.py, sharded as its push_to_hub does."""
    datasets = oracles.package("datasets")
    names = [synset.words for synset in facts.classes()]
    names[facts.classes().by_wnid("n03126707").index] = "crane2"
    names[639] = "maillot, tank suit"
    features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=names))

    def rows() -> Iterator[dict[str, Any]]:
        for key in shuffled(truth):
            yield {"image": {"bytes": truth[key], "path": published_name(key)}, "label": key[0]}

    made = datasets.Dataset.from_generator(rows, features=features, cache_dir=str(cache))
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(shards):
        paths.append(folder / f"{PREFIXES[split]}-{number:05}-of-{shards:05}.parquet")
        made.shard(shards, number, contiguous=True).to_parquet(str(paths[-1]))
    return paths
