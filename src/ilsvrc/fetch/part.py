"""An unfinished archive: the file NAME.part, aria2's control file beside it, and the record of its sources.

A file takes its final name when it is complete and verified.
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
_ROOM = 1 << 20  # bytes: with less free, a file just written may be incomplete
_PATIENCE = 5.0  # seconds: a killed run's aria2c ends within two


@dataclass(frozen=True, slots=True)
class Origin:
    """The sources of a part, and which of its bytes are right.

    size : bytes of the whole file
    prefix : leading bytes that are right even without a control file
    piece : bytes of a piece in the control file, 0 if unknown
    infohash : of the torrent that the control file belongs to; empty for servers alone
    versions : ETag and time of change by URL, as each server gave them
    """

    size: int = 0
    prefix: int = 0
    piece: int = 0
    infohash: str = ""
    versions: dict[str, tuple[str, str]] = field(default_factory=dict)

    def is_changed(self, url: str, version: tuple[str, str]) -> bool:
        """Whether a server has another file now: ETag and time of change differ, as far as it gives them.

        The machines behind one name may each give their own ETag for the same file, but not their own time.
        """
        both = [(old, new) for old, new in zip(self.versions.get(url, ()), version, strict=False) if old and new]
        return bool(both) and all(old != new for old, new in both)


def _origin_of(document: Any) -> Origin:
    """Return the Origin that a JSON document holds; ValueError, TypeError or AttributeError if it holds none."""
    origin = Origin(**document)
    numbers = origin.size, origin.prefix, origin.piece
    if not all(type(n) is int and n >= 0 for n in numbers) or type(origin.infohash) is not str:
        raise ValueError("not an origin")
    return replace(origin, versions={url: (str(etag), str(when)) for url, (etag, when) in origin.versions.items()})


class Part:
    """The files of one unfinished archive in a folder."""

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
        """The sources of the part; an empty Origin if they are not recorded."""
        try:
            return _origin_of(json.loads(read_own(self._origin)))
        except (FileNotFoundError, ValueError, TypeError, AttributeError):
            return Origin()

    @origin.setter
    def origin(self, origin: Origin) -> None:
        write_text(self._origin, json.dumps(asdict(origin)))

    @property
    def by_hand(self) -> bool:
        """Whether the user's own aria2c left the file under its final name unfinished."""
        return _control(self.final).exists()

    @property
    def allocated(self) -> int:
        """Bytes that the part takes on disk, holes not counted."""
        return self.path.stat().st_blocks * 512 if self.path.exists() else 0

    def refuse_foreign(self) -> None:
        """Refuse links, folders and pipes under the names that this part is written to.

        aria2c would write through a link, into somebody else's file.
        """
        for path in (self.path, self.control, self._temporary, self._origin, self._spare):
            with contextlib.suppress(FileNotFoundError):
                os.close(open_own(path, os.O_RDONLY))
        if os.path.lexists(self.final) and not self.final.is_file():
            hint = f"see what it is and move it away: ls -ld {self.final}"
            raise MachineError(f"{self.final}: a folder, or a link to nothing, has the archive's name", hint=hint)

    @property
    def _temporary(self) -> Path:
        """The control file while aria2c writes it; aria2c then renames it."""
        return self.control.with_name(f"{self.control.name}__temp")

    def looks_whole(self, size: int) -> bool:
        """Whether the part may be complete, from a run that was killed before hashing it; only a digest can tell."""
        if self.control.exists() or self.origin.prefix >= size or not self.path.exists():
            return False
        return self.path.stat().st_size == size

    def adopt(self) -> None:
        """Take over an incomplete file that has the final name.

        With a control file beside it, the user's own `aria2c -c` left it; without, it is a beginning, as wget leaves
        it. MachineError for a link: its target must not be written.
        """
        if self.final.is_symlink():
            hint = "fetch into another folder, or move the link away"
            raise MachineError(f"{self.final}: a link to a file that is not the complete archive", hint=hint)
        if self.by_hand:
            _control(self.final).replace(self.control)
        else:
            self.origin = Origin(prefix=self.final.stat().st_size)
        self.final.replace(self.path)

    def settle(self) -> None:
        """Without a control file, cut the part down to its known prefix: the rest may have holes."""
        if self.path.exists() and not self.control.exists():
            os.truncate(self.path, min(self.origin.prefix, self.path.stat().st_size))

    def keep_control(self) -> None:
        """Copy the control file: aria2c leaves an empty one if it can't write, as on a full disk.

        An older copy is right too; it only lists fewer bytes.
        """
        if self.control.exists() and shutil.disk_usage(self.folder).free > _ROOM:
            with written_whole(self._spare) as beside:
                shutil.copyfile(self.control, beside)

    def distrust_control(self) -> bool:
        """Replace a control file that can't be read by its copy, if there is one; return whether there was a file."""
        if not self.control.exists():
            return False
        self.control.unlink()
        if self._spare.exists():
            self._spare.replace(self.control)
        return True

    def restart(self) -> None:
        """Delete the part and its records."""
        self._drop_control()
        self.path.unlink(missing_ok=True)
        self._origin.unlink(missing_ok=True)

    def set_aside(self, ending: str, *, for_good: bool = False) -> Path:
        """Rename the part to NAME plus this ending; return the new path.

        A file that this run set aside earlier is replaced, unless it was set aside `for_good`, as the user's files
        are. Any other file keeps its name, and the new name gets a number.
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
        """Give the complete, verified, closed part its final name. MachineError if the name is taken."""
        sync_path(self.path)
        try:
            rename_new(self.path, self.final)
        except FileExistsError:
            text = f"{self.final}: a file of this name appeared during the fetch; the archive stays {self.path.name}"
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

    Those that `ilsvrc fetch` began, and those that the user's own aria2c left with a control file.
    """
    parts = [path.with_suffix("") for path in folder.glob(f"*{PART}") if not path.name.startswith(".")]
    by_hand = [path.with_suffix("") for path in folder.glob(f"*{CONTROL}") if path.with_suffix("").suffix != PART]
    return sorted({*parts, *by_hand})


def state_folder(folder: Path) -> Path:
    """Return the folder beside the archives that holds their records."""
    return folder / OWN_FOLDER


@contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Lock a folder for one fetch and yield the lock's descriptor; MachineError if another fetch holds it.

    Pass the descriptor to aria2c: then the lock lasts until aria2c has closed its files, even if we were killed.
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
                raise MachineError(f"{folder}: another `ilsvrc fetch` is running there", hint=hint) from None
            time.sleep(0.1)


def _control(path: Path) -> Path:
    return path.with_name(path.name + CONTROL)
