"""Prove an archive whole, in the same pass that feeds the unpacking."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Generator, Iterable
from typing import Protocol

from ilsvrc import facts
from ilsvrc.archive.expected import Expected
from ilsvrc.archive.sidecar import Verified, record, stored_index
from ilsvrc.archive.source import FileSource
from ilsvrc.errors import ArchiveError
from ilsvrc.events import Advanced, Finished, Listener, Started, silent
from ilsvrc.facts import Digest
from ilsvrc.issues import Code
from ilsvrc.readers.units import Unit

CHUNK = 8 << 20
"""Bytes hashed at a time."""

READ_AHEAD = 4 * CHUNK
"""Bytes that the disk is ahead of hashing: neither waits for the other."""

AHEAD = 4
"""Units that hashing may be ahead of writing, so that their pages are still in memory when they are written."""


class Proof(Protocol):
    """Stands between the units of a plan and the engine."""

    def release(self, units: Iterable[Unit]) -> Generator[Unit, None, None]:
        """Yield each unit when it may be worked on."""

    def confirm(self) -> Verified | None:
        """Return what is proved of the archive, None if nothing is.

        Raises
        ------
        ArchiveError
            If its digest is another one than it should be, or it was replaced meanwhile.
        """


class NoProof:
    """Releases every unit at once: the archive is not to be proved, or was proved before.

    proved : what was proved before, or None
    """

    def __init__(self, proved: Verified | None = None) -> None:
        self._proved = proved

    def release(self, units: Iterable[Unit]) -> Generator[Unit, None, None]:
        """Yield each unit."""
        yield from units

    def confirm(self) -> Verified | None:
        """Return what was proved before."""
        return self._proved


class HashingProof:
    """Hashes the archive front to back in a thread; a unit is released once all of it has been hashed.

    So the disk is read once, in one sweep, and workers find the bytes in memory.
    """

    def __init__(self, source: FileSource, expected: Expected, listener: Listener = silent) -> None:
        self._source = source
        self._expected = expected
        self._listener = listener
        self._hash = hashlib.new(expected.digest.algorithm)
        self._hashed = 0
        self._stop = threading.Event()

    def release(self, units: Iterable[Unit]) -> Generator[Unit, None, None]:
        """Yield each unit once it has been hashed; go on to the archive's end after the last."""
        ready: queue.Queue[Unit | BaseException | None] = queue.Queue(AHEAD)
        thread = threading.Thread(target=self._fill, args=(ready, list(units)), daemon=True)
        thread.start()
        try:
            while (item := ready.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            self._stop.set()
            while not ready.empty():
                ready.get_nowait()
            thread.join()

    def confirm(self) -> Verified | None:
        """Compare, and record an archive that is right and still the one that was hashed."""
        self._listener(Finished(self._stage))
        found = Digest(self._expected.digest.algorithm, self._hash.hexdigest())
        if found != self._expected.digest:
            raise wrong_digest(self._source, found, self._expected)
        source = self._source
        source.refuse_replaced()
        index = stored_index(source)
        return record(
            source.path, found, self._expected.against, source.state, identity=index.identity if index else ""
        )

    @property
    def _stage(self) -> str:
        return f"{self._expected.digest.algorithm} of {self._source.path.name}"

    def _fill(self, ready: queue.Queue[Unit | BaseException | None], units: list[Unit]) -> None:
        """Hash up to the end of one unit after the other, in the thread."""
        self._listener(Started(self._stage, self._source.size))
        try:
            for unit in units:
                self._hash_to(unit.end)
                self._put(ready, unit)
            self._hash_to(self._source.size)
            self._put(ready, None)
        except Exception as error:
            self._put(ready, error)

    def _put(self, ready: queue.Queue[Unit | BaseException | None], item: Unit | BaseException | None) -> None:
        while not self._stop.is_set():
            try:
                ready.put(item, timeout=0.2)
            except queue.Full:
                continue
            return

    def _hash_to(self, end: int) -> None:
        """Hash up to this byte of the archive, or to its end."""
        while self._hashed < min(end, self._source.size) and not self._stop.is_set():
            self._source.will_need(self._hashed + READ_AHEAD, CHUNK)
            data = self._source.read(self._hashed, min(CHUNK, self._source.size - self._hashed))
            self._hash.update(data)
            self._hashed += len(data)
            self._listener(Advanced(self._stage, bytes=len(data)))


def wrong_digest(source: FileSource, found: Digest, expected: Expected) -> ArchiveError:
    """Return the error for an archive with another digest than it should have, naming it if it is another archive."""
    other = facts.archive_with_digest(found)
    if other:
        detail = f"this is {other.name} ({other.contents}), not {source.path.name}"
        return ArchiveError(Code.WRONG_FILE, detail, source.path, hint="fetch the right archive")
    detail = (
        f"its {found.algorithm} is {found.hex}, but {expected.digest.hex} by {expected.against}: bytes are damaged"
    )
    return ArchiveError(Code.WRONG_DIGEST, detail, source.path, hint="fetch the archive again; nothing was published")
