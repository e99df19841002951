"""What all shards of TensorFlow Datasets share: names, examples, and the files that describe a data set.

The data set is `imagenet2012` 5.1.0 of tensorflow-datasets: features image, label and file_name; label n is line n of
its `labels.txt`, which has the wnids sorted. Names, keys and values are those that tensorflow-datasets 4.9.10 writes:
`core/naming.py`, `core/dataset_info.py`, `core/features/*.py`. An example is a `tf.train.Example`:
https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/example.proto.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from ilsvrc import facts
from ilsvrc.readers.units import Sample
from ilsvrc.sinks.formats.base import Written

FOLDER = "imagenet2012/5.1.0"
"""Name and version of the data set: TFDS looks for them below its `data_dir`."""

SHARD_SIZE = 150_000_000
"""TFDS cuts train into 1,024 shards of about this size."""

_SPLITS = {"train": "train", "val": "validation", "test": "test"}
_NO_LABEL = -1
"""The label that TFDS gives to images of the test split."""

_BYTES_LIST, _INT64_LIST = 1, 3
_FEATURES = "tensorflow_datasets.core.features."


def shard_path(file_format: str, split: str, number: int, count: int) -> str:
    """Return `imagenet2012/5.1.0/imagenet2012-train.tfrecord-00000-of-01024`."""
    return f"{FOLDER}/imagenet2012-{_SPLITS[split]}.{file_format}-{number:05}-of-{count:05}"


def example_around(sample: Sample) -> tuple[bytes, bytes]:
    """Return what precedes an image's file in its example, and what follows it.

    The features are in the order of their names, so that equal samples give equal bytes.
    """
    label = _NO_LABEL if sample.label is None else sample.label
    name = _feature(b"file_name", _BYTES_LIST, _field(1, sample.name.encode()))
    digits = _feature(b"label", _INT64_LIST, _field(1, _varint(label)))
    key = _field(1, b"image")
    size = len(sample.data)
    value = b""
    for number in (1, _BYTES_LIST, 2):
        value = _head(number, size + len(value)) + value
    image = _head(1, len(key) + len(value) + size) + key + value
    return _head(1, len(name) + len(image) + size + len(digits)) + name + image, digits


def closing_files(
    file_format: str, splits: Mapping[str, Written], num_bytes: Callable[[Written], int]
) -> dict[str, bytes]:
    """Return the files from which TFDS builds the data set: by path, their contents.

    Parameters
    ----------
    file_format
        What TFDS calls the format of the shards.
    splits
        All splits that are there.
    num_bytes
        Tells the bytes of a split: what TFDS shows as the size of the data set.
    """
    told = [
        {
            "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            "name": _SPLITS[split],
            "numBytes": str(num_bytes(written)),
            "shardLengths": [str(shard.images) for shard in written.shards],
        }
        for split, written in splits.items()
    ]
    info = {
        "description": "ILSVRC 2012 (ImageNet-1K). Each image is a file of the official archives, or made from it.",
        "fileFormat": file_format,
        "location": {"urls": ["https://image-net.org/"]},
        "name": "imagenet2012",
        "splits": told,
        "supervisedKeys": {"tuple": {"items": [{"featureKey": "image"}, {"featureKey": "label"}]}},
        "version": "5.1.0",
    }
    labels = "".join(f"{synset.wnid}\n" for synset in facts.classes())
    return {
        f"{FOLDER}/dataset_info.json": _json(info, 2),
        f"{FOLDER}/features.json": _json(_features(), 4),
        f"{FOLDER}/label.labels.txt": labels.encode(),
    }


def _features() -> dict[str, object]:
    """Return the description of the features, from which TFDS makes its decoders."""
    image = {"dtype": "uint8", "encodingFormat": "jpeg", "shape": {"dimensions": ["-1", "-1", "3"]}}
    features = {
        "file_name": {"pythonClassName": f"{_FEATURES}text_feature.Text", "text": {}},
        "image": {"image": image, "pythonClassName": f"{_FEATURES}image_feature.Image"},
        "label": {
            "classLabel": {"numClasses": str(len(facts.classes()))},
            "pythonClassName": f"{_FEATURES}class_label_feature.ClassLabel",
        },
    }
    return {"featuresDict": {"features": features}, "pythonClassName": f"{_FEATURES}features_dict.FeaturesDict"}


def _json(document: object, indent: int) -> bytes:
    return json.dumps(document, indent=indent).encode()


def _feature(key: bytes, kind: int, values: bytes) -> bytes:
    """Return an entry of the map of features: its key, and its value, a list of a kind."""
    return _field(1, _field(1, key) + _field(2, _field(kind, values)))


def _field(number: int, value: bytes) -> bytes:
    """Return a field of protobuf that holds bytes."""
    return _head(number, len(value)) + value


def _head(number: int, size: int) -> bytes:
    """Return what precedes `size` bytes of a field: number and wire type 2, then the length."""
    return bytes([number << 3 | 2]) + _varint(size)


def _varint(value: int) -> bytes:
    """Return an int64 in groups of seven bits, the lowest first; a negative one as its two's complement."""
    left, groups = value % (1 << 64), bytearray()
    while left > 0x7F:
        groups.append(left & 0x7F | 0x80)
        left >>= 7
    groups.append(left)
    return bytes(groups)
