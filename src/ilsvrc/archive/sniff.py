"""Say what a file is that is not the tar it should be."""

from __future__ import annotations

from pathlib import Path

from ilsvrc.errors import ArchiveError
from ilsvrc.issues import Code

_COMPRESSED = {
    b"\x1f\x8b": ("gzip", "gunzip"),
    b"BZh": ("bzip2", "bunzip2"),
    b"\xfd7zXZ\x00": ("xz", "unxz"),
    b"\x28\xb5\x2f\xfd": ("zstandard", "unzstd"),
    b"PK\x03\x04": ("zip", "unzip"),
}
_HTML = (b"<!doctype html", b"<html", b"<head", b"<?xml")


def not_a_tar(head: bytes, archive: Path, member: str = "", offset: int | None = None) -> ArchiveError | None:
    """Return the error for bytes that plainly are no tar, by how they begin; None if they may be one.

    Parameters
    ----------
    head
        The first bytes, 512 or fewer.
    archive, member, offset
        Where they lie, for the message.
    """

    def _error(code: Code, detail: str, hint: str) -> ArchiveError:
        return ArchiveError(code, detail, archive, member=member, offset=offset, hint=hint)

    for magic, (name, program) in _COMPRESSED.items():
        if head.startswith(magic):
            hint = f"the official archives are not compressed: unpack it with {program} or fetch it again"
            return _error(Code.COMPRESSED, f"this is {name} data, not a tar", hint)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_HTML):
        hint = "the server sent a page, most likely its login; log in and fetch the archive again"
        return _error(Code.HTML_PAGE, "this is a web page saved as an archive", hint)
    if not head:
        return _error(Code.NOT_TAR, "the file is empty", "fetch the archive again")
    return None
