"""Download one archive, and try again after every temporary failure."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from typing import Any

from ilsvrc.errors import IlsvrcError, NetworkError
from ilsvrc.events import Advanced, Finished, Listener, Note, Started, silent
from ilsvrc.fetch.aria2 import Aria2, Options
from ilsvrc.fetch.digest import PrefixHasher, leading_bytes
from ilsvrc.fetch.failures import AGAIN, CannotResumeError, DamagedControlError, disk_full, engine_failure
from ilsvrc.fetch.options import SMALLEST_PIECE, WHOLE_OPTIONS, file_options, piece_length
from ilsvrc.fetch.part import Origin, Part
from ilsvrc.fetch.probe import Offer, ask_sources, check_unchanged
from ilsvrc.fetch.relay import Relay
from ilsvrc.fetch.request import FetchRequest
from ilsvrc.fetch.sources import Sources


class TransferProgress:
    """The progress of one archive, reported to a listener.

    `received` counts the bytes of this call.
    """

    def __init__(self, name: str, size: int, listener: Listener) -> None:
        self._name = name
        self._size = size
        self._listener = listener
        self._done = self._counted = self._checked = 0
        self._may_fall = True
        self._base: int | None = 0
        self._moved = time.monotonic()
        self.received = 0
        listener(Started(name, total_bytes=size))

    @property
    def size(self) -> int:
        """Bytes of the complete archive, 0 if no source says."""
        return self._size

    @property
    def done(self) -> int:
        """Bytes of the archive that are on disk."""
        return self._done

    @property
    def idle(self) -> float:
        """Seconds since a byte arrived or was checked."""
        return time.monotonic() - self._moved

    def resume(self, *, kept: bool) -> None:
        """Begin another attempt; if bytes of an earlier one are `kept` on disk, the progress never falls."""
        self._base = None if kept else 0
        self._may_fall = not kept

    def take(self, status: dict[str, Any]) -> None:
        """Report the change since the last status."""
        done, checked = int(status["completedLength"]), int(status.get("verifiedLength", 0))
        if int(status["totalLength"]) and "verifyIntegrityPending" not in status and not checked:
            self._count(done)
        came = done > self._done or (done > self._counted and int(status["downloadSpeed"]) > 0)
        if came or checked > self._checked:
            self._moved = time.monotonic()
        self._counted, self._checked = done, checked
        if not self._may_fall:  # aria2c reports 0 until it has read its control file, and when it gives up
            done = max(done, self._done)
        self._listener(Advanced(self._name, bytes=done - self._done, detail=self._describe(status, done, checked)))
        self._done = done

    def finish(self) -> None:
        """Report that the archive is complete."""
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


_POLL = 0.2  # seconds between two status calls
_SHORTEST = 0.02  # seconds between two status calls near the end
_KEEP = 3.0  # seconds between two copies of the control file
_LONGEST_WAIT = 30.0  # seconds between two attempts
_FULL = 1 << 20  # bytes: with less free, a failure is reported as a full disk
_STALLED = "stalled"
_RESTARTS = 5  # times that a server which can't resume may break off


@dataclass(frozen=True, slots=True)
class Session:
    """Values that all archives of a request share.

    engine : the aria2c that fetches them
    relay : serves aria2c the files that need a login
    request : the archives to fetch
    listener : gets progress and notes
    """

    engine: Aria2
    relay: Relay
    request: FetchRequest
    listener: Listener


class Transfer:
    """The download of one archive: attempts until its part is complete, or no byte came for `patience` seconds."""

    def __init__(self, session: Session, sources: Sources) -> None:
        self._session = session
        self._engine, self._request, self._listener = session.engine, session.request, session.listener
        self._sources = sources
        self._part = Part(session.request.folder, sources.name)
        self._hasher = PrefixHasher(self._part.path, sources.algorithm)
        self._restarts = 0

    def run(self, found: Offer) -> tuple[PrefixHasher, int]:
        """Complete the part; return the hasher that followed it, and the number of bytes received."""
        progress = TransferProgress(found.name, found.size, self._listener)
        try:
            self._persist(found, progress)
        except KeyboardInterrupt:
            self._listener(
                Note(f"{found.name}: {progress.done:,} of {found.size:,} bytes are on disk and will be kept")
            )
            raise
        finally:
            self._hasher.stop()
        progress.finish()
        return self._hasher, progress.received

    def _persist(self, found: Offer, progress: TransferProgress) -> None:
        wait = 1.0
        while True:
            before = progress.done
            try:
                return self._attempt(found, progress)
            except DamagedControlError:
                if not self._part.distrust_control():
                    raise
                continue
            except NetworkError as error:
                wait = 1.0 if progress.done != before else min(2 * wait, _LONGEST_WAIT)
                self._give_up(error, progress)
                self._listener(Note(f"{error}; trying again", warning=True))
            time.sleep(min(wait, self._request.limits.patience / 4))
            found = self._look_again(found)

    def _give_up(self, error: NetworkError, progress: TransferProgress) -> None:
        """Raise the error if another attempt is pointless."""
        patience = self._request.limits.patience
        if isinstance(error, CannotResumeError):
            self._restarts += 1
        if self._restarts > _RESTARTS:
            raise NetworkError(f"{error}, {self._restarts} times over", hint="find a better server") from error
        if progress.idle >= patience:
            name = self._part.name
            reason = error.message.removeprefix(f"{name}: ").removeprefix(_STALLED).lstrip(": ")
            there = f"{progress.done:,} of {progress.size:,} bytes are on disk and are kept"
            text = f"{name}: {_STALLED}: no byte came for {patience:,.0f} s" + (f" ({reason})" if reason else "")
            raise NetworkError(f"{text}; {there}", hint=AGAIN) from error

    def _look_again(self, found: Offer) -> Offer:
        """Ask the servers again, since the file may have changed; if they don't answer, assume that it has not."""
        try:
            return ask_sources(self._sources, self._request, silent)
        except NetworkError:
            return found

    def _attempt(self, found: Offer, progress: TransferProgress) -> None:
        self._part.refuse_foreign()
        check_unchanged(self._part, found, self._listener)
        if not found.resumes:
            self._start_over()
        options = self._prepare(found)
        if not self._part.control.exists():
            self._hasher.stop()
            self._hasher = PrefixHasher(self._part.path, self._sources.algorithm)
        progress.resume(kept=self._part.path.exists())
        urls = [self._session.relay.address(p.url) if p.private else p.url for p in found.probes]
        if found.torrent:
            gid = self._engine.add_torrent(found.torrent.data, urls, options)
        else:
            gid = self._engine.add(urls, options)
        try:
            self._watch(gid, progress)
        finally:
            self._engine.forget(gid)
        self._part.origin = replace(self._part.origin, prefix=self._part.path.stat().st_size)

    def _start_over(self) -> None:
        if self._part.path.exists():
            self._listener(
                Note(f"{self._part.name}: the server can't resume; fetching it from the beginning", warning=True)
            )
        self._part.restart()

    def _prepare(self, found: Offer) -> Options:
        """Make the part agree with its sources and return the options for aria2c."""
        part, infohash = self._part, found.torrent.infohash if found.torrent else ""
        recheck = (
            bool(infohash) and part.path.exists() and (not part.control.exists() or part.origin.infohash != infohash)
        )
        if recheck:
            part.control.unlink(missing_ok=True)
        elif not infohash:
            part.settle()
        versions = part.origin.versions | {p.key: p.version for p in found.probes}
        piece = found.torrent.piece if found.torrent else self._piece(found.size)
        part.origin = Origin(found.size, part.origin.prefix, piece, infohash, versions)
        return self._options(found, recheck=recheck)

    def _piece(self, size: int) -> int:
        """Return the piece length of the control file, if there is one: with another, aria2c would drop pieces."""
        kept = self._part.origin.piece if self._part.control.exists() else 0
        return max(kept, SMALLEST_PIECE) if kept else piece_length(size)

    def _options(self, found: Offer, *, recheck: bool) -> Options:
        target = {"index-out": f"1={self._part.path.name}"} if found.torrent else {"out": self._part.path.name}
        options = file_options(self._request.limits, self._part.origin.piece) | target
        options |= {"dir": str(self._part.folder.resolve()), "check-integrity": str(recheck).lower()}
        if not found.resumes:
            options |= WHOLE_OPTIONS
        heads = bool(found.probes) and all(p.knows_head for p in found.probes)
        return options | {"use-head": str(heads).lower()}

    def _watch(self, gid: str, progress: TransferProgress) -> None:
        kept = time.monotonic()
        while True:
            status = self._engine.status(gid)
            progress.take(status)
            self._follow(status)
            if status["status"] == "complete":
                return
            if status["status"] != "active" and status["status"] != "waiting":
                raise self._failure(status)
            if progress.idle >= self._request.limits.patience:
                raise NetworkError(f"{self._part.name}: {_STALLED}")
            if time.monotonic() - kept > _KEEP:
                self._part.keep_control()
                kept = time.monotonic()
            time.sleep(_pause(status))

    def _failure(self, status: dict[str, str]) -> IlsvrcError:
        """Return the error for a download that ended badly; aria2c does not always report a full disk."""
        full = shutil.disk_usage(self._part.folder).free < _FULL
        return disk_full(self._part.name) if full else engine_failure(self._part.name, status)

    def _follow(self, status: dict[str, str]) -> None:
        """Let the hasher read the beginning of the file that has arrived without a gap."""
        if "bitfield" in status and "verifyIntegrityPending" not in status and "verifiedLength" not in status:
            there = leading_bytes(status["bitfield"], int(status["pieceLength"]), int(status["totalLength"]))
            self._hasher.allow(there)


def _pause(status: dict[str, str]) -> float:
    """Return the seconds until the next status call; fewer near the end, so that the end is noticed at once."""
    left, speed = int(status["totalLength"]) - int(status["completedLength"]), int(status["downloadSpeed"])
    return min(_POLL, max(left / speed, _SHORTEST)) if speed and left else _POLL
