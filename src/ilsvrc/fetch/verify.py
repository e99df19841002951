"""Compare an archive's size and digest with the expected ones."""

from __future__ import annotations

from pathlib import Path

from ilsvrc.archive.expected import SUMS_FILES, Expected, listed_digest
from ilsvrc.archive.source import FileState
from ilsvrc.errors import ArchiveError
from ilsvrc.events import Advanced, Finished, Listener, Started
from ilsvrc.facts import Digest, known_by_size, official
from ilsvrc.fetch.digest import PrefixHasher
from ilsvrc.issues import Code


def check_size(archive: Path, size: int) -> None:
    """Raise ArchiveError if a file of this size can't be the official archive; it names the file, if known.

    The size of an archive whose digest is listed beside it is not compared: it need not be official.
    """
    spec = official(archive.name)
    if spec is None or spec.size in (None, size) or listed_digest(archive, "md5"):
        return
    known = known_by_size(size)
    meaning = f"this is {known}" if known else "this is another file, or a part of it"
    detail = f"{size:,} bytes where the official archive has {spec.size:,}: {meaning}"
    hint = f"for an archive that is not official, list its digest in a file {SUMS_FILES['md5']} in the folder"
    raise ArchiveError(Code.WRONG_FILE if known else Code.WRONG_SIZE, detail, archive.name, hint=hint)


def confirm(archive: Path, digest: Digest, against: str) -> None:
    """Record the digest of a verified archive, so that it is not hashed again."""
    from ilsvrc.archive.sidecar import record  # brings pyarrow, which the start of a fetch can do without

    record(archive, digest, against, FileState.of(archive))


def hash_file(path: Path, listener: Listener, hasher: PrefixHasher) -> Digest:
    """Return a file's digest and report progress; a `hasher` that followed the file has done most of the work."""
    stage = f"{path.name.removesuffix('.part')}: {hasher.algorithm}"
    listener(Started(stage, total_bytes=path.stat().st_size))

    def _advanced(count: int) -> None:
        listener(Advanced(stage, bytes=count))

    digest = hasher.finish(_advanced)
    listener(Finished(stage))
    return digest


def known_digest(archive: Path, wanted: Expected | None, listener: Listener) -> Digest:
    """Return an archive's MD5 from its record, else by hashing; if it is the expected one, it is recorded."""
    from ilsvrc.archive.sidecar import recorded

    algorithm = wanted.digest.algorithm if wanted else "md5"
    before = recorded(archive)
    if before and before.digest.startswith(f"{algorithm}:"):
        return Digest(algorithm, before.digest.removeprefix(f"{algorithm}:"))
    digest = hash_file(archive, listener, PrefixHasher(archive, algorithm))
    if wanted and digest == wanted.digest:
        confirm(archive, digest, wanted.against)
    return digest
