"""Write TFRecord shards by TensorFlow's TFRecordWriter. Usage: see `writing`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from bench.peers.writing import Image, sharded


def example(image: Image) -> bytes:
    """Return an image as the example that tensorflow-datasets makes of it."""
    data, name = (tf.train.BytesList(value=[value]) for value in (image.read(), Path(image.path).name.encode()))
    features = {
        "file_name": tf.train.Feature(bytes_list=name),
        "image": tf.train.Feature(bytes_list=data),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[image.label])),
    }
    encoded: bytes = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
    return encoded


def write(path: Path, images: Sequence[Image]) -> None:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for image in images:
            writer.write(example(image))


if __name__ == "__main__":
    sharded(write, "imagenet2012/5.1.0/imagenet2012-train.tfrecord-{number:05}-of-{count:05}")
