"""Read an archive in an object store with ilsvrc, or send the same requests with obstore alone.

Usage: python -m bench.peers.stores ours|obstore batches|index URL PLACES
where PLACES is a file of numpy: for batches, the offsets and sizes of all images and the rows of each batch; for
index, the ranges that a run of ours asked for, and how many to ask for at once.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import obstore

from ilsvrc import ImageNet

Places = Mapping[str, Any]
Work = Callable[[], None]


def raw(data: bytes) -> bytes:
    """Load no image: what is measured is how its bytes come."""
    return data


def batches_of_ours(url: str, places: Places) -> Work:
    """Ask for batches as torch's DataLoader does."""
    images = ImageNet(url, "train", loader=raw)
    row_of = {row: index for index, row in enumerate(images._samples.row(at) for at in range(len(images)))}
    batches = [[row_of[row] for row in batch] for batch in places["batches"].tolist()]

    def work() -> None:
        for batch in batches:
            images.__getitems__(batch)

    return work


def batches_alone(url: str, places: Places) -> Work:
    """Ask for the same ranges."""
    store, key = _opened(url)
    starts, sizes = places["starts"], places["sizes"]
    batches = [(starts[batch].tolist(), sizes[batch].tolist()) for batch in places["batches"]]

    def work() -> None:
        for begins, lengths in batches:
            for data in obstore.get_ranges(store, key, starts=begins, lengths=lengths):
                bytes(data)

    return work


def index_of_ours(url: str, _: Places) -> Work:
    """Open an archive that has no index."""
    return lambda: print(len(ImageNet(url, "train")))


def index_alone(url: str, places: Places) -> Work:
    """Send the requests that ours sent."""
    store, key = _opened(url)
    ranges = places["ranges"].tolist()

    def ask(place: list[int]) -> int:
        return len(bytes(obstore.get_range(store, key, start=place[0], length=place[1])))

    def work() -> None:
        with ThreadPoolExecutor(int(places["at_once"])) as pool:
            print(sum(pool.map(ask, ranges)))

    return work


def _opened(url: str) -> tuple[Any, str]:
    """Return a bucket, and the key of an object in it, as a user of obstore opens it."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return obstore.store.S3Store(bucket, client_options={"allow_http": True}), key


WORKS: dict[tuple[str, str], Callable[[str, Places], Work]] = {
    ("ours", "batches"): batches_of_ours,
    ("obstore", "batches"): batches_alone,
    ("ours", "index"): index_of_ours,
    ("obstore", "index"): index_alone,
}


def main(kind: str, what: str, url: str, places: str) -> None:
    work = WORKS[kind, what](url, np.load(places))
    begun = time.perf_counter()
    work()
    print(f"seconds: {time.perf_counter() - begun}")


if __name__ == "__main__":
    main(*sys.argv[1:])
