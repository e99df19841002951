"""Torrent files and magnet links, read by aria2c itself."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ilsvrc.errors import NetworkError, UsageError
from ilsvrc.events import Advanced, Event, Finished, Listener, Note, Started
from ilsvrc.facts import academic_magnet
from ilsvrc.fetch.aria2 import Aria2
from ilsvrc.fetch.failures import AGAIN, engine_failure
from ilsvrc.fetch.options import seeding_options
from ilsvrc.fetch.part import state_folder
from ilsvrc.fetch.request import FetchRequest, Limits
from ilsvrc.files import open_own

ACADEMIC = "academic"
_POLL = 0.1  # seconds


@dataclass(frozen=True, slots=True)
class Torrent:
    """A torrent of one archive.

    name : of the file in it
    size : bytes
    piece : bytes of a piece
    infohash : 40 hexadecimal digits
    data : the torrent file itself
    """

    name: str
    size: int
    piece: int
    infohash: str
    data: bytes


def expand(sources: tuple[str, ...], names: tuple[str, ...]) -> list[str]:
    """Return torrent files and magnet links, with `academic` replaced by the link of each archive that has one."""
    links = [link for link in map(academic_magnet, names) if link]
    if ACADEMIC in sources and not links:
        raise UsageError("Academic Torrents holds the train and val archives only", hint="name one of them")
    return [s for s in sources if s != ACADEMIC] + (links if ACADEMIC in sources else [])


def read_torrent(engine: Aria2, source: str, request: FetchRequest, listener: Listener) -> Torrent:
    """Return the torrent in a file, or of a magnet link; UsageError if it has several files."""
    if source.startswith("magnet:"):
        data = _metadata(engine, source, request, listener)
    else:
        path = Path(source)
        if not path.is_file():
            raise UsageError(
                f"{source}: there is no such torrent file", hint="give a file, a magnet link or `academic`"
            )
        data = path.read_bytes()
    return _describe(engine, source, data)


def _describe(engine: Aria2, source: str, data: bytes) -> Torrent:
    gid = engine.add_torrent(data, [], {"pause": "true"})
    status = engine.status(gid)
    engine.forget(gid)
    files = status["files"]
    if len(files) != 1 or "bittorrent" not in status:
        raise UsageError(f"{source}: holds {len(files)} files", hint="give a torrent of one archive")
    name, size, piece = status["bittorrent"]["info"]["name"], int(files[0]["length"]), int(status["pieceLength"])
    return Torrent(name, size, piece, status["infoHash"], data)


def _metadata(engine: Aria2, link: str, request: FetchRequest, listener: Listener) -> bytes:
    """Get the torrent of a magnet link from its peers; it is kept beside the archives for the next run."""
    folder = state_folder(request.folder)
    for kept in folder.glob("*.torrent"):  # aria2c would write through a link
        os.close(open_own(kept, os.O_RDONLY))
    options = {"dir": str(folder), "bt-metadata-only": "true", "bt-save-metadata": "true"}
    gid = engine.add([link], options | {"bt-load-saved-metadata": "true"})
    listener(Started("torrent"))
    try:
        infohash = _await_metadata(engine, gid, request.limits.patience)
    finally:
        engine.forget(gid)
    listener(Finished("torrent"))
    return (folder / f"{infohash}.torrent").read_bytes()


def _await_metadata(engine: Aria2, gid: str, patience: float) -> str:
    end = time.monotonic() + patience
    while True:
        status = engine.status(gid)
        if status["status"] == "complete":
            return str(status["infoHash"])
        if status["status"] == "error":
            raise engine_failure("magnet link", status)
        if time.monotonic() > end:
            detail = f"no peer sent the torrent of the magnet link within {patience:,.0f} s"
            raise NetworkError(detail, hint=f"add --url or a torrent file, or {AGAIN}")
        time.sleep(_POLL)


_SEEDING_POLL = 0.5  # seconds


def seed(engine: Aria2, torrent: Torrent, path: Path, limits: Limits) -> Iterator[Event]:
    """Upload an archive `limits.seed_ratio` times to other peers; with a ratio of 0 yield only a note."""
    if not limits.seed_ratio:
        yield Note(f"{path.name}: not uploaded to other peers (--seed-ratio 1 uploads as much as was downloaded)")
        return
    options = {"dir": str(path.parent.resolve()), "index-out": f"1={path.name}"}
    gid = engine.add_torrent(torrent.data, [], options | dict(seeding_options(limits)))
    stage, sent = f"{path.name}: seeding", 0
    yield Started(stage, total_bytes=int(torrent.size * limits.seed_ratio))
    while (status := engine.status(gid))["status"] in ("active", "waiting"):
        uploaded, speed = int(status["uploadLength"]), int(status["uploadSpeed"]) / 1e6
        yield Advanced(stage, bytes=uploaded - sent, detail=f"{speed:.1f} MB/s, {status['connections']} peers")
        sent = uploaded
        time.sleep(_SEEDING_POLL)
    yield Finished(stage)
    engine.forget(gid)
    if status["status"] == "error":
        raise engine_failure(path.name, status)
