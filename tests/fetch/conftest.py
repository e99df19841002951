"""A server, and an archive on it."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ilsvrc.events import Advanced, Event, Note
from tests.fetch.cutter import Cutter
from tests.fetch.nginx import Nginx


@dataclass(frozen=True)
class Served:
    """An archive on a server."""

    name: str
    data: bytes
    path: Path

    @property
    def md5(self) -> str:
        """Its digest, by hashlib."""
        return hashlib.md5(self.data).hexdigest()

    def expect(self, folder: Path) -> None:
        """List its digest in the folder, as md5sum does."""
        folder.mkdir(exist_ok=True)
        (folder / "MD5SUMS").write_text(f"{self.md5}  {self.name}\n")


class Heard:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    @property
    def notes(self) -> str:
        """All notes, one a line."""
        return "\n".join(e.text for e in self.events if isinstance(e, Note))

    def bytes(self, stage: str) -> int:
        """How far a stage came."""
        return sum(e.bytes for e in self.events if isinstance(e, Advanced) and e.stage == stage)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    server = Nginx(tmp_path_factory.mktemp("nginx"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def small(nginx: Nginx) -> Served:
    """An archive of 6 MB."""
    return serve(nginx, "small.tar", 6_000_000)


@pytest.fixture(scope="session")
def big(nginx: Nginx) -> Served:
    """An archive of 24 MB: long enough on a slow server to be broken off."""
    return serve(nginx, "big.tar", 24_000_000)


@pytest.fixture
def cutter(nginx: Nginx) -> Iterator[Cutter]:
    proxy = Cutter(nginx.port, None)
    yield proxy
    proxy.close()


@pytest.fixture
def heard() -> Heard:
    return Heard()


def serve(nginx: Nginx, name: str, size: int, seed: int = 1) -> Served:
    """Put random bytes on a server."""
    data = random.Random(seed).randbytes(size)
    path = nginx.root / name
    path.write_bytes(data)
    return Served(name, data, path)
