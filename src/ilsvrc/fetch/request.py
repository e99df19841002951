"""The values of a fetch: the request, its limits and the report."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ilsvrc.errors import UsageError
from ilsvrc.facts import Digest
from ilsvrc.fetch.credentials import Credentials
from ilsvrc.fetch.urls import url_parts

MOST_CONNECTIONS = 16
"""aria2 opens no more than this to one server."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a transfer.

    connections : to all servers of one archive together, 1 to 16
    max_speed : bytes per second, 0 for no limit
    seed_ratio : upload this share of a verified archive to other peers; 0 for none
    patience : seconds to keep trying while no byte arrives
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
    """The archives to fetch, their sources, and the folder for them.

    folder : for the archives, under their official names
    names : official file names; if empty, those of the URLs and torrents, or else train, val and devkit
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
    """One archive that is now on disk.

    digest : its MD5
    against : the source of the expected digest: official, MD5SUMS or torrent; None if no digest is known
    received : bytes that this call received, 0 if the archive was on disk before
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
