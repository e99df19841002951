"""What the tests of whole fetches share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ilsvrc.archive.sidecar import recorded
from ilsvrc.events import Advanced, Event
from ilsvrc.fetch import FetchReport, FetchRequest, Limits, unfinished
from tests.fetch.conftest import Heard, Served

HASTY = Limits(patience=2, dht=False)
"""Limits for tests: a server that is gone is given up soon, and nobody outside is asked."""


HASTY_PEERS = replace(HASTY, patience=15)
"""Peers find each other within seconds, not at once."""


class StopAtError(Exception):
    """What a test throws to break off a fetch."""


class StopAt(Heard):
    """A listener that breaks off once so many bytes of an archive are there."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._left = limit

    def __call__(self, event: Event) -> None:
        super().__call__(event)
        if isinstance(event, Advanced) and not event.stage.endswith("md5"):
            self._left -= event.bytes
            if self._left <= 0:
                raise StopAtError


def check(report: FetchReport, served: Served, folder: Path) -> None:
    """Require the very bytes, a record that says so, and nothing left behind."""
    (fetched,) = report.archives
    assert (folder / served.name).read_bytes() == served.data
    assert fetched.digest.hex == served.md5
    assert fetched.size == len(served.data)
    assert unfinished(folder) == []
    record = recorded(folder / served.name)
    assert (record and record.digest) == (f"md5:{served.md5}" if fetched.against else None)


def request(folder: Path, *urls: str, **words: object) -> FetchRequest:
    return FetchRequest(folder, urls=urls, **{"limits": HASTY} | words)  # type: ignore[arg-type]
