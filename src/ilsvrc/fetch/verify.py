"""What an archive's digest should be, and who says so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ilsvrc.archive.verified import record, recorded
from ilsvrc.events import Advanced, Finished, Listener, Started
from ilsvrc.facts import ArchiveSpec, Digest, official
from ilsvrc.fetch.digest import PrefixHasher, md5

MD5SUMS = "MD5SUMS"
_LINE = re.compile(r"([0-9a-fA-F]{32}) [ *](.+)")


@dataclass(frozen=True, slots=True)
class Expectation:
    """What an archive should be.

    spec : the official archive of its name, or None where another one is meant
    digest : its MD5, or None where nobody says
    against : who says: official or MD5SUMS; None where nobody does
    """

    spec: ArchiveSpec | None
    digest: Digest | None
    against: str | None


def expectation(folder: Path, name: str) -> Expectation:
    """Return what the archive of this name should be; a file MD5SUMS in the folder overrules the official digest."""
    listed = _listed(folder / MD5SUMS).get(name)
    spec = official(name)
    if listed and (spec is None or spec.digest("md5") != listed):
        return Expectation(None, listed, MD5SUMS)
    digest = spec.digest("md5") if spec else None
    return Expectation(spec, digest, "official" if digest else None)


def hash_file(path: Path, listener: Listener, hasher: PrefixHasher | None = None) -> Digest:
    """Return a file's MD5, telling the listener how far it is; a hasher that followed the file saves the work."""
    stage = f"{path.name.removesuffix('.part')}: md5"
    listener(Started(stage, total_bytes=path.stat().st_size))

    def advanced(count: int) -> None:
        listener(Advanced(stage, bytes=count))

    digest = hasher.finish(advanced) if hasher else md5(path, advanced)
    listener(Finished(stage))
    return digest


def known_digest(path: Path, expected: Expectation, listener: Listener) -> Digest:
    """Return a file's MD5 from its record where there is one that counts, else by hashing it."""
    before = recorded(path)
    if before and before.digest.algorithm == "md5" and expected.digest in (None, before.digest):
        return before.digest
    digest = hash_file(path, listener)
    if digest == expected.digest:
        record(path, digest, str(expected.against))
    return digest


def _listed(path: Path) -> dict[str, Digest]:
    """Read a file as md5sum writes it: digest by file name."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return {}
    found = filter(None, map(_LINE.fullmatch, lines))
    return {Path(match[2]).name: Digest("md5", match[1].lower()) for match in found}
