"""One run at a time on a tree: a lock for this machine, and a claim that other machines see.

The system's lock (flock) is dropped when its process dies in any way. Linux passes it on to an NFS server, but not on
mounts with `nolock` or `local_lock`, and some file systems keep it on each machine. So a claim lies beside it: a file
that names the run, touched every few seconds. Whoever replaces it ends the run that it named.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ilsvrc.errors import MachineError
from ilsvrc.events import Listener, Note, silent
from ilsvrc.files import locked, open_own, read_own, write_text
from ilsvrc.run.threads import Thread
from ilsvrc.stores.path import Location
from ilsvrc.tree import paths

BEAT = 5.0
"""Seconds between two touches of a claim."""

WATCH = 4 * BEAT
"""Seconds that the claim of another machine stays untouched before its run is held for dead."""

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_ANSWER = re.compile(r"claim\..+")


class Hold(Protocol):
    """What a run has on its target. Pickles: workers look whether the run that they work for still has it."""

    @property
    def path(self) -> Location:
        """The file or object that says so, in the target's `.ilsvrc`."""

    def holds(self) -> bool:
        """Whether this process sees it, and it is this run's."""

    def require(self) -> None:
        """Refuse to work for a run that is over: its driver died, and another may have taken up its work.

        Raises
        ------
        MachineError
            If it is gone, or another run's.
        """

    def answer(self, name: str) -> None:
        """Write something beside it, by which the driver sees that this process can write there."""

    def answered(self, name: str) -> bool:
        """Whether this process sees such an answer."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The claim of a run on a tree. Pickles: workers look whether the run that they work for still has it.

    path : the file
    text : its contents: host, machine and process of the driver, and a random number
    """

    path: Path
    text: str

    def holds(self) -> bool:
        """Whether this process sees the file, with these contents."""
        try:
            return read_own(self.path) == self.text
        except OSError:
            return False

    def require(self) -> None:
        """Refuse to work for a run that is over: its driver died, and another may have taken up its work.

        Raises
        ------
        MachineError
            If the claim is gone, or another run's.
        """
        if not self.holds():
            detail = f"this run is over: it has lost its claim on {self.path.parent.parent} to another run"
            raise MachineError(detail, hint="let the other run end; then the same command finds its work done")

    def answer(self, name: str) -> None:
        """Write a file beside the claim, by which the driver sees that this process can write there."""
        with contextlib.suppress(FileExistsError):  # it answered before
            fd = open_own(self._answer(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            with open(fd, "w", encoding="utf-8") as file:
                file.write(self.text)

    def answered(self, name: str) -> bool:
        """Whether this process sees such an answer."""
        return Claim(self._answer(name), self.text).holds()

    def _answer(self, name: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{name}")


@contextlib.contextmanager
def claimed(root: Path, listener: Listener = silent) -> Iterator[Claim]:
    """Hold a tree for one run; yield its claim.

    Parameters
    ----------
    root
        The tree's folder.
    listener
        Gets a note if the claim of a run on another machine has to be watched.

    Raises
    ------
    MachineError
        If another run holds it, on this machine or on another one.
    """
    with locked(paths.lock(root), what=str(root), wait=False):
        path = paths.claim(root)
        _refuse_living(path, root, listener)
        _remove_answers(path)
        claim = Claim(path, _text())
        write_text(path, claim.text)
        over = threading.Event()
        beat = Thread(lambda: _beat(claim, over))
        beat.start()
        try:
            yield claim
        finally:
            over.set()
            beat.join()
            if claim.holds():
                _remove_answers(path)
                path.unlink(missing_ok=True)


def machine() -> str:
    """Return what tells this machine from others, and this start of it from earlier ones; its name elsewhere.

    Containers of one machine have it in common, as they have its locks.
    """
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return platform.node()


def _text() -> str:
    said = {"host": platform.node(), "machine": machine(), "process": os.getpid(), "run": secrets.token_hex(8)}
    return json.dumps(said) + "\n"


def _beat(claim: Claim, over: threading.Event) -> None:
    """Touch a claim until the run is over, or has lost it."""
    while not over.wait(BEAT):
        with contextlib.suppress(OSError):
            if not claim.holds():
                return
            os.utime(claim.path)


def _refuse_living(path: Path, root: Path, listener: Listener) -> None:
    """Refuse a tree that a run on another machine has claimed and still touches.

    A claim of this machine is a dead run's: this one has the lock.
    """
    try:
        said = json.loads(read_own(path))
        elsewhere, who = said["machine"] != machine(), f"process {said['process']} on {said['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return
    if not elsewhere:
        return
    listener(Note(f"{root}: looking for {WATCH:.0f} s whether the run of {who} is alive, which left its claim here"))
    first, until = _state(path), time.monotonic() + WATCH
    while time.monotonic() < until:
        time.sleep(min(BEAT, WATCH) / 5)
        if _state(path) != first:
            hint = "wait for it to end, or stop it; nothing was changed"
            raise MachineError(f"{root} is in use by another run, {who}", hint=hint)


def _state(path: Path) -> tuple[int, int] | None:
    """Return which file a claim is and when it was touched; opened, since NFS may remember what is only looked up."""
    try:
        with open(open_own(path, os.O_RDONLY), "rb") as file:
            found = os.fstat(file.fileno())
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _remove_answers(path: Path) -> None:
    for answer in path.parent.iterdir():
        if _ANSWER.fullmatch(answer.name):
            answer.unlink(missing_ok=True)
