"""Getting an archive from a server, digest included, against plain aria2c, which checks nothing."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fetch.nginx import Nginx

from bench.command import run
from bench.data import DATA, ILSVRC, remove
from bench.harness import Work, measure, ratio, wall
from bench.table import Row
from ilsvrc.fetch.aria2 import find_aria2c

SIZE = ("--size", 3e9, "bytes of the archive")
LINE = 125_000_000
"""Bytes a second of a line of 1 Gbit/s."""

NAME = "ILSVRC2012_img_any.tar"


def rows(size: float, runs: int) -> list[Row]:
    """Return the lines of the table about fetching from an nginx on loopback: speed, ours to theirs."""
    found = []
    with served(int(size)) as (url, digest, folder):
        for title, limit in (("as fast as it goes", 0), ("1 Gbit/s", LINE)):
            rounds = measure(_works(url, digest, folder, limit), runs)
            for peer, least in (("aria2c -x16 -s16", 0.95), ("aria2c, then md5sum", None)):
                speed = ratio(rounds[peer], rounds["ours"], wall)
                found.append(Row(f"fetch {size / 1e9:g} GB, {title}: speed", peer, speed, runs, least=least))
    return found


@contextmanager
def served(size: int) -> Iterator[tuple[str, str, Path]]:
    """Serve random bytes; yield their URL, their MD5 and a folder to fetch them into."""
    DATA.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=DATA) as home, closing(Nginx(Path(home) / "nginx")) as server:
        yield server.url("ranges", NAME), _write(server.root / NAME, size), Path(home) / "to"


def _works(url: str, digest: str, folder: Path, limit: int) -> list[Work]:
    aria2c = [str(find_aria2c()), "--no-conf", "--quiet", "-x16", "-s16", "--file-allocation=none"]
    aria2c += [f"--max-overall-download-limit={limit}", "-d", str(folder), url]
    md5sum = f"cd {folder} && md5sum --quiet -c MD5SUMS"
    works: dict[str, list[str | Path]] = {
        "ours": [*ILSVRC, "fetch", "--to", folder, "--url", url, "--max-speed", str(limit)],
        "aria2c -x16 -s16": [*aria2c],
        "aria2c, then md5sum": ["sh", "-c", f"{shlex.join(aria2c)} && {md5sum}"],
    }
    return [Work(name, words, partial(_begin, folder, digest)) for name, words in works.items()]


def _begin(folder: Path, digest: str) -> None:
    """Empty the folder but for the digest that the archive should have; what was written before is on the disk."""
    remove(folder)
    folder.mkdir()
    (folder / "MD5SUMS").write_text(f"{digest}  {NAME}\n", encoding="ascii")


def _write(path: Path, size: int) -> str:
    """Write random bytes and return their MD5."""
    digest = hashlib.md5(usedforsecurity=False)
    with open("/dev/urandom", "rb") as source, open(path, "wb") as target:
        for start in range(0, size, 1 << 24):
            chunk = source.read(min(1 << 24, size - start))
            target.write(chunk)
            digest.update(chunk)
    return digest.hexdigest()


if __name__ == "__main__":
    run(__doc__, SIZE, rows)
