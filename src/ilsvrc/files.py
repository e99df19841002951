"""Files that are whole or absent, locks between processes, and hints to the system.

The files that ilsvrc keeps for itself may lie in a folder that others can write to. So no link at or below `.ilsvrc`
is followed, and anything there but a regular file is refused before it is read or written.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import glob
import os
import platform
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Self

from ilsvrc.errors import MachineError

OWN_FOLDER = ".ilsvrc"
"""The folder that ilsvrc keeps for itself, beside archives and in prepared trees."""


def open_own(path: Path, flags: int, mode: int = 0o666) -> int:
    """Open a regular file of ours and return its descriptor; no link at or below `.ilsvrc` is followed.

    Raises
    ------
    FileNotFoundError
        If it is not there and `flags` do not create it.
    MachineError
        If a link, a folder, a pipe or a device has its place.
    """
    try:
        with _own_parent(path) as parent:
            fd = os.open(path.name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EMLINK):
            raise _not_ours(path) from None
        raise OSError(error.errno, error.strerror, str(path)) from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise _not_ours(path)
    return fd


def read_own(path: Path) -> str:
    """Return the text of a file of ours; bytes that are no text become replacement characters.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    MachineError
        If anything but a regular file has its name.
    """
    with open(open_own(path, os.O_RDONLY), encoding="utf-8", errors="replace") as file:
        return file.read()


def make_own_folder(path: Path) -> Path:
    """Create `.ilsvrc`, or a folder below it, where it is not there; return its path.

    Raises
    ------
    MachineError
        If a link or a file has the place of one of the folders.
    """
    for folder in _own_folders(path):
        folder.mkdir(parents=True, exist_ok=True) if not os.path.lexists(folder) else None
        refuse_foreign_folder(folder)
    return path


def refuse_foreign_folder(path: Path) -> None:
    """Refuse a link or a file that has the place of a folder of ours.

    Raises
    ------
    MachineError
        The message names it. A path that does not exist is no fault.
    """
    if os.path.lexists(path) and not stat.S_ISDIR(path.lstat().st_mode):
        hint = f"see what it is and move it away: ls -l {path}; nothing was changed"
        raise MachineError(f"{path} is not a folder of ilsvrc's own", hint=hint)


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` to write to; if the block ends without error, sync it and rename it.

    Any number of threads and processes may write one `path` at once: the last one to end wins.
    """
    if OWN_FOLDER in path.parts:
        make_own_folder(path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        os.close(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666))
        yield beside
        sync_path(beside)
        beside.replace(path)
        sync_path(path.parent)
    except OSError as error:
        raise named(error, path) from None
    finally:
        beside.unlink(missing_ok=True)


def rename_new(source: Path, target: Path, *, rename: Callable[[Path, Path], int] | None = None) -> None:
    """Rename a file or folder to a name that is free; nothing is ever replaced.

    Parameters
    ----------
    source, target
        The old and the new path.
    rename
        Renames without replacing, and returns 0 or the number of the error; the system's own call by default. Where
        it is not supported, as on NFS and on some file systems in user space, the name is claimed first.

    Raises
    ------
    FileExistsError
        If `target` exists by now.
    """
    number = (rename or _rename_exclusively)(source, target)
    if number in _NO_EXCLUSIVE_RENAME:
        _rename_by_claim(source, target)
    elif number:
        raise OSError(number, os.strerror(number), str(target if number == errno.EEXIST else source))


class OwnFolder:
    """Files below a folder of ours, reached by descriptors of their folders, so that no link is ever followed.

    Parameters
    ----------
    path
        The folder; `.ilsvrc` is in its path, and no link at or below that is followed.
    """

    _MOST = 16  # descriptors kept open: a unit of val has images of up to 1000 classes

    def __init__(self, path: Path) -> None:
        self.path = path
        with _own_parent(path / "any") as fd:
            self._root = os.dup(fd)
        self._folders: dict[str, int] = {}

    def open(self, key: str, flags: int) -> int:
        """Open a regular file by its path below the folder; with O_CREAT its folders are made too.

        Raises
        ------
        MachineError
            If a link or something else has the place of a folder or of the file.
        OSError
            Any other refusal of the system, with the path.
        """
        folder, _, name = key.rpartition("/")
        try:
            parent = self._folder(folder, create=bool(flags & os.O_CREAT))
            return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666, dir_fd=parent)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO, errno.EMLINK):
                raise _not_ours(self.path / key) from None
            raise OSError(error.errno, error.strerror, str(self.path / key)) from None

    def link(self, source: str, key: str) -> None:
        """Give a file, or the file that a link leads to, a second name below the folder.

        Raises
        ------
        FileExistsError
            If the name is taken.
        OSError
            If the file system can't: EXDEV, EPERM, EMLINK and others.
        """
        folder, _, name = key.rpartition("/")
        os.link(source, name, dst_dir_fd=self._folder(folder, create=True), follow_symlinks=True)

    def remove(self, key: str) -> None:
        """Remove a regular file; the bytes stay where another name leads to them. None there is no fault.

        Raises
        ------
        MachineError
            If a link or something else has the place of the file.
        """
        folder, _, name = key.rpartition("/")
        with contextlib.suppress(FileNotFoundError):
            parent = self._folder(folder, create=False)
            if not stat.S_ISREG(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                raise _not_ours(self.path / key)
            os.unlink(name, dir_fd=parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in (self._root, *self._folders.values()):
            os.close(fd)
        self._folders.clear()

    def _folder(self, folder: str, *, create: bool) -> int:
        if folder not in self._folders:
            if len(self._folders) >= self._MOST:
                os.close(self._folders.pop(next(iter(self._folders))))
            self._folders[folder] = self._opened(folder, create=create)
        return self._folders[folder]

    def _opened(self, folder: str, *, create: bool) -> int:
        fd = os.dup(self._root)
        try:
            for name in filter(None, folder.split("/")):
                if name == "..":
                    raise _not_ours(self.path / folder)
                if create:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(name, dir_fd=fd)
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                inner = os.open(name, flags, dir_fd=fd)
                os.close(fd)
                fd = inner
        except BaseException:
            os.close(fd)
            raise
        return fd


class Filesystems:
    """The file systems that hold some folders, to be synced: opened before anything is written there.

    The kernel reports a failed write-back once to every descriptor that was open when it failed. A descriptor that is
    opened after another program's sync has seen the error learns nothing of it (Documentation/filesystems/vfs.rst,
    errseq). So one descriptor for each file system is kept from before the first write to the end.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders: dict[int, tuple[int, Path]] = {}
        for folder in folders:
            device = folder.stat().st_dev
            if device not in self._folders:
                self._folders[device] = os.open(folder, os.O_RDONLY | os.O_CLOEXEC), folder

    def sync(self) -> None:
        """Make all that was written to them survive a power cut.

        Raises
        ------
        OSError
            If any write to them failed since they were opened.
        """
        for fd, folder in self._folders.values():
            _syncfs(fd, folder)

    def close(self) -> None:
        """Close them."""
        while self._folders:
            os.close(self._folders.popitem()[1][0])


def will_need(fd: int, offset: int, length: int) -> None:
    """Announce a read of an open file, so that the disk begins it now; only a hint."""
    if _TAKES_HINTS and length > 0:
        os.posix_fadvise(fd, offset, length, os.POSIX_FADV_WILLNEED)


def let_go(fd: int, offset: int, length: int) -> None:
    """Release the memory of bytes of an open file that will hardly be read again; only a hint.

    Linux begins to write at once what is not on the disk yet (mm/fadvise.c).
    """
    if _TAKES_HINTS and length > 0:
        os.posix_fadvise(fd, offset, length, os.POSIX_FADV_DONTNEED)


def remove_leftovers(*folders: Path) -> None:
    """Remove temporary files that a killed `written_whole` left in these folders; keep those of living processes."""
    for folder in folders:
        for leftover in folder.glob(".*.part"):
            match = _LEFTOVER.fullmatch(leftover.name)
            if match and (folder.name == OWN_FOLDER or match["name"] in _IN_A_TREE) and not _lives(int(match["pid"])):
                with contextlib.suppress(OSError):
                    leftover.unlink()


def remove_leftovers_of(path: Path) -> None:
    """Remove the temporary files that killed calls of `written_whole` left of this path.

    The caller holds a lock without which nobody writes the path, also where other machines share the folder.
    """
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        match = _LEFTOVER.fullmatch(leftover.name)
        if match and match["name"] == path.name:
            with contextlib.suppress(OSError):
                leftover.unlink()


def printable(name: str) -> str:
    """Return a file name as text; bytes that are no valid text become escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def named(error: OSError, path: Path) -> OSError:
    """Return an error of the system with the path that it is about, if it has none."""
    return error if error.filename else OSError(error.errno, error.strerror, str(path))


_TAKES_HINTS = hasattr(os, "posix_fadvise")  # macOS takes none
_LEFTOVER = re.compile(r"\.(?P<name>.+?)\.(?P<pid>\d+)(?:\.[0-9a-f]{8})?\.part")
_IN_A_TREE = ("train.txt", "val.txt", "test.txt", "classes.json")
"""Files that the first edition wrote through temporary files beside a user's own."""
_NO_EXCLUSIVE_RENAME = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)


def write_text(path: Path, text: str) -> None:
    """Write a small text file whole."""
    with written_whole(path) as beside:
        beside.write_text(text, encoding="utf-8")


def sync_path(path: Path) -> None:
    """Make a file's contents, or a folder's entries, survive a power cut."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_filesystem(folder: Path) -> None:
    """Make everything written to the file system of a folder survive a power cut.

    One call for thousands of small files: `fsync` of each would cost a journal commit per file. Where the C library
    has no `syncfs` (macOS), every file system is synced.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _syncfs(fd, folder)
    finally:
        os.close(fd)


@contextlib.contextmanager
def locked(path: Path, *, what: str = "", wait: bool = True) -> Iterator[None]:
    """Hold an exclusive lock on the file `path`, which the system drops when the process dies in any way.

    Raises
    ------
    MachineError
        If another process holds it and `wait` is false; the message calls the locked thing `what`.
    """
    make_own_folder(path.parent) if OWN_FOLDER in path.parts else path.parent.mkdir(parents=True, exist_ok=True)
    with open(open_own(path, os.O_RDWR | os.O_CREAT | os.O_APPEND), "a+", encoding="ascii", errors="replace") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            hint = "wait for it to end, or stop it; nothing was changed"
            raise MachineError(f"{what or path} is in use by another run, process {owner}", hint=hint) from None
        file.truncate(0)
        file.write(f"{os.getpid()} on {platform.node()}\n")
        file.flush()
        yield


_LIBC = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def _own_parent(path: Path) -> Iterator[int]:
    """Yield a descriptor of the folder of a path, reached without following a link from `.ilsvrc` on."""
    own = _own_folders(path.parent)
    start = own[0].parent if own else path.parent
    fd = os.open(start, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder in own:
            try:
                inner = os.open(folder.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
                    refuse_foreign_folder(folder)
                raise
            os.close(fd)
            fd = inner
        yield fd
    finally:
        os.close(fd)


def _own_folders(folder: Path) -> list[Path]:
    """Return the folders from the last `.ilsvrc` in a path down to the path itself; none without one."""
    chain = [folder, *folder.parents]
    at = next((i for i, part in enumerate(chain) if part.name == OWN_FOLDER), None)
    return [] if at is None else chain[at::-1]


def _not_ours(path: Path) -> MachineError:
    hint = f"see what it is and move it away: ls -l {path}; nothing was changed"
    return MachineError(f"{path} is no regular file of ilsvrc's own: a link, a folder or a pipe", hint=hint)


def _lives(pid: int) -> bool:
    """Whether a process other than this one has this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return pid != os.getpid()


def _syncfs(fd: int, folder: Path) -> None:
    syncfs = getattr(_LIBC, "syncfs", None)
    if syncfs is None:
        os.sync()
    elif syncfs(fd) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(folder))


def _rename_exclusively(source: Path, target: Path) -> int:
    """Rename by the system's own call for it; return 0, or the number of the error."""
    paths = os.fsencode(source), os.fsencode(target)
    if hasattr(_LIBC, "renameat2"):  # Linux; AT_FDCWD is -100, RENAME_NOREPLACE 1
        failed = _LIBC.renameat2(-100, paths[0], -100, paths[1], ctypes.c_uint(1))
    elif hasattr(_LIBC, "renamex_np"):  # macOS; RENAME_EXCL is 4
        failed = _LIBC.renamex_np(*paths, ctypes.c_uint(4))
    else:
        return errno.ENOSYS
    return ctypes.get_errno() if failed else 0


def _rename_by_claim(source: Path, target: Path) -> None:
    """Claim the name, then rename over the claim."""
    if source.is_dir():
        target.mkdir()  # fails if the name is taken; an empty folder may then be renamed over
        source.rename(target)
    else:
        os.link(source, target)
        source.unlink()
