"""The digest that an archive should have, and the source that states it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ilsvrc import facts
from ilsvrc.archive.source import ByteSource
from ilsvrc.errors import ArchiveError
from ilsvrc.facts import Digest
from ilsvrc.issues import Code
from ilsvrc.stores.path import Location

SUMS_FILES = {"md5": "MD5SUMS", "sha256": "SHA256SUMS"}
"""Files beside archives that list digests, as md5sum and sha256sum write them."""

OFFICIAL = "official"
"""`Expected.against` of a digest that the packaged facts state."""

_DIGITS = {"md5": 32, "sha256": 64}
_LINES = (
    r"\\?(?P<hex>[0-9a-fA-F]{%d})[ \t][ *]?(?P<name>.+)",
    r"(?i:%s) \((?P<name>.+)\) = (?P<hex>[0-9a-fA-F]{%d})",
)
"""The two forms of a line: md5sum's own, and that of its option --tag."""


@dataclass(frozen=True, slots=True)
class Expected:
    """The digest that an archive should have.

    digest : the digest
    against : its source: `official`, or the name of a file such as MD5SUMS
    """

    digest: Digest
    against: str


def expected(source: ByteSource, algorithm: str) -> Expected | None:
    """Return the digest that an archive should have, as `expected_digest` does; refuse a list that contradicts it.

    Raises
    ------
    ArchiveError
        If the list beside the archive gives it the digest of another archive, or of one with another size.
    """
    found = expected_digest(source.path, source.state.size, algorithm)
    if found and found.against != OFFICIAL:
        _refuse_contradiction(source, found.digest)
    return found


def expected_digest(archive: Location, size: int, algorithm: str) -> Expected | None:
    """Return the digest that an archive of this name and size in bytes should have, or None if no source states it.

    Where the official size is published, the official digest counts for an archive of this size. Where it is not, a
    list beside the archive comes first, since the archive may be a miniature, and the official digest second.
    """
    spec = facts.official(archive.name)
    official = spec.digest(algorithm) if spec and spec.size in (None, size) else None
    if spec and spec.size and official:
        return Expected(official, OFFICIAL)
    listed = listed_digest(archive, algorithm)
    if listed and listed != official:
        return Expected(listed, SUMS_FILES[algorithm])
    return Expected(official, OFFICIAL) if official else None


def is_official(archive: Location, size: int) -> bool:
    """Whether an archive of this size in bytes has the name and size of an official one."""
    spec = facts.official(archive.name)
    return spec is not None and spec.size == size


def listed_digest(archive: Location, algorithm: str) -> Digest | None:
    """Return the digest of an archive in the list beside it, or None."""
    sums = archive.parent / SUMS_FILES[algorithm]
    if not sums.is_file():
        return None
    digits = _DIGITS[algorithm]
    forms = (re.compile(_LINES[0] % digits), re.compile(_LINES[1] % (algorithm, digits)))
    for line in sums.read_text(encoding="utf-8", errors="replace").splitlines():
        for match in filter(None, (form.fullmatch(line.strip()) for form in forms)):
            if Path(match["name"]).name == archive.name:
                return Digest(algorithm, match["hex"].lower())
    return None


def _refuse_contradiction(source: ByteSource, listed: Digest) -> None:
    """Refuse a listed digest that belongs to an official archive of another name or size."""
    other = facts.archive_with_digest(listed)
    if other is None:
        return
    sums, size = SUMS_FILES[listed.algorithm], source.state.size
    if other.name != source.path.name:
        spec = facts.official(source.path.name)
        right = spec.digest(listed.algorithm) if spec else None
        hint = (
            f"the official {listed.algorithm} of {source.path.name} is {right.hex}: correct {sums}" if right else ""
        )
        detail = f"{sums} gives it the {listed.algorithm} of {other.name} ({other.contents})"
        raise ArchiveError(Code.WRONG_FILE, detail, source.path, hint=hint)
    if other.size is not None and size != other.size:
        short = other.size - size
        state = f"{short:,} bytes are missing" if short > 0 else f"{-short:,} bytes too many"
        detail = f"it has {size:,} bytes, but the official archive with its digest in {sums} {other.size:,}: {state}"
        raise ArchiveError(Code.WRONG_SIZE, detail, source.path, hint="resume its download, or fetch it again")
