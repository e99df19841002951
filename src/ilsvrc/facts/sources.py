"""Where the archives are published: the official server, its login page, and the Academic Torrents copies."""

from __future__ import annotations

from functools import cache
from urllib.parse import urlencode

from ilsvrc.facts.tables import read_rows


@cache
def urls(kind: str) -> tuple[str, ...]:
    """Return the published URLs of one kind: official (a folder), login, terms or tracker."""
    return tuple(row["url"] for row in read_rows("sources.tsv") if row["kind"] == kind)


def official_url(name: str) -> str:
    """Return where image-net.org serves the archive of this file name; it wants a login."""
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
