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
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from tests.stores.ceph import radosgw
from tests.stores.proxy import Fault, Proxy, proxy_to
from tests.stores.servers import Bucket, environment

import ilsvrc
from bench.command import parser, show
from bench.data import DATA
from bench.harness import Work, measure, ratio, run_once, stated
from bench.table import Row
from ilsvrc.archive.remote import AT_ONCE
from ilsvrc.facts import TRAIN, classes
from ilsvrc.testing import MiniSpec, write_mini

PEER = (sys.executable, "-m", "bench.peers.stores")
KEY = f"archives/{TRAIN}"

BATCH, BATCHES = 64, 20
CLASSES, MEAN = 6, 100_000
"""Classes, and bytes of an image.

Few classes with many images each, as in the real archive: the headers of a class are a chain, one after the other.
"""

LATENCY = 0.05
PRICE = 0.0004
"""US dollars for 1,000 GET requests: Amazon S3 Standard, us-east-1 (aws.amazon.com/s3/pricing)."""

IMAGES = sum(synset.train_images for synset in classes())


@dataclass(frozen=True, slots=True)
class Count:
    """Requests of indexing an archive.

    images, classes : in the archive
    requests : of all kinds, for opening it without an index
    """

    images: int
    classes: int
    requests: int

    def stated(self, latency: float, price: float) -> str:
        """Return what it takes at full scale, in words: an image has one header, the rest is for each class."""
        whole = IMAGES + round((self.requests - self.images) / self.classes * len(classes()))
        minutes = whole / AT_ONCE * latency / 60
        return (
            f"Index: {self.requests:,} requests for {self.images:,} images in {self.classes} classes. "
            f"For all {IMAGES:,} in {len(classes()):,}: {whole:,} requests; "
            f"{minutes:.0f} minutes with {AT_ONCE} at a time, {latency * 1000:.0f} ms each; "
            f"${whole / 1000 * price:.2f} at ${price} for 1,000."
        )


def rows(size: float, runs: int, latency: float) -> tuple[list[Row], Count]:
    """Return the lines of the table, and what the index took."""
    archive = _written(size)
    found, count = [], Count(len(ilsvrc.index(archive)[0]), CLASSES, 0)
    with tempfile.TemporaryDirectory() as home, radosgw(Path(home)) as server:
        bucket = server.new_bucket()
        bucket.put_folder(archive.parent, "archives", archive.name)
        for where, wait in (("on this machine", 0.0), (f"{latency * 1000:.0f} ms away", latency)):
            with _before(bucket, wait) as proxy:
                found.append(reading(bucket, archive, where, runs))
                line, requests = indexing(bucket, proxy, where, runs)
                found.append(line)
                count = replace(count, requests=requests)
    return found, count


def reading(bucket: Bucket, archive: Path, where: str, runs: int) -> Row:
    """Compare batches of random images."""
    places = DATA / "batches.npz"
    [index] = ilsvrc.index(archive)
    drawn = np.random.default_rng(0).integers(0, len(index), (BATCHES, BATCH))
    np.savez(places, starts=index.offsets, sizes=index.sizes, batches=drawn)
    works = [Work(kind, (*PEER, kind, "batches", bucket.url(KEY), places)) for kind in ("ours", "obstore")]
    rounds = measure(works, runs)
    measured = ratio(rounds["ours"], rounds["obstore"], stated)
    return Row(f"random batches of {BATCH} from a store {where}", "obstore.get_ranges", measured, runs, most=1.2)


def indexing(bucket: Bucket, proxy: Proxy, where: str, runs: int) -> tuple[Row, int]:
    """Compare indexing with the same requests, sent by a thread for each class; return how many they are, too."""
    requests, places = _recorded(bucket, proxy)
    ours = Work("ours", (*PEER, "ours", "index", bucket.url(KEY), places), partial(_forget, bucket))
    rounds = measure([ours, Work("obstore", (*PEER, "obstore", "index", bucket.url(KEY), places))], runs)
    measured = ratio(rounds["ours"], rounds["obstore"], stated)
    return Row(f"index in a store {where}", "the same requests alone", measured, runs, most=1.2), requests


def _written(size: float) -> Path:
    """Return a train archive of about so many bytes, making it at first."""
    count = max(2, round(size / CLASSES / MEAN))
    folder = DATA / f"store-{count}"
    if not (folder / "MD5SUMS").exists():
        write_mini(folder, MiniSpec(CLASSES, count, val_per_class=1, mean_bytes=MEAN))
    return folder / TRAIN


def _recorded(bucket: Bucket, proxy: Proxy) -> tuple[int, Path]:
    """Index once; return the number of requests, and a file of the ranges that were asked for."""
    _forget(bucket)
    proxy.forget()
    places = DATA / "ranges.npz"
    np.savez(places)
    run_once((*PEER, "ours", "index", bucket.url(KEY), places))
    asked = [a.request.headers.get("range", "") for a in proxy.answers if a.request.path.endswith(KEY)]
    bounds = [match for text in asked if (match := re.fullmatch(r"bytes=(\d+)-(\d+)", text))]
    ranges = [(int(match[1]), int(match[2]) + 1 - int(match[1])) for match in bounds]
    np.savez(places, ranges=np.array(ranges), at_once=CLASSES)
    return proxy.count(), places


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
    made = parser(__doc__, ("--size", 4e8, "bytes of the archive"))
    made.add_argument("--latency", type=float, default=LATENCY, help="seconds that each request waits (%(default)s)")
    made.add_argument("--price", type=float, default=PRICE, help="US dollars for 1,000 requests (%(default)s)")
    options = made.parse_args(arguments)
    found, count = rows(options.scale, options.runs, options.latency)
    show(found)
    print(f"\n{count.stated(options.latency, options.price)}")


if __name__ == "__main__":
    _main()
