"""Give a verified archive back to other peers."""

from __future__ import annotations

import time
from pathlib import Path

from ilsvrc.events import Advanced, Finished, Listener, Note, Started
from ilsvrc.fetch.aria2 import Aria2
from ilsvrc.fetch.failures import engine_failure
from ilsvrc.fetch.options import seeding_options
from ilsvrc.fetch.request import Limits
from ilsvrc.fetch.torrents import Torrent

_POLL = 0.5  # seconds


def seed(engine: Aria2, torrent: Torrent, path: Path, limits: Limits, listener: Listener) -> None:
    """Upload an archive until `limits.seed_ratio` times its size has gone out; with a ratio of 0 only say so."""
    if not limits.seed_ratio:
        listener(Note(f"{path.name}: seeding is off (--seed-ratio 1 gives back as much as came)"))
        return
    options = {"dir": str(path.parent.resolve()), "index-out": f"1={path.name}"}
    gid = engine.add_torrent(torrent.data, [], options | dict(seeding_options(limits)))
    stage, sent = f"{path.name}: seeding", 0
    listener(Started(stage, total_bytes=int(torrent.size * limits.seed_ratio)))
    while (status := engine.status(gid))["status"] == "active":
        uploaded = int(status["uploadLength"])
        speed = int(status["uploadSpeed"]) / 1e6
        listener(Advanced(stage, bytes=uploaded - sent, detail=f"{speed:.1f} MB/s, {status['connections']} peers"))
        sent = uploaded
        time.sleep(_POLL)
    listener(Finished(stage))
    if status["status"] == "error":
        raise engine_failure(path.name, status)
