"""Write one LMDB file by the package lmdb, which one process writes; the others read. Usage: see `writing`."""

from __future__ import annotations

import itertools
import multiprocessing
import struct
from collections.abc import Iterator

import lmdb

from bench.peers.writing import Image, Job, main

BATCH = 256
"""Images of a transaction."""


def value(image: Image) -> bytes:
    """Return label and file, each after its length."""
    data = image.read()
    return struct.pack("<IiI", 4, image.label, len(data)) + data


def write_all(job: Job) -> None:
    with multiprocessing.get_context("fork").Pool(job.processes) as pool:
        values: Iterator[tuple[int, bytes]] = enumerate(pool.imap(value, job.images, chunksize=16))
        path = str(job.target / "train.lmdb")
        with lmdb.open(path, subdir=False, lock=False, sync=False, map_size=1 << 40) as environment:
            while batch := list(itertools.islice(values, BATCH)):
                with environment.begin(write=True) as transaction:
                    for number, data in batch:
                        transaction.put(b"%08d" % number, data, append=True)


if __name__ == "__main__":
    main(write_all)
