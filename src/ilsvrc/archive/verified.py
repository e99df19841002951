"""Remember that an archive was verified, so that no archive is hashed twice."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from ilsvrc.facts import Digest


@dataclass(frozen=True, slots=True)
class Verified:
    """What is known of an archive that was hashed and found right.

    size : bytes
    mtime_ns : time of its last change, in nanoseconds; size and time together say that it is still the same file
    digest : the digest that it was found to have
    against : what said so: official, MD5SUMS, ...
    """

    size: int
    mtime_ns: int
    digest: Digest
    against: str


def recorded(path: Path) -> Verified | None:
    """Return the record of an archive, or None where there is none or the file has changed since."""
    try:
        document = json.loads(_record_of(path).read_text("utf-8"))
        algorithm, _, digits = document["digest"].partition(":")
        found = Verified(document["size"], document["mtime_ns"], Digest(algorithm, digits), document["against"])
        status = path.stat()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return found if (found.size, found.mtime_ns) == (status.st_size, status.st_mtime_ns) else None


def record(path: Path, digest: Digest, against: str) -> Verified:
    """Write down that an archive has this digest; the record is bound to its size and time of change."""
    status = path.stat()
    verified = Verified(status.st_size, status.st_mtime_ns, digest, against)
    document = {"archive": path.name, "size": verified.size, "mtime_ns": verified.mtime_ns}
    document |= {"digest": str(digest), "against": against}
    target = _record_of(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f"{target.name}.{os.getpid()}")
    beside.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    beside.replace(target)
    return verified


def _record_of(path: Path) -> Path:
    return path.parent / ".ilsvrc" / f"{path.name}.verified.json"
