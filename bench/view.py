"""Let several people look at a full-size data set at once: time of each kind of request, memory of the server.

The archive is simulated, of the real size, with pictures in place of the zeros of all images that are looked at. The
real command serves it. Each viewer opens a page, loads the thumbnails that are on the screen over six connections, as
browsers do, looks for a second, and goes on to another page: classes, searches, the tree, a class in several orders,
more of it, an image at full size, a sample, two classes side by side. Viewers ask from a process of their own, on the
same processors.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import threading
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, RemoteDisconnected
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from bench.data import DATA, ILSVRC, simulated
from bench.table import aligned, machine
from ilsvrc import facts
from ilsvrc.readers.locate import find_splits
from ilsvrc.testing.images import Camera
from ilsvrc.web.view.collection import Split
from ilsvrc.web.view.pages import drawn

CONNECTIONS = 6
"""Requests of a browser to one host at the same time."""

ON_SCREEN = 32
"""Thumbnails of a grid that a window shows."""

CLASSES = 12
"""Classes that are looked at, at equal distances."""

SEEDS = 8
"""Random samples that are looked at."""

WORDS = ("crane", "terrier", "n02084071", "490", "boat", "n01440764_10026", "ILSVRC2012_val_00000001")
_THUMBNAIL = re.compile(rb'src="(/thumb/[^"]+)"')
_IMAGE = re.compile(rb'href="(/image/[^"]+)"')
_PICTURE = re.compile(rb'src="(/picture/[^"]+)"')


def looked_at(archive: Path) -> None:
    """Write pictures where viewers look: the image that stands for each class, and all images of some classes.

    Each gets the largest of a few JPEGs that has room in its place; those of an earlier run stay.
    """
    reader = find_splits(archive)["train"].open()
    first = np.searchsorted(reader.labels, np.arange(1_001))
    middle = first[:-1] + (first[1:] - first[:-1]) // 2
    whole = [row for label in chosen() for row in range(first[label], first[label + 1])]
    sampled = [row for seed in range(SEEDS) for row in drawn(Split(reader), seed)]
    made = sorted(
        (Camera(0, mean).jpeg(f"n01440764_{mean}.JPEG", 0) for mean in range(8_000, 240_000, 4_000)), key=len
    )
    lengths = [len(data) for data in made]
    with archive.open("r+b") as file:
        for row in sorted({*middle.tolist(), *whole, *sampled}):
            file.seek(reader.where(row).offset)
            fitting = bisect_right(lengths, reader.sizes.item(row)) - 1
            if file.read(2) != b"\xff\xd8" and fitting >= 0:
                file.seek(reader.where(row).offset)
                file.write(made[fitting])
    find_splits(archive)["train"].open()  # the archive was written to, so it is indexed again


def chosen() -> list[int]:
    """Return the classes that are looked at."""
    return [999 * number // (CLASSES - 1) for number in range(CLASSES)]


class Viewer:
    """One person with a browser.

    Parameters
    ----------
    netloc
        Host and port of the server.
    seed
        Of the pages that are chosen.
    """

    def __init__(self, netloc: str, seed: int) -> None:
        self._netloc, self._draw = netloc, random.Random(seed)
        self._kept = threading.local()
        self._pool = ThreadPoolExecutor(CONNECTIONS)
        self.times: defaultdict[str, list[float]] = defaultdict(list)

    def look(self, until: float, pause: float) -> None:
        """Look at pages until a time, with a pause after each."""
        while time.monotonic() < until:
            kind, path = self._draw.choice(list(self._pages()))
            page = self._get(kind, path)
            thumbnails = [found.decode() for found in _THUMBNAIL.findall(page)][:ON_SCREEN]
            list(self._pool.map(lambda one: self._get("thumbnail", one), thumbnails))
            images = _IMAGE.findall(page)
            if images and kind != "search":
                shown = self._get("image", self._draw.choice(images).decode())
                self._get("picture", _PICTURE.findall(shown)[0].decode())
            time.sleep(pause * self._draw.uniform(0.5, 1.5))

    def _pages(self) -> Iterator[tuple[str, str]]:
        table, draw = facts.classes(), self._draw
        one, other = (table[label].wnid for label in draw.sample(chosen(), 2))
        yield "classes", f"/?from={60 * draw.randrange(16)}"
        yield "search", f"/?q={draw.choice(WORDS)}"
        yield "tree", f"/tree/{draw.choice(list(facts.hierarchy().words))}"
        yield "class", f"/class/train/{one}?from={60 * draw.randrange(10)}"
        yield (
            "class, sorted",
            f"/class/train/{one}?sort={draw.choice(['bytes', '-aspect', 'pixels'])}&shape=landscape",
        )
        yield "sample", f"/sample?seed={draw.randrange(SEEDS)}"
        yield "compare", f"/compare?a={one}&b={other}"
        yield "labels", "/labels?labels=1+2+3&from=devkit"

    def _get(self, kind: str, path: str) -> bytes:
        connection = getattr(self._kept, "connection", None)
        if connection is None:
            connection = self._kept.connection = HTTPConnection(self._netloc)
        begun = time.perf_counter()
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
        except (RemoteDisconnected, BrokenPipeError, ConnectionResetError):  # it was idle, and browsers ask again too
            connection.close()
            connection.request("GET", path)
            answer = connection.getresponse()
        data = answer.read()
        self.times[kind].append(1_000 * (time.perf_counter() - begun))
        if answer.status == 303:
            return self._get(kind, answer.headers["Location"])
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {data[:200]!r}")
        return data


def memory(pid: int) -> dict[str, int]:
    """Return memory of a process in MB: at its peak, now, and what of that is its own, not mapped files."""
    told = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    names = {"peak": "VmHWM", "now": "VmRSS", "of its own": "RssAnon"}
    return {name: int(told[field].split()[0]) // 1_000 for name, field in names.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--viewers", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--pause", type=float, default=1, help="mean seconds that a page is looked at")
    arguments = parser.parse_args()
    archive = simulated(1.0)
    looked_at(archive)
    command = [*ILSVRC, "--json", "view", str(archive), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            told = "".join(iter(server.stdout.readline, "}\n")) + "}"  # type: ignore[union-attr]
            netloc = urlsplit(json.loads(told)["url"]).netloc
            begun = memory(server.pid)
            viewers = [Viewer(netloc, seed) for seed in range(arguments.viewers)]
            until = time.monotonic() + arguments.seconds
            threads = [threading.Thread(target=one.look, args=(until, arguments.pause)) for one in viewers]
            for one in threads:
                one.start()
            for one in threads:
                one.join()
            ended = memory(server.pid)
        finally:
            server.terminate()
    _show(viewers, begun, ended, arguments.seconds)


def _show(viewers: list[Viewer], begun: dict[str, int], ended: dict[str, int], seconds: float) -> None:
    times: defaultdict[str, list[float]] = defaultdict(list)
    for viewer in viewers:
        for kind, found in viewer.times.items():
            times[kind] += found
            times["any"] += found
    rows = [
        (kind, f"{len(found):,}", *(f"{np.percentile(found, share):.1f}" for share in (50, 95, 100)))
        for kind, found in times.items()
    ]
    header = ("request", "requests", "median, ms", "95 %, ms", "slowest, ms")
    sys.stdout.write(f"{aligned([header, *rows])}\n\n")
    rate = f"{len(times['any']) / seconds:,.0f} requests a second"
    sys.stdout.write(f"{len(viewers)} viewers, {rate}; wanted: 95 % in 100 ms\n")
    sys.stdout.write(f"memory of the server, MB: {begun} before, {ended} after; wanted: 400\n{machine(DATA)}\n")


if __name__ == "__main__":
    main()
