#!/usr/bin/env python3
"""Time `ilsvrc fetch`, digest included, against plain `aria2c -x16 -s16` from the same nginx on loopback.

Usage: python -m bench.fetch [MEGABYTES] [RUNS] [FOLDER]     (default: 1000 MB, 5 runs, a temporary folder)

Two lines: one as fast as the machine goes, where hashing and the server share its cores, and one held at 60 MB a
second on both sides, as on a network. A and B alternate; medians are printed. `aria2c + md5sum` is the same work done
by hand: the ratio is theirs over ours, so 1 means as fast and more means faster. Run it on an idle machine.
"""

from __future__ import annotations

import hashlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.fetch.nginx import Nginx

from ilsvrc.fetch.aria2 import find_aria2c

HELD = 60_000_000  # bytes a second

Way = Callable[[Path, str, int], list[list[str]]]


def main(arguments: list[str]) -> int:
    size = int(arguments[0] if arguments else 1000) * 1_000_000
    runs = int(arguments[1]) if len(arguments) > 1 else 5
    with tempfile.TemporaryDirectory(dir=arguments[2] if len(arguments) > 2 else None) as home:
        server = Nginx(Path(home) / "nginx")
        digest = write(server.root / "a.tar", size)
        for title, limit in (("unlimited", 0), (f"held at {HELD / 1e6:.0f} MB/s", HELD)):
            measure = partial(run, home=home, server=server, limit=limit, digest=digest)
            compare(f"{size / 1e6:,.0f} MB, {title}", runs, measure)
        server.close()
    return 0


def compare(title: str, runs: int, measure: Callable[[Way], float]) -> None:
    """Print the median seconds of each way, and the ratios to ours."""
    ways: dict[str, Way] = {"ilsvrc fetch": ours, "aria2c": plain, "aria2c + md5sum": by_hand}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, way in ways.items():
            times[name].append(measure(way))
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    print(title)
    for name, seconds in medians.items():
        print(f"  {name:16} {seconds:7.2f} s   ratio {seconds / medians['ilsvrc fetch']:.2f}")


def ours(folder: Path, url: str, limit: int) -> list[list[str]]:
    return [
        [sys.executable, "-m", "ilsvrc", "-q", "fetch", "--to", str(folder), "--url", url, "--max-speed", str(limit)]
    ]


def plain(folder: Path, url: str, limit: int) -> list[list[str]]:
    words = [str(find_aria2c()), "--no-conf", "--quiet", "-x16", "-s16", "--file-allocation=none"]
    return [[*words, f"--max-overall-download-limit={limit}", "-d", str(folder), url]]


def by_hand(folder: Path, url: str, limit: int) -> list[list[str]]:
    return [*plain(folder, url, limit), ["md5sum", "--quiet", "-c", "MD5SUMS"]]


def run(way: Way, home: str, server: Nginx, limit: int, digest: str) -> float:
    folder = Path(home) / "to"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "MD5SUMS").write_text(f"{digest}  a.tar\n")
    started = time.perf_counter()
    for command in way(folder, server.url("ranges", "a.tar"), limit):
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def write(path: Path, size: int) -> str:
    """Write random bytes and return their MD5."""
    digest = hashlib.md5()
    with open("/dev/urandom", "rb") as source, open(path, "wb") as target:
        for start in range(0, size, 1 << 24):
            chunk = source.read(min(1 << 24, size - start))
            target.write(chunk)
            digest.update(chunk)
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
