"""A lock in a store: one small object, which its holder renews, and which another run takes over if it does not."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from ilsvrc.errors import MachineError
from ilsvrc.events import Listener, Note, silent
from ilsvrc.stores.client import ChangedError, Version
from ilsvrc.stores.path import StorePath

PERIOD = 30.0
"""Seconds from one renewal to the next."""

PATIENCE = 300.0
"""Seconds without a renewal after which another run takes the lock over: with all retries none takes so long."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock.

    host, process : its machine's name, and the number of the process
    machine : distinguishes machines, and containers on one, of equal names
    begun, renewed : when, by the clock of the machine
    """

    host: str
    process: int
    machine: str
    begun: str
    renewed: str = ""

    @classmethod
    def of_this_process(cls) -> Holder:
        """Return this process as a holder."""
        return cls(socket.gethostname(), os.getpid(), _machine(), _now())

    @property
    def is_gone(self) -> bool:
        """Whether it is known to have ended: it was a process of this very machine."""
        if self.machine != _machine():
            return False
        try:
            os.kill(self.process, 0)
        except OSError as error:
            return isinstance(error, ProcessLookupError)
        return False

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}, begun {self.begun}"


@dataclass(frozen=True, slots=True)
class Held:
    """A lock that a run holds. Pickles: workers look whether the run that they work for still holds it.

    path : where its object is
    holder : the run's process
    """

    path: StorePath
    holder: Holder

    def holds(self) -> bool:
        """Whether this process sees the lock, and it is this run's."""
        found = _holder(self.path)
        return found is not None and replace(found, renewed="") == self.holder

    def require(self) -> None:
        """Refuse to work for a run that is over.

        Raises
        ------
        MachineError
            If the lock is gone, or another run's.
        """
        if not self.holds():
            detail = f"this run is over: it has lost its lock of {self.path.parent.parent} to another run"
            raise MachineError(detail, hint="let the other run end; then the same command finds its work done")

    def answer(self, name: str) -> None:
        """Write an object beside the lock, by which the driver sees that this process can write there."""
        answer = self._answer(name)
        answer.bucket.put(answer.key, self.holder.begun.encode())

    def answered(self, name: str) -> bool:
        """Whether this process sees such an answer."""
        try:
            return self._answer(name).read_text() == self.holder.begun
        except FileNotFoundError:
            return False

    def remove_answers(self) -> None:
        """Remove all answers."""
        for path in self.path.parent.glob(f"{self.path.name}.*"):
            path.unlink(missing_ok=True)

    def _answer(self, name: str) -> StorePath:
        return self.path.with_name(f"{self.path.name}.{name}")


class Lock:
    """The lock of a folder in a store. The clock of the server decides how old it is, not that of any machine.

    A server that ignores the conditions of requests keeps no lock between two runs that begin at the same moment;
    that is said when it is taken.

    Parameters
    ----------
    path
        Where its object is.
    """

    def __init__(self, path: StorePath) -> None:
        self._path = path
        self._bucket = path.bucket
        self._version: Version | None = None
        self._lost = ""
        self._ended = threading.Event()

    @contextlib.contextmanager
    def held(self, listener: Listener = silent) -> Iterator[Held]:
        """Hold the lock; yield what workers look at.

        Parameters
        ----------
        listener
            Is told what a user should know of it.

        Raises
        ------
        MachineError
            If another run holds it; the message says who, and when it may be taken over.
        """
        holder = Holder.of_this_process()
        self._take(holder, listener)
        self._lost = ""
        self._ended.clear()
        renewing = threading.Thread(target=self._renew, args=(holder,), daemon=True)
        renewing.start()
        held = Held(self._path, holder)
        try:
            held.remove_answers()
            yield held
        finally:
            self._ended.set()
            renewing.join(PERIOD)
            with contextlib.suppress(MachineError, OSError):
                held.remove_answers()
            self._release()

    def require(self) -> None:
        """Refuse to write anything more once the lock is lost.

        Raises
        ------
        MachineError
            Then.
        """
        if self._lost:
            hint = "see whether another run works on it, then run the same command again: it resumes"
            raise MachineError(f"{self._path.parent.parent}: {self._lost}", hint=hint)

    def _take(self, holder: Holder, listener: Listener) -> None:
        found = self._bucket.head(self._path.key)
        if found is None:
            try:
                self._version = self._bucket.put(self._path.key, _document(holder), new=True)
            except FileExistsError:
                if not self._is_ours(holder):
                    raise self._refusal(_holder(self._path), PATIENCE) from None
            self._try_conditions(holder, listener)
            return
        other = _holder(self._path)
        left = found.since + PATIENCE - self._time_of_server()
        if not (other and other.is_gone) and left > 0:
            raise self._refusal(other, left)
        try:
            self._version = self._bucket.put(self._path.key, _document(holder), instead=found.version)
        except ChangedError:
            if not self._is_ours(holder):
                raise self._refusal(_holder(self._path), PATIENCE) from None
        listener(Note(f"{self._path.parent.parent}: took over the lock of a run that ended: {other or 'unknown'}"))

    def _is_ours(self, holder: Holder) -> bool:
        """Whether the lock is this run's, though a put of it was refused: put again, since an answer was lost."""
        try:
            found, there = self._bucket.head(self._path.key), _holder(self._path)
        except MachineError:
            return False
        if found is None or there is None or replace(there, renewed="") != holder:
            return False
        self._version = found.version
        return True

    def _refusal(self, other: Holder | None, left: float) -> MachineError:
        at = datetime.fromtimestamp(time.time() + left, UTC)
        hint = (
            "wait for it to end, or stop it; if it died, this command takes over "
            f"from {at:%H:%M:%S} UTC on, in {left:.0f} s; nothing was changed"
        )
        return MachineError(f"{self._path.parent.parent} is in use by another run, {other or 'unknown'}", hint=hint)

    def _try_conditions(self, holder: Holder, listener: Listener) -> None:
        """Say so if the server puts an object that is there where it was asked not to."""
        try:
            self._version = self._bucket.put(self._path.key, _document(holder), new=True)
        except FileExistsError:
            return
        text = (
            f"{self._path.url.at('')}: the server ignores conditions of requests, so it would not refuse a second "
            "run that begins at the same moment: begin one at a time"
        )
        listener(Note(text, warning=True))

    def _time_of_server(self) -> float:
        """Return the time by the clock of the server: that of an object put now, which is removed again."""
        asked = self._path.with_name(f"{self._path.name}.{uuid.uuid4().hex}")
        self._bucket.put(asked.key, b"")
        try:
            found = self._bucket.head(asked.key)
        finally:
            self._bucket.delete([asked.key])
        return found.since if found else time.time()

    def _renew(self, holder: Holder) -> None:
        """Renew the lock until it is given back, in a thread."""
        renewed = time.monotonic()
        while not self._ended.wait(PERIOD):
            try:
                self._version = self._bucket.put(self._path.key, _document(holder), instead=self._version)
                renewed = time.monotonic()
            except ChangedError:
                if not self._is_ours(holder):
                    self._lost = "another run took its lock over"
                    return
            except (MachineError, OSError) as error:
                if time.monotonic() - renewed > PATIENCE / 2:
                    self._lost = f"its lock could not be renewed ({error})"
                    return

    def _release(self) -> None:
        """Remove the lock, if it is still this process's."""
        with contextlib.suppress(MachineError, OSError):
            found = self._bucket.head(self._path.key)
            if not self._lost and found and self._version and found.version.etag == self._version.etag:
                self._bucket.delete([self._path.key])


def _document(holder: Holder) -> bytes:
    return (json.dumps(asdict(holder) | {"renewed": _now()}) + "\n").encode()


def _holder(path: StorePath) -> Holder | None:
    """Return the holder that a lock names; None if it names none, or is gone."""
    try:
        found = json.loads(path.read_bytes())
        holder = Holder(**found)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return holder if type(holder.process) is int and holder.process > 0 else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _machine() -> str:
    """Return what distinguishes this boot of this machine, and its container, from others of the same name."""
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    try:
        return f"{boot.read_text().strip()} {namespace.readlink()}"
    except OSError:
        return f"{socket.gethostname()} {uuid.getnode():x}"
