"""An archive on its way: the file NAME.part, aria2's control file beside it, and what is known of its source.

A file under its final name is whole and verified; until then it is NAME.part.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from ilsvrc.errors import MachineError
from ilsvrc.files import (
    OWN_FOLDER,
    make_own_folder,
    open_own,
    read_own,
    rename_new,
    sync_path,
    write_text,
    written_whole,
)

CONTROL = ".aria2"
PART = ".part"
_ROOM = 1 << 20  # bytes that must be free for a file just written to be believed
_PATIENCE = 5.0  # seconds: a killed run's aria2c ends within two


@dataclass(frozen=True, slots=True)
class Origin:
    """What a part came from.

    size : bytes of the whole file
    prefix : leading bytes that are right even without a control file
    piece : bytes of a piece in the control file, 0 where that is not known
    infohash : of the torrent that the control file belongs to; empty for servers alone
    versions : ETag and time of change by URL, as each server gave them
    """

    size: int = 0
    prefix: int = 0
    piece: int = 0
    infohash: str = ""
    versions: dict[str, tuple[str, str]] = field(default_factory=dict)

    def is_changed(self, url: str, version: tuple[str, str]) -> bool:
        """Whether a server has another file now: all that it says is different.

        The machines behind one name may each give their own ETag for the same file, but not their own time.
        """
        both = [(old, new) for old, new in zip(self.versions.get(url, ()), version, strict=False) if old and new]
        return bool(both) and all(old != new for old, new in both)


def _origin_of(document: Any) -> Origin:
    """Return the Origin that a JSON document holds; ValueError, TypeError or AttributeError where it holds none."""
    origin = Origin(**document)
    numbers = origin.size, origin.prefix, origin.piece
    if not all(type(n) is int and n >= 0 for n in numbers) or type(origin.infohash) is not str:
        raise ValueError("not what is known of a part")
    return replace(origin, versions={url: (str(etag), str(when)) for url, (etag, when) in origin.versions.items()})


class Part:
    """The files of one archive under way in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.folder = folder
        self.final = folder / name
        self.path = folder / (name + PART)
        self.control = _control(self.path)
        self._origin = state_folder(folder) / f"{name}.origin.json"
        self._aside: dict[str, Path] = {}
        self._spare = state_folder(folder) / f"{name}.control"

    @property
    def origin(self) -> Origin:
        """Where the part came from; an empty Origin where that is not known."""
        try:
            return _origin_of(json.loads(read_own(self._origin)))
        except (FileNotFoundError, ValueError, TypeError, AttributeError):
            return Origin()

    @origin.setter
    def origin(self, origin: Origin) -> None:
        write_text(self._origin, json.dumps(asdict(origin)))

    @property
    def by_hand(self) -> bool:
        """Whether an aria2c by hand left the file under the final name unfinished."""
        return _control(self.final).exists()

    @property
    def allocated(self) -> int:
        """Bytes that the part takes on disk, holes not counted."""
        return self.path.stat().st_blocks * 512 if self.path.exists() else 0

    def refuse_foreign(self) -> None:
        """Refuse what is no regular file where this part or what belongs to it is to be written.

        aria2c would write through a link, into a file of somebody else's.
        """
        for path in (self.path, self.control, self._temporary, self._origin, self._spare):
            with contextlib.suppress(FileNotFoundError):
                os.close(open_own(path, os.O_RDONLY))
        if os.path.lexists(self.final) and not self.final.is_file():
            hint = f"see what it is and move it away: ls -ld {self.final}"
            raise MachineError(
                f"{self.final}: a folder, or a link that leads nowhere, has the archive's place", hint=hint
            )

    @property
    def _temporary(self) -> Path:
        """What aria2c writes before it takes the name of the control file."""
        return self.control.with_name(f"{self.control.name}__temp")

    def looks_whole(self, size: int) -> bool:
        """Whether a run may have been killed between the last byte and saying so; only a digest can tell."""
        if self.control.exists() or self.origin.prefix >= size or not self.path.exists():
            return False
        return self.path.stat().st_size == size

    def adopt(self) -> None:
        """Take over a file that lies under the final name but is not whole.

        With a control file beside it, it is what `aria2c -c` by hand left; without, the beginning that wget left.
        MachineError for a link: what it leads to is not to be written.
        """
        if self.final.is_symlink():
            hint = "fetch into another folder, or move the link away"
            raise MachineError(f"{self.final}: a link to a file that is not the whole archive", hint=hint)
        if self.by_hand:
            _control(self.final).replace(self.control)
        else:
            self.origin = Origin(prefix=self.final.stat().st_size)
        self.final.replace(self.path)

    def settle(self) -> None:
        """Without a control file only the known prefix can be trusted: what follows may have holes. Cut it off."""
        if self.path.exists() and not self.control.exists():
            os.truncate(self.path, min(self.origin.prefix, self.path.stat().st_size))

    def keep_control(self) -> None:
        """Keep a copy of the control file: aria2c leaves an empty one where it can't write, as on a full disk.

        An older one is as right, it only knows of fewer bytes.
        """
        if self.control.exists() and shutil.disk_usage(self.folder).free > _ROOM:
            with written_whole(self._spare) as beside:
                shutil.copyfile(self.control, beside)

    def distrust_control(self) -> bool:
        """Go back to the copy of a control file that can't be read, or do without; return whether there was one."""
        if not self.control.exists():
            return False
        self.control.unlink()
        if self._spare.exists():
            self._spare.replace(self.control)
        return True

    def restart(self) -> None:
        """Forget every byte."""
        self._drop_control()
        self.path.unlink(missing_ok=True)
        self._origin.unlink(missing_ok=True)

    def set_aside(self, ending: str, *, for_good: bool = False) -> Path:
        """Rename the part to NAME plus this ending; return the new path.

        Only what this run set aside earlier is replaced, and not if it was to be kept `for_good`, as a file of the
        user's; other files keep their names, and a number is added.
        """
        first = self.folder / (self.name + ending)
        free = (path for n in count(2) if not os.path.lexists(path := first.with_name(f"{first.name}.{n}")))
        aside = self._aside.get(ending) or (next(free) if os.path.lexists(first) else first)
        if not for_good:
            self._aside[ending] = aside
        self.path.replace(aside)
        self.restart()
        return aside

    def publish(self) -> None:
        """Give the part its final name; it must be whole, verified and closed. MachineError if the name is taken."""
        sync_path(self.path)
        try:
            rename_new(self.path, self.final)
        except FileExistsError:
            text = f"{self.final}: came to lie there during the fetch; what was fetched stays {self.path.name}"
            raise MachineError(text, hint="move one of the two away and run the same command again") from None
        sync_path(self.folder)
        self._drop_control()
        self._origin.unlink(missing_ok=True)

    def _drop_control(self) -> None:
        self._spare.unlink(missing_ok=True)
        self.control.unlink(missing_ok=True)
        self._temporary.unlink(missing_ok=True)


def unfinished(folder: Path) -> list[Path]:
    """Return the archives in a folder, by their final paths, that are still being fetched.

    Those that `ilsvrc fetch` began, and those that an aria2c by hand left with its control file.
    """
    parts = [path.with_suffix("") for path in folder.glob(f"*{PART}") if not path.name.startswith(".")]
    by_hand = [path.with_suffix("") for path in folder.glob(f"*{CONTROL}") if path.with_suffix("").suffix != PART]
    return sorted({*parts, *by_hand})


def state_folder(folder: Path) -> Path:
    """Return the folder beside the archives where what is known of them is kept."""
    return folder / OWN_FOLDER


@contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Hold a folder for one fetch and yield the lock's descriptor; MachineError where another holds it.

    Give the descriptor to aria2c: the lock then lasts until it has closed its files, however its parent died.
    """
    lock = make_own_folder(state_folder(folder)) / "fetch.lock"
    descriptor = open_own(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _acquire(descriptor, folder)
        yield descriptor
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, folder: Path) -> None:
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                hint = "wait for it, or stop it"
                raise MachineError(f"{folder}: another `ilsvrc fetch` is at work there", hint=hint) from None
            time.sleep(0.1)


def _control(path: Path) -> Path:
    return path.with_name(path.name + CONTROL)
