"""Give a verified archive back to other peers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from ilsvrc.events import Advanced, Event, Finished, Note, Started
from ilsvrc.fetch.aria2 import Aria2
from ilsvrc.fetch.failures import engine_failure
from ilsvrc.fetch.options import seeding_options
from ilsvrc.fetch.request import Limits
from ilsvrc.fetch.torrents import Torrent

_POLL = 0.5  # seconds


def seed(engine: Aria2, torrent: Torrent, path: Path, limits: Limits) -> Iterator[Event]:
    """Upload an archive until `limits.seed_ratio` times its size has gone out; with a ratio of 0 only say so."""
    if not limits.seed_ratio:
        yield Note(f"{path.name}: seeding is off (--seed-ratio 1 gives back as much as came)")
        return
    options = {"dir": str(path.parent.resolve()), "index-out": f"1={path.name}"}
    gid = engine.add_torrent(torrent.data, [], options | dict(seeding_options(limits)))
    stage, sent = f"{path.name}: seeding", 0
    yield Started(stage, total_bytes=int(torrent.size * limits.seed_ratio))
    while (status := engine.status(gid))["status"] in ("active", "waiting"):
        uploaded, speed = int(status["uploadLength"]), int(status["uploadSpeed"]) / 1e6
        yield Advanced(stage, bytes=uploaded - sent, detail=f"{speed:.1f} MB/s, {status['connections']} peers")
        sent = uploaded
        time.sleep(_POLL)
    yield Finished(stage)
    engine.forget(gid)
    if status["status"] == "error":
        raise engine_failure(path.name, status)
