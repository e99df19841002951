"""Images that share their bytes with the source: hard links, and reflinks, which share blocks until one changes."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import tempfile
from enum import StrEnum
from pathlib import Path

from ilsvrc.errors import DamageError, MachineError, UsageError
from ilsvrc.files import OwnFolder, named
from ilsvrc.issues import Code, Issue
from ilsvrc.readers.units import Sample
from ilsvrc.stores.path import Location


class Link(StrEnum):
    """How an image that is a file of its own in the source comes into a folder."""

    AUTO = "auto"
    """As a clone where the file system can; else copied. Neither file ever changes with the other."""
    HARD = "hard"
    """As a second name of the same file: writing to one is writing to both."""
    REFLINK = "reflink"
    """As a clone: a file of its own that shares blocks until one of both is written to."""
    COPY = "copy"
    """Written again."""


HOW = {
    Link.AUTO: "by reflinks, which share blocks with the source until one of both changes; else copied",
    Link.HARD: "by hard links: writing to an image of the tree changes the image of the source, and the other way",
    Link.REFLINK: "by reflinks, which share blocks with the source until one of both changes",
    Link.COPY: "copied",
}
"""How an image comes into a folder, in words."""

_FICLONE = 0x40049409
"""ioctl_ficlonerange(2): _IOW(0x94, 9, int) on the machines that we know, all but MIPS, PowerPC and SPARC."""

_CANNOT = (
    errno.EXDEV,
    errno.EPERM,
    errno.EMLINK,
    errno.EOPNOTSUPP,
    errno.ENOTTY,
    errno.ENOSYS,
    errno.EINVAL,
    errno.ETXTBSY,
)
"""What a file system answers that can't link or clone: link(2), ioctl_ficlonerange(2)."""


def refuse_impossible(link: Link, image: str | None, target: Path, source: Location) -> Link:
    """Return how images will be linked in a folder: auto becomes copy where no clone can be made.

    Parameters
    ----------
    link
        The user's choice.
    image
        The file of an image of the source; None if images lie in archives.
    target
        A folder on the file system that gets the images.
    source
        What the images come from, for messages.

    Raises
    ------
    UsageError
        If hard links or clones are asked for, and can't be made.
    """
    if link is Link.COPY or (link is Link.AUTO and image is None):
        return Link.COPY
    if image is None:
        detail = f"the images of {source} lie in archives: there is no file to make a {_NAMES[link]} to"
        raise UsageError(detail, hint="leave out --link; nothing was written")
    if can_clone(image, target) if link is not Link.HARD else on_one_file_system(image, target):
        return link
    if link is Link.AUTO:
        return Link.COPY
    raise UsageError(_refusal(link, target, source), hint=_way_out(link, image, target))


_NAMES = {Link.HARD: "hard link", Link.REFLINK: "reflink"}


def _refusal(link: Link, target: Path, source: Location) -> str:
    if link is Link.HARD:
        return f"{target} and {source} are on different file systems: no hard link leads from one to the other"
    return f"no reflink can be made in {target} of the images of {source}: btrfs and xfs can, within one file system"


def _way_out(link: Link, image: str, target: Path) -> str:
    hard = link is Link.REFLINK and on_one_file_system(image, target)
    return f"use --link copy{', or --link hard' if hard else ''}; nothing was written"


def on_one_file_system(image: str, folder: Path) -> bool:
    """Whether a file and a folder are on one file system; a hard link may be refused there still, by other rules."""
    try:
        return os.stat(image).st_dev == folder.stat().st_dev  # noqa: PTH116  -- text, as `where` gives it
    except OSError:
        return False


def can_clone(image: str, folder: Path) -> bool:
    """Whether a file can be cloned in a folder: tried with a file that has no name, so that nothing is seen there."""
    try:
        with open(image, "rb") as source, tempfile.TemporaryFile(dir=folder) as clone:
            fcntl.ioctl(clone.fileno(), _FICLONE, source.fileno())
    except OSError:
        return False
    return True


def link_image(sample: Sample, folder: OwnFolder, link: Link) -> bool:
    """Link or clone an image into a folder of ours, and compare it with the bytes that were read; or return False.

    False if it is to be copied: by choice, because it lies in an archive, or because auto meets a file system that
    can't clone it.

    Raises
    ------
    DamageError
        If the file has other bytes by now than those that were read.
    MachineError
        If the file system refuses a link that was asked for.
    """
    if link is Link.COPY or sample.file is None:
        return False
    folder.remove(sample.key)
    try:
        _link(sample.file, folder, sample.key) if link is Link.HARD else _clone(sample.file, folder, sample.key)
    except OSError as error:
        folder.remove(sample.key)
        if error.errno not in _CANNOT:
            raise named(error, folder.path / sample.key) from None
        if link is Link.AUTO:
            return False
        detail = f"{sample.file}: no {_NAMES[link]} to it can be made: {error.strerror}"
        hint = "run the same command again with --link copy: it resumes where it stopped"
        raise MachineError(detail, hint=hint) from None
    _refuse_other_bytes(sample, folder)
    return True


def _link(source: str, folder: OwnFolder, key: str) -> None:
    folder.link(source, key)


def _clone(source: str, folder: OwnFolder, key: str) -> None:
    fd = folder.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with contextlib.closing(os.fdopen(fd, "wb", buffering=0)) as clone, open(source, "rb", buffering=0) as image:
        fcntl.ioctl(clone.fileno(), _FICLONE, image.fileno())


def _refuse_other_bytes(sample: Sample, folder: OwnFolder) -> None:
    """Refuse a file that was changed or replaced since it was read: its digest would be of other bytes.

    The second read comes from memory: it costs a tenth of a millisecond at most for an image.
    """
    with open(folder.open(sample.key, os.O_RDONLY), "rb", buffering=0) as file:
        same = file.read() == sample.data
    if not same:
        folder.remove(sample.key)
        issue = Issue(str(sample.file), Code.CHANGED_IMAGE, "it changed while it was read")
        hint = "let nothing write to the source, then run the same command again"
        raise DamageError(f"{sample.file} changed while it was read", [issue], hint=hint)
