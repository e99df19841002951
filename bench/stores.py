"""Object stores: read batches at random and index in place, against the same requests by obstore alone.

The store is radosgw of Ceph on this machine, asked directly, and through a proxy that lets every request wait as long
as one to a store far away.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tests.stores.ceph import radosgw
from tests.stores.proxy import Fault, Proxy, proxy_to
from tests.stores.servers import Bucket, environment

import ilsvrc
from bench.command import parser, show
from bench.data import DATA, miniature, simulated
from bench.harness import Work, measure, ratio, run_once, stated
from bench.table import Row
from ilsvrc.facts import TRAIN, classes

PEER = (sys.executable, "-m", "bench.peers.stores")
KEY = f"archives/{TRAIN}"

BATCH, BATCHES = 64, 20
FRACTION = 0.002
"""Of the full number of images, for the index."""

LATENCY = 0.05
PRICE = 0.0004
"""US dollars for 1,000 GET requests: Amazon S3 Standard, us-east-1 (aws.amazon.com/s3/pricing)."""

IMAGES = sum(synset.train_images for synset in classes())


@dataclass(frozen=True, slots=True)
class Asked:
    """What ours asked the server for.

    places : file with the ranges and how many were asked for at once
    requests : of all kinds
    at_once : in flight, at most
    """

    places: Path
    requests: int
    at_once: int


@dataclass(frozen=True, slots=True)
class Count:
    """Requests of indexing an archive.

    images, requests, at_once : in the archive; for it; of these in flight, at most
    """

    images: int
    requests: int
    at_once: int

    def stated(self, latency: float, price: float) -> str:
        """Return what it takes at full scale, in words."""
        whole = round(self.requests / self.images * IMAGES)
        seconds = whole / self.at_once * latency
        return (
            f"Index: {self.requests:,} requests for {self.images:,} images, at most {self.at_once} at once. "
            f"For all {IMAGES:,} images: {whole:,} requests; {seconds / 60:.0f} minutes at {latency * 1000:.0f} ms "
            f"for each; ${whole / 1000 * price:.2f} at ${price} for 1,000."
        )


def rows(size: float, runs: int, latency: float) -> tuple[list[Row], Count]:
    """Return the lines of the table, and what the index took."""
    with tempfile.TemporaryDirectory() as home, radosgw(Path(home)) as server:
        bucket = server.new_bucket()
        found = [
            *reading(bucket, miniature(size), "on this machine", runs, 0),
            *reading(bucket, miniature(size), f"{latency * 1000:.0f} ms away", runs, latency),
        ]
        lines, count = indexing(bucket, simulated(FRACTION), runs, latency)
    return [*found, *lines], count


def reading(bucket: Bucket, archive: Path, where: str, runs: int, latency: float) -> list[Row]:
    """Compare batches of random images."""
    _put(bucket, archive)
    places = DATA / "batches.npz"
    [index] = ilsvrc.index(archive)
    drawn = np.random.default_rng(0).integers(0, len(index), (BATCHES, BATCH))
    np.savez(places, starts=index.offsets, sizes=index.sizes, batches=drawn)
    with _before(bucket, latency):
        works = [Work(kind, (*PEER, kind, "batches", bucket.url(KEY), places)) for kind in ("ours", "obstore")]
        rounds = measure(works, runs)
    measured = ratio(rounds["ours"], rounds["obstore"], stated)
    return [Row(f"random batches of {BATCH} from a store {where}", "obstore.get_ranges", measured, runs, most=1.2)]


def indexing(bucket: Bucket, archive: Path, runs: int, latency: float) -> tuple[list[Row], Count]:
    """Compare indexing with the same requests, sent by as many threads."""
    _put(bucket, archive)
    images = len(ilsvrc.index(archive)[0])
    found: list[Row] = []
    for where, wait in (("on this machine", 0.0), (f"{latency * 1000:.0f} ms away", latency)):
        with _before(bucket, wait) as proxy:
            asked = _record(bucket, proxy)
            ours = Work("ours", (*PEER, "ours", "index", bucket.url(KEY), asked.places), partial(_forget, bucket))
            alone = Work("obstore", (*PEER, "obstore", "index", bucket.url(KEY), asked.places))
            rounds = measure([ours, alone], runs)
        measured = ratio(rounds["ours"], rounds["obstore"], stated)
        found.append(Row(f"index in a store {where}", "the same requests alone", measured, runs, most=1.2))
    return found, Count(images, asked.requests, asked.at_once)


def _record(bucket: Bucket, proxy: Proxy) -> Asked:
    """Index once and return what was asked for."""
    _forget(bucket)
    proxy.forget()
    nothing = DATA / "nothing.npz"
    np.savez(nothing)
    run_once((*PEER, "ours", "index", bucket.url(KEY), nothing))
    asked = [a.request.headers.get("range", "") for a in proxy.answers if a.request.path.endswith(KEY)]
    bounds = [match for text in asked if (match := re.fullmatch(r"bytes=(\d+)-(\d+)", text))]
    ranges = [(int(match[1]), int(match[2]) + 1 - int(match[1])) for match in bounds]
    places = DATA / "ranges.npz"
    np.savez(places, ranges=np.array(ranges), at_once=proxy.most)
    return Asked(places, proxy.count(), proxy.most)


def _put(bucket: Bucket, archive: Path) -> None:
    """Let the archive be the only object."""
    import obstore

    obstore.delete(bucket.store(), bucket.keys())
    bucket.put_folder(archive.parent, "archives", archive.name)


def _forget(bucket: Bucket) -> None:
    """Remove the index that lies in the bucket."""
    import obstore

    obstore.delete(bucket.store(), bucket.keys("archives/.ilsvrc"))


@contextlib.contextmanager
def _before(bucket: Bucket, latency: float) -> Iterator[Proxy]:
    """Lead the programs to the bucket through a proxy, which counts, and lets each request wait."""
    with proxy_to(bucket.server.endpoint, lambda _: Fault(delay=latency)) as proxy:
        os.environ.update(environment(proxy.endpoint))
        yield proxy


def _main(arguments: Sequence[str] | None = None) -> None:
    made = parser(__doc__, ("--size", 1e9, "bytes of the archive of batches"))
    made.add_argument("--latency", type=float, default=LATENCY, help="seconds that each request waits (%(default)s)")
    made.add_argument("--price", type=float, default=PRICE, help="US dollars for 1,000 requests (%(default)s)")
    options = made.parse_args(arguments)
    found, count = rows(options.scale, options.runs, options.latency)
    show(found)
    print(f"\n{count.stated(options.latency, options.price)}")


if __name__ == "__main__":
    _main()
