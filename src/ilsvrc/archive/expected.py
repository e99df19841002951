"""Which digest an archive should have, and who says so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ilsvrc import facts
from ilsvrc.archive.source import ByteSource
from ilsvrc.errors import ArchiveError
from ilsvrc.facts import Digest
from ilsvrc.issues import Code

SUMS_FILES = {"md5": "MD5SUMS", "sha256": "SHA256SUMS"}
"""Files beside archives that list digests, as md5sum and sha256sum write them."""

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
    against : who says so: `official`, or the name of a file such as MD5SUMS
    """

    digest: Digest
    against: str


def expected(source: ByteSource, algorithm: str) -> Expected | None:
    """Return the digest that an archive should have: the official one if it has the official size, else a listed one.

    Raises
    ------
    ArchiveError
        If the list beside it speaks of another archive, or of one of another size.
    """
    spec = facts.official(source.path.name)
    digest = spec.digest(algorithm) if spec and spec.size == source.fingerprint.size else None
    if digest:
        return Expected(digest, "official")
    listed = listed_digest(source.path, algorithm)
    if listed is None:
        return None
    _refuse_contradiction(source, listed)
    return Expected(listed, SUMS_FILES[algorithm])


def is_official(source: ByteSource) -> bool:
    """Whether an archive has the name and size of an official one."""
    spec = facts.official(source.path.name)
    return spec is not None and spec.size == source.fingerprint.size


def listed_digest(archive: Path, algorithm: str) -> Digest | None:
    """Return what the list of digests beside an archive says of it, or None."""
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
    sums, size = SUMS_FILES[listed.algorithm], source.fingerprint.size
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
        detail = f"it has {size:,} bytes, the official archive that {sums} speaks of {other.size:,}: {state}"
        raise ArchiveError(Code.WRONG_SIZE, detail, source.path, hint="go on with its download, or fetch it again")
