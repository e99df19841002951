"""Read splits of an ArrayRecord data set by tensorflow-datasets' data source, by grain, and by the library itself."""

import hashlib
import json
import sys
from pathlib import Path

import grain
import tensorflow as tf
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordReader

root = Path(sys.argv[1])
builder = tfds.builder_from_directory(root / "imagenet2012/5.1.0")


def told(example: dict) -> list:
    """Return what an example says, its image undecoded."""
    name = example["file_name"]
    name = name if isinstance(name, str) else name.decode()
    return [name, int(example["label"]), hashlib.sha256(example["image"]).hexdigest()]


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
    source = builder.as_data_source(split=split, decoders={"image": tfds.decode.SkipDecoding()})
    decoded = builder.as_data_source(split=split)
    files = [str(path) for path in info.filepaths]
    library = []
    for path in files:
        reader = ArrayRecordReader(path)
        library += [feature(record) for record in reader.read_all()]
        assert reader.writer_options_string().startswith("group_size:1,"), reader.writer_options_string()
    named = tfds.data_source(
        "imagenet2012", split=split, data_dir=root, decoders={"image": tfds.decode.SkipDecoding()}, download=False
    )
    shapes = [decoded[at]["image"] for at in range(0, len(decoded), 50)]
    return {
        "shard_lengths": list(info.shard_lengths),
        "num_bytes": int(info.num_bytes),
        "source": [told(source[at]) for at in range(len(source))],
        "named": [told(named[at]) for at in range(len(named))],
        "grain": [told(example) for example in grain.MapDataset.source(source)],
        "library": library,
        "decoded": [[list(image.shape), str(image.dtype)] for image in shapes],
    }


print(json.dumps({split: read(split) for split in sys.argv[2:]}))
