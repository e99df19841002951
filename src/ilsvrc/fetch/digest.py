"""Hash a file while it arrives, so that a finished download is a verified one without a second read."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

from ilsvrc.facts import Digest
from ilsvrc.files import let_go

_CHUNK = 1 << 22  # bytes: one read


class PrefixHasher:
    """The digest of a growing file, followed from its beginning by a thread.

    The thread hashes up to the limit set by `allow`, soon after the bytes arrived, while they are still in memory.
    `finish` hashes the rest. One thread calls its methods; used as a context manager.
    """

    def __init__(self, path: Path, algorithm: str = "md5") -> None:
        self._path = path
        self.algorithm = algorithm
        self._hash = hashlib.new(algorithm, usedforsecurity=False)
        self._condition = threading.Condition()
        self._limit = 0
        self._stopped = False
        self._done = 0
        self._thread: threading.Thread | None = None

    def __enter__(self) -> PrefixHasher:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def hashed(self) -> int:
        """Bytes that are hashed already."""
        return self._done

    def allow(self, limit: int) -> None:
        """Let the first `limit` bytes of the file be hashed; a limit below an earlier one is ignored."""
        with self._condition:
            self._limit = max(self._limit, limit)
            self._condition.notify()
        if self._thread is None and limit:
            self._thread = threading.Thread(target=self._follow, name=self.algorithm, daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread after its current read."""
        with self._condition:
            self._stopped = True
            self._condition.notify()
        if self._thread:
            self._thread.join()

    def finish(self, advanced: Callable[[int], None]) -> Digest:
        """Hash the remaining bytes, call `advanced` with the bytes of each step, and return the digest."""
        self.stop()
        advanced(self._done)
        with open(self._path, "rb") as file:
            file.seek(self._done)
            while chunk := file.read(_CHUNK):
                self._hash.update(chunk)
                advanced(len(chunk))
        return Digest(self.algorithm, self._hash.hexdigest())

    def _follow(self) -> None:
        with open(self._path, "rb", buffering=0) as file:  # a buffer would read ahead, past the limit
            while (wanted := self._wait()) and (chunk := file.read(wanted)):
                self._hash.update(chunk)
                let_go(file.fileno(), self._done, len(chunk))  # begins to write it: aria2c syncs it soon
                self._done += len(chunk)

    def _wait(self) -> int:
        """Wait for bytes and return how many to read, 0 to end."""
        with self._condition:
            self._condition.wait_for(lambda: self._stopped or self._limit > self._done)
            return 0 if self._stopped else min(_CHUNK, self._limit - self._done)


def leading_bytes(bitfield: str, piece_length: int, size: int) -> int:
    """Return the length in bytes of the beginning that has arrived without a gap.

    `bitfield` is aria2's: hexadecimal, one bit per piece, the highest bit first, padded with zeros.
    """
    full = len(bitfield) - len(bitfield.lstrip("f"))
    rest = int(bitfield[full], 16) if full < len(bitfield) else 0
    pieces = 4 * full + (4 - (rest ^ 0xF).bit_length())
    return min(pieces * piece_length, size)
