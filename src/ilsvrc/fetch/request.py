"""What a caller asks of `fetch`, and what it gets back."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from ilsvrc.errors import UsageError
from ilsvrc.facts import Digest

MOST_CONNECTIONS = 16
"""aria2 opens no more than this to one server."""


def url_parts(url: str) -> SplitResult:
    """Return the parts of a URL that can be fetched; UsageError for any other text."""
    try:
        parts = urlsplit(url)
        right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # such as http://[::1, or a port that is no number
        right = False
    if not right or not url.isprintable() or " " in url:
        hint = "it begins with http:// or https://, and a space in it is written %20"
        raise UsageError(f"{_without_login(url)!r}: not a URL that can be fetched", hint=hint)
    return parts


def _without_login(url: str) -> str:
    """Return what may be printed of a text that should be a URL."""
    return re.sub(r"//[^/]*@", "//", url.partition("?")[0])


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a server may want to see before it gives an archive.

    cookies : a cookies file as browsers' extensions export it (Netscape format)
    headers : whole header lines, such as "Authorization: Bearer ..."
    netrc : a netrc file; it must be readable by its owner alone
    """

    cookies: Path | None = None
    headers: tuple[str, ...] = ()
    netrc: Path | None = None

    def __post_init__(self) -> None:
        for path in (self.cookies, self.netrc):
            if path and not path.is_file():
                raise UsageError(f"{path}: there is no such file")
        if self.netrc and self.netrc.stat().st_mode & 0o077:
            raise UsageError(f"{self.netrc}: others may read it", hint=f"chmod 600 {self.netrc}")
        for header in self.headers:
            if ":" not in header or not header.isprintable():
                raise UsageError(f"not a header: {header!r}", hint='write it as --header "Name: value"')

    def __bool__(self) -> bool:
        return bool(self.cookies or self.headers or self.netrc)


@dataclass(frozen=True, slots=True)
class Limits:
    """How hard to pull, and for how long.

    connections : to all servers of one archive together, 1 to 16
    max_speed : bytes a second, 0 for as fast as can be
    seed_ratio : give back this share of the archive to other peers once it is verified; 0 for none
    patience : seconds to go on trying while no byte arrives
    dht : find peers without a tracker
    """

    connections: int = MOST_CONNECTIONS
    max_speed: int = 0
    seed_ratio: float = 0.0
    patience: float = 300.0
    dht: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.connections <= MOST_CONNECTIONS:
            raise UsageError(f"{self.connections} connections: aria2c opens 1 to {MOST_CONNECTIONS}")
        if self.max_speed < 0 or self.seed_ratio < 0 or self.patience <= 0:
            raise UsageError("a limit can't be negative, and patience must be above 0")


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """What to fetch, from where, to where.

    folder : where the archives go, under their official names
    names : official file names; empty to take them from the URLs and torrents, or else train, val and devkit
    urls : servers of the archives; several of one archive are used together
    torrents : torrent files, magnet links, or "academic" for the copies of Academic Torrents
    """

    folder: Path
    names: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    torrents: tuple[str, ...] = ()
    credentials: Credentials = field(default_factory=Credentials)
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        for url in self.urls:
            url_parts(url)


@dataclass(frozen=True, slots=True)
class Fetched:
    """One archive that is now there.

    digest : its MD5
    against : what the digest was compared with: official, MD5SUMS or torrent; None where nothing is known of it
    received : bytes that this call brought, 0 where the archive was there before
    seconds : from the first request to the verified file
    """

    name: str
    path: Path
    size: int
    digest: Digest
    against: str | None
    received: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class FetchReport:
    """Every archive of a request, in its order."""

    archives: tuple[Fetched, ...]

    def to_json(self) -> dict[str, object]:
        """Return the report as a document."""
        return {"ok": True, "archives": [_document(a) for a in self.archives]}


def _document(fetched: Fetched) -> dict[str, object]:
    return {
        "name": fetched.name,
        "path": str(fetched.path),
        "size": fetched.size,
        "digest": str(fetched.digest),
        "against": fetched.against,
        "received": fetched.received,
        "seconds": round(fetched.seconds, 3),
    }
