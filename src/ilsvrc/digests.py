"""Record the digest of every image of the archives, so that reading in place can be verified."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from ilsvrc.archive.find import SPLITS, find_archives
from ilsvrc.archive.index import Index
from ilsvrc.archive.remote import source_of
from ilsvrc.archive.sidecar import digest_folder, recorded, stored_digests
from ilsvrc.archive.source import ArchiveSource
from ilsvrc.errors import UsageError, system_errors
from ilsvrc.events import Listener, Note, silent
from ilsvrc.files import locked, printable
from ilsvrc.paths import given_location
from ilsvrc.readers.archive import ArchiveReader
from ilsvrc.readers.locate import find_splits
from ilsvrc.readers.reader import SHARDS, Found
from ilsvrc.run.engine import Engine, process_engine, refuse_jobs
from ilsvrc.run.loop import Machinery, run
from ilsvrc.run.plan import Plan
from ilsvrc.run.proof import HashingProof, NoProof, claims_of
from ilsvrc.sinks.digests import DigestSink
from ilsvrc.stores.path import Location


@system_errors()
def record_digests(source: Location | str, *, jobs: int | None = None, listener: Listener = silent) -> list[Index]:
    """Record xxh3_128 of every image beside the index of every archive; return the indices.

    Each archive is read once, front to back. If something says what its md5 should be, that is proved in the same
    pass, and digests of other bytes are not kept.

    Parameters
    ----------
    source
        The folder that holds the archives, or one archive.
    jobs
        Processes; None for one per processor, or none where there are few images.
    listener
        Gets progress and notes.

    Raises
    ------
    IlsvrcError
        UsageError if there is no archive, ArchiveError for an archive that is not what it should be, MachineError if
        another run records the same digests.
    """
    refuse_jobs(jobs)
    archives = _archives(given_location(source), listener)
    engine = process_engine(jobs)
    return [_record(source_of(archive), engine, listener) for archive in archives]


def _archives(source: Location, listener: Listener) -> list[Location]:
    """Return the official archives; refuse other forms, and warn of those that lie beside archives."""
    try:
        archives = find_archives(source, SPLITS)
    except UsageError:
        found = find_splits(source)
        if not found:
            raise
        raise _other_forms(source, found) from None
    others = {} if source.is_file() else find_splits(source)
    for split, one in others.items():
        if one.form != ArchiveReader.form:
            text = f"{split} is in {one.form}: digests are recorded for official archives alone"
            listener(Note(text, warning=True))
    return archives


def _other_forms(source: Location, found: Mapping[str, Found]) -> UsageError:
    """Return the error that a data set is in other forms than official archives."""
    forms = " and ".join(dict.fromkeys(one.form for one in found.values()))
    way = shlex.quote(printable(str(source)))
    detail = f"{printable(str(source))} holds {forms}: digests are recorded for official archives alone"
    if all(one.form.endswith(SHARDS) for one in found.values()):
        hint = f"their manifests have a digest of every image: `ilsvrc check --deep {way}` compares them"
        return UsageError(detail, hint=hint)
    hint = f"`ilsvrc prepare {way} DST` writes a copy with a digest of every image"
    return UsageError(detail, hint=f"{hint}; `ilsvrc check --deep {way}` reads every image")


def _record(source: ArchiveSource, engine: Engine, listener: Listener) -> Index:
    """Record the digests of one archive, unless they are there."""
    reader = ArchiveReader.open(source, listener=listener)
    name = source.path.name
    folder = digest_folder(source.path)
    with locked(folder / f"{name}.digests.lock", what=f"the digests of {name}", wait=False):
        if stored_digests(source, reader.index) is not None:
            listener(Note(f"{name}: has digests already"))
            return reader.index
        claims = None if recorded(source.path) else claims_of(reader, "md5")
        proof = HashingProof(claims, listener) if claims else NoProof()
        sink = DigestSink(source, folder / f".{name}.digests.part")
        run(Plan(reader), sink, Machinery(engine, None, proof, listener))
    return reader.index
