"""Give the images of shards to the writers of the training libraries, which take files."""

from __future__ import annotations

import json
from pathlib import Path

from ilsvrc.readers.locate import open_reader
from tests.sinks.formats.test_contract import names_in_order


def images_of(source: Path, shards: Path, split: str, folder: Path) -> list[tuple[str, int]]:
    """Write the images of a split to files of their own; return file and label of each, in the order of the shards.

    They are read from `source`, which ilsvrc's formats did not write; of the shards, only the manifest is read.
    """
    reader = open_reader(source, split)
    row = {name: at for at, name in enumerate(reader.names.to_pylist())}
    told = []
    for name in names_in_order(shards, split):
        path = folder / name
        path.write_bytes(reader.read(row[name]))
        told.append((str(path), int(reader.labels[row[name]])))
    return told


def in_shards(images: list[tuple[str, int]], count: int, path: Path) -> Path:
    """Write as JSON which images each shard has, if all have so many; return the path."""
    shards = [images[at : at + count] for at in range(0, len(images), count)]
    path.write_text(json.dumps(shards))
    return path
