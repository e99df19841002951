"""Turn what aria2c says of a download into events."""

from __future__ import annotations

import time
from typing import Any

from ilsvrc.events import Advanced, Finished, Listener, Started


class Meter:
    """How far one archive is, told to a listener.

    `received` is what this call brought, in bytes; `idle` says for how many seconds nothing has happened.
    """

    def __init__(self, name: str, size: int, listener: Listener) -> None:
        self._name = name
        self._size = size
        self._listener = listener
        self._done = self._checked = 0
        self._base: int | None = 0
        self._moved = time.monotonic()
        self.received = 0
        listener(Started(name, total_bytes=size))

    @property
    def done(self) -> int:
        """Bytes of the archive that are there."""
        return self._done

    @property
    def idle(self) -> float:
        """Seconds since a byte arrived or was checked."""
        return time.monotonic() - self._moved

    def resume(self, *, kept: bool) -> None:
        """Begin another attempt; `kept` says that bytes of an earlier one are on disk."""
        self._base = None if kept else 0

    def take(self, status: dict[str, Any]) -> None:
        """Tell the listener what changed since the last status."""
        done, checked = int(status["completedLength"]), int(status.get("verifiedLength", 0))
        if int(status["totalLength"]) and "verifyIntegrityPending" not in status and not checked:
            self._count(done)
        if done > self._done or checked > self._checked:
            self._moved = time.monotonic()
        self._listener(Advanced(self._name, bytes=done - self._done, detail=self._describe(status, done, checked)))
        self._done, self._checked = done, checked

    def finish(self) -> None:
        """Tell the listener that the archive is there."""
        self._listener(Finished(self._name))

    def _count(self, done: int) -> None:
        if self._base is not None:
            self.received += max(done - self._base, 0)
        self._base = done

    def _describe(self, status: dict[str, Any], done: int, checked: int) -> str:
        if checked:
            return f"checking pieces, {checked / max(self._size, 1):.0%}"
        speed, count = int(status["downloadSpeed"]), int(status["connections"])
        words = [f"{speed / 1e6:.1f} MB/s", _plural(count, "peer" if "bittorrent" in status else "connection")]
        if speed and self._size:
            words.append(f"{_clock((self._size - done) // speed)} left")
        return ", ".join(words)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _clock(seconds: int) -> str:
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
