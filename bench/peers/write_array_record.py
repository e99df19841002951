"""Write ArrayRecord shards by its own writer, with the options of tensorflow-datasets. Usage: see `writing`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from array_record.python.array_record_module import ArrayRecordWriter

from bench.peers.write_tfrecord import example
from bench.peers.writing import Image, sharded


def write(path: Path, images: Sequence[Image]) -> None:
    writer = ArrayRecordWriter(str(path), "group_size:1,uncompressed")
    for image in images:
        writer.write(example(image))
    writer.close()


if __name__ == "__main__":
    sharded(write, "imagenet2012/5.1.0/imagenet2012-train.array_record-{number:05}-of-{count:05}")
