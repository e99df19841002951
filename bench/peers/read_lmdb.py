"""Read an LMDB file by the package lmdb, in random order; each process opens it. Usage: see `epoch`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import lmdb

from bench.peers.epoch import Epoch, Mapped, loaded, main, size_of

BEFORE = 12
"""Bytes of a value before the file: length of the label, label, length of the file."""


def opened(path: str) -> Any:
    return lmdb.open(path, subdir=False, readonly=True, lock=False, readahead=False)


def sizes(epoch: Epoch) -> Iterator[int]:
    path = str(epoch.folder / "train.lmdb")
    with opened(path) as environment:
        images = environment.stat()["entries"]

    @cache
    def transaction() -> Any:
        return opened(path).begin(buffers=True)

    def size(index: int) -> int:
        return size_of(bytes(transaction().get(b"%08d" % index)[BEFORE:]), epoch.raw)

    return loaded(Mapped(images, size), epoch)


if __name__ == "__main__":
    main(sizes)
