"""Remember which archives were proved whole, so that none is hashed twice."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ilsvrc.archive.beside import folders, writable_folder
from ilsvrc.archive.source import Fingerprint
from ilsvrc.facts import Digest
from ilsvrc.files import write_text


@dataclass(frozen=True, slots=True)
class Verified:
    """An archive whose digest was found to be right.

    archive : file name
    size, mtime_ns : the state it had; another state makes this void
    digest : such as md5:1d675b47d978889d74fa0da5fadfb00e
    against : where the expected digest came from: `official` or `MD5SUMS`
    """

    archive: str
    size: int
    mtime_ns: int
    digest: str
    against: str


def recorded(archive: Path) -> Verified | None:
    """Return what was recorded of an archive, if it is still in the state that was verified."""
    state = Fingerprint.of(archive)
    for folder in folders(archive):
        try:
            found = Verified(**json.loads((folder / _name(archive)).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            continue
        if (found.archive, found.size, found.mtime_ns) == (archive.name, state.size, state.mtime_ns):
            return found
    return None


def record(archive: Path, digest: Digest, against: str, state: Fingerprint) -> Verified:
    """Record that an archive in this state has the digest that it should have, if anything can be written."""
    verified = Verified(archive.name, state.size, state.mtime_ns, str(digest), against)
    folder = writable_folder(archive)
    if folder:
        write_text(folder / _name(archive), json.dumps(asdict(verified), indent=2) + "\n")
    return verified


def _name(archive: Path) -> str:
    return f"{archive.name}.verified.json"
