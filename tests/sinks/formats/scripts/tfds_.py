"""Read splits with tensorflow-datasets; the raw records too, where they are TFRecords: TensorFlow checks their CRCs.

Prints of each split its description, and of every image in order: file name, label, digest.
"""

import hashlib
import json
import sys
from pathlib import Path

import tensorflow as tf
import tensorflow_datasets as tfds

root = Path(sys.argv[1])
builder = tfds.builder_from_directory(root / "imagenet2012/5.1.0")


def told(example: dict) -> list:
    """Return what an example says, its image undecoded."""
    return [example["file_name"].decode(), int(example["label"]), hashlib.sha256(example["image"]).hexdigest()]


def feature(record: bytes) -> list:
    """Return what a raw record says, by TensorFlow's own protobuf."""
    features = tf.train.Example.FromString(record).features.feature
    (name,), (label,), (image,) = (
        features["file_name"].bytes_list.value,
        features["label"].int64_list.value,
        features["image"].bytes_list.value,
    )
    return [name.decode(), label, hashlib.sha256(image).hexdigest()]


def read(split: str) -> dict:
    """Return what the description says of a split, and its images as they are read in each way."""
    info = builder.info.splits[split]
    undecoded = {"image": tfds.decode.SkipDecoding()}
    in_order = tfds.ReadConfig(interleave_cycle_length=1)
    records = tf.data.TFRecordDataset([str(path) for path in info.filepaths]).as_numpy_iterator()
    built = builder.as_dataset(split=split, decoders=undecoded, read_config=in_order)
    supervised = builder.as_dataset(split=split, as_supervised=True, read_config=in_order)
    loaded = tfds.load("imagenet2012", data_dir=root, split=split, decoders=undecoded, download=False)
    return {
        "shard_lengths": list(info.shard_lengths),
        "raw": [feature(record) for record in records],
        "tfds": [told(example) for example in tfds.as_numpy(built)],
        "decoded": [[list(image.shape), str(image.dtype), int(label)] for image, label in tfds.as_numpy(supervised)],
        "loaded": sorted(told(example) for example in tfds.as_numpy(loaded)),
    }


print(json.dumps({split: read(split) for split in sys.argv[2:]}))
