"""Read TFRecords by tf.data, in order, with a thread for each worker, at least one. Usage: see `epoch`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from bench.peers.epoch import Epoch, main

FEATURES = {"image": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}


def sizes(epoch: Epoch) -> Iterator[int]:
    def size(record: Any) -> Any:
        data = tf.io.parse_single_example(record, FEATURES)["image"]
        if epoch.raw:
            return tf.strings.length(data)
        return tf.reduce_prod(tf.shape(tf.io.decode_image(data, channels=3, expand_animations=False))[:2])

    threads = max(1, epoch.workers)
    options = tf.data.Options()
    options.threading.private_threadpool_size = threads
    options.threading.max_intra_op_parallelism = 1
    records = tf.data.TFRecordDataset(epoch.files("**/*-train.tfrecord-*")).with_options(options)
    batches = records.map(size, num_parallel_calls=threads).batch(64)
    batches = batches.prefetch(2) if epoch.workers else batches
    return (int(one) for batch in batches.as_numpy_iterator() for one in batch)


if __name__ == "__main__":
    main(sizes)
