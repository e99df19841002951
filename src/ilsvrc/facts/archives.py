"""The archives that image-net.org publishes: names, sizes and digests."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from urllib.parse import urlencode

from ilsvrc.facts.tables import read_rows


@cache
def urls(kind: str) -> tuple[str, ...]:
    """Return the published URLs of one kind: official (a folder), login, terms or tracker."""
    return tuple(row["url"] for row in read_rows("sources.tsv") if row["kind"] == kind)


def official_url(name: str) -> str:
    """Return the URL at which image-net.org serves the archive of this file name, after a login."""
    return urls("official")[0] + name


@cache
def infohashes() -> dict[str, str]:
    """Return the infohash (40 hexadecimal digits) of each archive that Academic Torrents holds, by file name."""
    return {row["archive"]: row["infohash"] for row in read_rows("torrents.tsv")}


def academic_magnet(name: str) -> str | None:
    """Return the magnet link of an archive's Academic Torrents copy, with its trackers, or None."""
    infohash = infohashes().get(name)
    trackers = [("tr", url) for url in urls("tracker")]
    return f"magnet:?xt=urn:btih:{infohash}&{urlencode([('dn', name), *trackers])}" if infohash else None


def known_by_size(size: int) -> str | None:
    """Return the name and contents of the ImageNet file that has this size in bytes, or None.

    The size must be exact where it is published; elsewhere a range is used, since sources list it rounded.
    """
    exact = next((a for a in archives() if a.size == size), None)
    if exact:
        return f"{exact.name}, {exact.contents}"
    return next((text for low, high, text in _ranges() if low <= size <= high), None)


@cache
def _ranges() -> tuple[tuple[int, int, str], ...]:
    rows = read_rows("sizes.tsv")
    return tuple((int(r["smallest"]), int(r["largest"]), f"{r['name']}, {r['contents']}") for r in rows)


TRAIN = "ILSVRC2012_img_train.tar"
VAL = "ILSVRC2012_img_val.tar"
TEST = "ILSVRC2012_img_test_v10102019.tar"
DEVKIT = "ILSVRC2012_devkit_t12.tar.gz"

_SPLITS = {TRAIN: "train", VAL: "val", TEST: "test", "ILSVRC2012_img_test.tar": "test"}
_ALGORITHMS = ("md5", "sha1", "sha256")


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest of a file.

    algorithm : a name that hashlib knows, such as md5
    hex : lower-case hexadecimal digits
    """

    algorithm: str
    hex: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


@dataclass(frozen=True, slots=True)
class ArchiveSpec:
    """An official archive.

    name : official file name
    size : bytes, or None where it is not published
    digests : the published ones
    contents : one line for people
    split : train, val or test, or None when it holds no images of a split
    """

    name: str
    size: int | None
    digests: tuple[Digest, ...]
    contents: str
    split: str | None

    def digest(self, algorithm: str) -> Digest | None:
        """Return the published digest by this algorithm, or None."""
        return next((d for d in self.digests if d.algorithm == algorithm), None)


@cache
def archives() -> tuple[ArchiveSpec, ...]:
    """Return every archive of ILSVRC 2012 in the packaged table, the image archives first."""
    return tuple(_spec(row) for row in read_rows("archives.tsv"))


def official(name: str) -> ArchiveSpec | None:
    """Return the official archive of this file name, or None."""
    return next((a for a in archives() if a.name == name), None)


def archive_with_digest(digest: Digest) -> ArchiveSpec | None:
    """Return the official archive that has this digest, or None; it gives a misnamed file its right name."""
    return next((a for a in archives() if digest in a.digests), None)


def _spec(row: dict[str, str]) -> ArchiveSpec:
    digests = tuple(Digest(a, row[a]) for a in _ALGORITHMS if row[a])
    size = int(row["bytes"]) if row["bytes"] else None
    return ArchiveSpec(row["name"], size, digests, row["contents"], _SPLITS.get(row["name"]))
