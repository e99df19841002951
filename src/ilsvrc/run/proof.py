"""Prove the files that hold the images, in the same pass that feeds the unpacking."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from ilsvrc import facts
from ilsvrc.archive.expected import Expected
from ilsvrc.archive.remote import source_of
from ilsvrc.archive.sidecar import Verified, record, stored_index
from ilsvrc.archive.source import ArchiveSource
from ilsvrc.errors import ArchiveError
from ilsvrc.events import Advanced, Finished, Listener, Started, silent
from ilsvrc.facts import Digest
from ilsvrc.issues import Code
from ilsvrc.readers.reader import Reader
from ilsvrc.readers.units import Unit
from ilsvrc.run.threads import Thread

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

    def confirm(self) -> tuple[Verified, ...]:
        """Return what is proved of the files that hold the images, in their order.

        Raises
        ------
        ArchiveError
            If a digest is not the one it should be, or a file was replaced meanwhile.
        """


class NoProof:
    """Releases every unit at once: nothing is to be proved, or it was proved before.

    proved : what was proved before
    """

    def __init__(self, proved: Iterable[Verified] = ()) -> None:
        self._proved = tuple(proved)

    def release(self, units: Iterable[Unit]) -> Generator[Unit, None, None]:
        """Yield each unit."""
        yield from units

    def confirm(self) -> tuple[Verified, ...]:
        """Return what was proved before."""
        return self._proved


@dataclass(frozen=True, slots=True)
class Claim:
    """A file and the digest that it should have.

    source : the file, in the state in which the reader opened it
    expected : the digest, and its origin
    """

    source: ArchiveSource
    expected: Expected

    def stage(self) -> str:
        """Return the name of its hashing in progress."""
        return f"{self.expected.digest.algorithm} of {self.source.path.name}"


def claims_of(reader: Reader, algorithm: str = "") -> tuple[Claim, ...] | None:
    """Return the digest that each file of a reader should have; None if one of them has none that is known.

    Parameters
    ----------
    reader
        The images; none of its files may be missing a digest. A reader without containers has nothing to claim.
    algorithm
        md5 or sha256; empty for the first that is known of each file.

    Raises
    ------
    ArchiveError
        If a list of digests contradicts the name or size of a file.
    """
    claims = []
    for container in reader.containers():
        known = [found for found in container.expected if algorithm in ("", found.digest.algorithm)]
        if not known:
            return None
        claims.append(Claim(source_of(container.path, container.state), known[0]))
    return tuple(claims)


class HashingProof:
    """Hashes files front to back, one after the other, in a thread; a unit is released once all of it was hashed.

    So the disk is read once, in one sweep, and workers find the bytes in memory.

    Parameters
    ----------
    claims
        Every file that holds images, in the order in which spans count their bytes.
    listener
        Gets progress.
    """

    def __init__(self, claims: Sequence[Claim], listener: Listener = silent) -> None:
        self._claims = claims
        self._listener = listener
        self._hashes = [hashlib.new(claim.expected.digest.algorithm) for claim in claims]
        self._at = 0
        self._hashed = 0
        self._before = 0
        self._stop = threading.Event()

    def release(self, units: Iterable[Unit]) -> Generator[Unit, None, None]:
        """Yield each unit once it has been hashed; after the last, hash to the end of the last file."""
        ready: queue.Queue[Unit | BaseException | None] = queue.Queue(AHEAD)
        thread = Thread(partial(self._fill, ready, list(units)))
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

    def confirm(self) -> tuple[Verified, ...]:
        """Compare, and record every file that is right and still the one that was hashed."""
        return tuple(map(self._confirmed, self._claims, self._hashes))

    def _confirmed(self, claim: Claim, hashed: Any) -> Verified:
        source, expected = claim.source, claim.expected
        found = Digest(expected.digest.algorithm, hashed.hexdigest())
        if found != expected.digest:
            raise wrong_digest(source, found, expected)
        source.refuse_replaced()
        index = stored_index(source)
        return record(source.path, found, expected.against, source.state, identity=index.identity if index else "")

    def _fill(self, ready: queue.Queue[Unit | BaseException | None], units: list[Unit]) -> None:
        """Hash up to the end of one unit after the other, in the thread."""
        try:
            for unit in units:
                self._hash_to(unit.end)
                self._put(ready, unit)
            self._hash_to(sum(claim.source.size for claim in self._claims))
            self._put(ready, None)
        except Exception as error:
            self._put(ready, error)

    def _hash_to(self, end: int) -> None:
        """Hash up to this byte of the files laid end to end."""
        while self._at < len(self._claims) and self._before < end and not self._stop.is_set():
            claim = self._claims[self._at]
            if self._hashed == 0:
                self._listener(Started(claim.stage(), claim.source.size))
            self._hash_file_to(claim.source, end - self._before)
            if self._hashed < claim.source.size:
                return
            self._listener(Finished(claim.stage()))
            self._before += claim.source.size
            self._at, self._hashed = self._at + 1, 0

    def _hash_file_to(self, source: ArchiveSource, end: int) -> None:
        """Hash up to this byte of the present file, or to its end."""
        stage = self._claims[self._at].stage()
        while self._hashed < min(end, source.size) and not self._stop.is_set():
            source.will_need(self._hashed + READ_AHEAD, CHUNK)
            data = source.read(self._hashed, min(CHUNK, source.size - self._hashed))
            self._hashes[self._at].update(data)
            self._hashed += len(data)
            self._listener(Advanced(stage, bytes=len(data)))

    def _put(self, ready: queue.Queue[Unit | BaseException | None], item: Unit | BaseException | None) -> None:
        while not self._stop.is_set():
            try:
                ready.put(item, timeout=0.2)
            except queue.Full:
                continue
            return


def wrong_digest(source: ArchiveSource, found: Digest, expected: Expected) -> ArchiveError:
    """Return the error for an archive with another digest than it should have, naming it if it is another archive."""
    other = facts.archive_with_digest(found)
    if other:
        detail = f"this is {other.name} ({other.contents}), not {source.path.name}"
        return ArchiveError(Code.WRONG_FILE, detail, source.path, hint="fetch the right archive")
    detail = (
        f"its {found.algorithm} is {found.hex}, but {expected.digest.hex} by {expected.against}: bytes are damaged"
    )
    return ArchiveError(Code.WRONG_DIGEST, detail, source.path, hint="fetch the archive again; nothing was published")
