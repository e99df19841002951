"""Read ArrayRecords by its data source, in random order. Usage: see `epoch`."""

from __future__ import annotations

from collections.abc import Iterator

import tensorflow as tf
from array_record.python.array_record_data_source import ArrayRecordDataSource

from bench.peers.epoch import Epoch, Mapped, loaded, main, size_of


def sizes(epoch: Epoch) -> Iterator[int]:
    records = ArrayRecordDataSource(epoch.files("**/*-train.array_record-*"))

    def size(index: int) -> int:
        example = tf.train.Example.FromString(records[index])
        return size_of(example.features.feature["image"].bytes_list.value[0], epoch.raw)

    return loaded(Mapped(len(records), size), epoch)


if __name__ == "__main__":
    main(sizes)
