"""Every error that ilsvrc raises on purpose.

::

    IlsvrcError                     exit status
    ├── DataError                   1   the data is at fault
    │   ├── ArchiveError                an archive or a member is not what it should be; carries its Code
    │   └── DamageError                 the data set has issues; carries them all
    ├── UsageError                  2   the call is at fault
    │   └── LayoutError                 a layout template that can't be used
    └── MachineError                3   the machine is at fault: disk, permissions, a lock, a lost worker
        ├── MissingExtraError           an optional dependency is not installed
        └── NetworkError                a server or the way to it failed: the same call may work later

An error says what is wrong and where; its `hint` says what to do.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator, Sequence
from pathlib import Path

from ilsvrc.issues import Code, Issue


class IlsvrcError(Exception):
    """The root: `message` is one sentence, `hint` says what to do about it."""

    exit_status = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if hint:
            self.add_note(f"hint: {hint}")

    def __str__(self) -> str:
        return self.message


class DataError(IlsvrcError):
    """The data is at fault."""


class ArchiveError(DataError):
    """An archive that can't be trusted.

    Parameters
    ----------
    code
        The kind of fault.
    detail
        What is wrong, without saying where.
    archive
        The path of the archive file, or its address in a store.
    member
        The member's name, with the inner archive before a slash; empty when the whole archive is meant.
    offset
        Byte offset in the archive file, or None when the whole archive is meant.
    hint
        What to do about it.
    """

    def __init__(  # noqa: PLR0913  -- an error carries its fields
        self,
        code: Code,
        detail: str,
        archive: object,
        *,
        member: str = "",
        offset: int | None = None,
        hint: str = "",
    ) -> None:
        where = str(archive)
        if member:
            where += f": {member}"
        if offset is not None:
            where += f" at byte {offset:,}"
        super().__init__(f"{where}: {detail} [{code}]", hint=hint)
        self.code = code
        self.detail = detail
        self.archive = str(archive)
        self.member = member
        self.offset = offset

    def __reduce__(self) -> tuple[object, ...]:
        state = (self.code, self.detail, self.archive, self.member, self.offset, self.hint)
        return _archive_error, state


def _archive_error(*state: object) -> ArchiveError:
    """Rebuild an error that crossed a process boundary."""
    code, detail, archive, member, offset, hint = state
    return ArchiveError(code, detail, archive, member=member, offset=offset, hint=hint)  # type: ignore[arg-type]


class DamageError(DataError):
    """The data set has faults; `issues` holds every one of them."""

    def __init__(self, message: str, issues: Sequence[Issue], *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.issues = tuple(issues)

    def __reduce__(self) -> tuple[object, ...]:
        return _damage_error, (self.message, self.issues, self.hint)


def _damage_error(message: str, issues: Sequence[Issue], hint: str) -> DamageError:
    """Rebuild an error that crossed a process boundary."""
    return DamageError(message, issues, hint=hint)


class UsageError(IlsvrcError):
    """The call is at fault."""

    exit_status = 2


class LayoutError(UsageError):
    """A layout template that can't be used, or that would put two images in one place."""


class MachineError(IlsvrcError):
    """The machine is at fault: no space, no permission, another run holds the lock, a worker was lost."""

    exit_status = 3

    @classmethod
    def of(cls, error: OSError, where: object = "") -> MachineError:
        """Return the error for a refusal of the system: one sentence with the path, and a hint."""
        where = error.filename or where
        return cls(
            f"{where}: {error.strerror or error}" if where else str(error), hint=_HINTS.get(error.errno or 0, "")
        )


_HINTS = {
    errno.ENOSPC: "free some space and run the same command again: it resumes",
    errno.EDQUOT: "free some of your quota and run the same command again: it resumes",
    errno.EACCES: "change the permissions, or choose another folder",
    errno.EPERM: "change the permissions, or choose another folder",
    errno.EMFILE: "raise the limit on open files (ulimit -n), or try fewer --jobs",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f), or choose a file system that takes larger files",
    errno.EROFS: "choose a folder that can be written",
    errno.EIO: "the disk reports an error: look at the system's log (dmesg) before you use this disk again",
}


@contextlib.contextmanager
def system_errors(where: Path | str = "") -> Iterator[None]:
    """Turn errors of the system into MachineError; every public verb uses it, as a decorator or around a block.

    Raises
    ------
    MachineError
        For an OSError, for lack of memory, or for a thread that can't be started.
    """
    try:
        yield
    except OSError as error:
        raise MachineError.of(error, where) from error
    except MemoryError as error:
        hint = "try fewer --jobs, or a machine with more memory; the same command resumes"
        raise MachineError("there is not enough memory", hint=hint) from error
    except RuntimeError as error:
        if "can't start new thread" not in str(error):
            raise
        hint = "raise the limit on processes (ulimit -u), or try fewer --jobs; the same command resumes"
        raise MachineError("the system refuses another thread", hint=hint) from error


class MissingExtraError(MachineError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"this needs {package}, which is not installed", hint=f"pip install 'ilsvrc[{extra}]'")


class NetworkError(MachineError):
    """A server, or the network between, failed: the same call may work later."""
