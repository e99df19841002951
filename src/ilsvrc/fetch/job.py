"""One archive of a request, from what lies on disk to the verified file."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from ilsvrc.archive.expected import Expected, expected_digest
from ilsvrc.errors import ArchiveError, system_errors
from ilsvrc.events import Listener, Note, silent
from ilsvrc.facts import Digest, archive_with_digest
from ilsvrc.fetch.aria2 import Aria2
from ilsvrc.fetch.client import Secrets
from ilsvrc.fetch.metalink import with_metalinks
from ilsvrc.fetch.options import engine_settings, seconds
from ilsvrc.fetch.part import Part, locked
from ilsvrc.fetch.probe import Survey, check_space, is_page, survey
from ilsvrc.fetch.relay import Relay
from ilsvrc.fetch.request import MOST_CONNECTIONS, Credentials, Fetched, FetchReport, FetchRequest, Limits
from ilsvrc.fetch.sources import Sources, file_name, plan, wanted
from ilsvrc.fetch.torrents import expand, read_torrent, seed
from ilsvrc.fetch.transfer import Session, Transfer
from ilsvrc.fetch.verify import confirm, hash_file, known_digest
from ilsvrc.issues import Code


class Job:
    """One archive of a request: `look` first, then `bring` what is not there."""

    def __init__(self, session: Session, sources: Sources) -> None:
        self._session = session
        self._request, self._listener = session.request, session.listener
        self._sources = sources
        self._part = Part(session.request.folder, sources.name)

    def look(self) -> Fetched | Survey:
        """Return the archive if it is there and right, else what its sources say; nothing is fetched yet."""
        self._part.refuse_foreign()
        final = self._part.final
        wanted = (
            expected_digest(final, final.stat().st_size, "md5") if final.exists() and not self._part.by_hand else None
        )
        if wanted:
            digest = known_digest(final, wanted, self._listener)
            if digest == wanted.digest:
                return self._there(digest, wanted)
        found = survey(self._sources, self._request, self._listener)
        if final.exists():
            return self._reuse(found)
        return found

    def bring(self, found: Survey) -> Fetched:
        """Fetch the archive, verify it and give it its name; a wrong one is mended, or fetched once more."""
        started, received = time.monotonic(), 0
        for last in (False, True):
            digest, brought = self._fetch(found)
            received += brought
            wanted = self._wanted()
            if wanted is None or wanted.digest == digest:
                against = self._publish(found, digest, wanted)
                cost = received, time.monotonic() - started
                return Fetched(self._part.name, self._part.final, found.size, digest, against, *cost)
            self._object(found, digest, wanted, last=last)
        raise AssertionError("unreachable: the last objection is an error")

    def _reuse(self, found: Survey) -> Fetched | Survey:
        """Make use of a file that lies there under the final name and is not known to be right."""
        size, name = self._part.final.stat().st_size, self._part.name
        if size == found.size and not self._part.by_hand and expected_digest(self._part.final, size, "md5") is None:
            return self._there(known_digest(self._part.final, None, self._listener), None)
        self._part.adopt()
        if self._part.control.exists() or (size < found.size and not is_page(self._part.path)):
            self._listener(Note(f"{name}: goes on from the file that lies there"))
        elif not found.torrent:
            aside = self._part.set_aside(".corrupt", for_good=True)
            self._listener(Note(f"{name}: the file that lies there is wrong; kept as {aside.name}", warning=True))
        return found

    def _fetch(self, found: Survey) -> tuple[Digest, int]:
        """Complete the part; return its digest and how many bytes came."""
        part = self._part
        if part.looks_whole(found.size):
            digest = hash_file(part.path, self._listener)
            wanted = self._wanted()
            if wanted and digest == wanted.digest:
                return digest, 0
        hasher, received = Transfer(self._session, self._sources).run(found)
        return hash_file(part.path, self._listener, hasher), received

    def _object(self, found: Survey, digest: Digest, wanted: Expected, *, last: bool) -> None:
        """Deal with a whole file of the wrong digest: leave it to its piece hashes, or set it aside."""
        detail = f"its MD5 is {digest.hex} and should be {wanted.digest.hex} ({wanted.against})"
        other = archive_with_digest(digest)
        if other:
            detail += f": this is {other.name}, {other.contents}"
        if found.torrent and not last:
            self._listener(Note(f"{self._part.name}: {detail}; its pieces are checked one by one", warning=True))
            return
        aside = self._part.set_aside(".corrupt")
        if last or other:
            hint = "the source holds another file than the one expected: choose another"
            raise ArchiveError(Code.WRONG_DIGEST, f"{detail}; kept as {aside.name}", self._part.name, hint=hint)
        self._listener(Note(f"{self._part.name}: {detail}; kept as {aside.name}, fetched once more", warning=True))
        check_space(self._request.folder, [found])

    def _publish(self, found: Survey, digest: Digest, wanted: Expected | None) -> str | None:
        """Give the verified part its name, write the record that spares others the hashing, and say who vouches."""
        self._part.publish()
        against = wanted.against if wanted else "torrent" if found.torrent else None
        if against:
            confirm(self._part.final, digest, against)
        else:
            text = f"{self._part.name}: nobody says what its digest should be, so it could not be verified"
            self._listener(Note(f"{text}; a file MD5SUMS in the folder would", warning=True))
        if found.torrent:
            for event in seed(self._session.engine, found.torrent, self._part.final, self._request.limits):
                self._listener(event)
        return against

    def _wanted(self) -> Expected | None:
        """Return what the whole part should be."""
        return expected_digest(self._part.final, self._part.path.stat().st_size, "md5")

    def _there(self, digest: Digest, wanted: Expected | None) -> Fetched:
        path: Path = self._part.final
        return Fetched(self._part.name, path, path.stat().st_size, digest, wanted.against if wanted else None)


@system_errors()
def fetch(  # noqa: PLR0913  -- a verb's choices, each with its name
    *archives: str,
    to: Path | str,
    urls: Iterable[str] = (),
    torrents: Iterable[str] = (),
    metalinks: Iterable[Path | str] = (),
    cookies: Path | str | None = None,
    headers: Iterable[str] = (),
    netrc: Path | str | None = None,
    connections: int = MOST_CONNECTIONS,
    max_speed: int = 0,
    seed_ratio: float = 0.0,
    patience: float = 300.0,
    dht: bool = True,
    listener: Listener = silent,
) -> FetchReport:
    """Bring archives into a folder, each verified under its official name.

    What is there and right is not fetched again, whoever brought it. Interrupted at any moment, by whatever, the
    same call resumes where it stopped.

    Parameters
    ----------
    archives
        `train`, `val`, `test`, `devkit` or official file names; without any, those that the sources name, or else
        train, val and devkit.
    to
        The folder for the archives; it is made.
    urls
        Servers of the archives; several of one archive are used together.
    torrents
        Torrent files, magnet links, or `academic` for the copies of Academic Torrents.
    metalinks
        Metalink files, which list servers.
    cookies
        A cookies file as browsers' extensions export it (Netscape format).
    headers
        Whole header lines, such as "Authorization: Bearer ..."; only the server of the URL sees them.
    netrc
        A netrc file; it must be readable by its owner alone.
    connections
        Connections to all servers of one archive together, 1 to 16.
    max_speed
        Bytes per second, 0 for as fast as can be.
    seed_ratio
        Upload this share of an archive to other peers once it is verified; 0 for none.
    patience
        Seconds to try again while no byte arrives.
    dht
        Find peers without a tracker.
    listener
        Gets progress and notes.

    Examples
    --------
    >>> import ilsvrc
    >>> ilsvrc.fetch("train", "val", to="/data/archives", torrents=["academic"])  # doctest: +SKIP

    Raises
    ------
    UsageError
        No source for an archive, or a login that a server refuses.
    ArchiveError
        The sources hold a wrong file: a web page, another size, another digest (twice).
    NetworkError, MachineError
        No byte came for as long as `patience`; no space; another fetch in the folder; no aria2c.
    """
    request = FetchRequest(
        folder=Path(to),
        names=tuple(file_name(word) for word in archives),
        urls=_several(urls),
        torrents=_several(torrents),
        credentials=Credentials(_path(cookies), _several(headers), _path(netrc)),
        limits=Limits(connections, max_speed, seed_ratio, patience, dht),
    )
    paths = [metalinks] if isinstance(metalinks, (str, Path)) else metalinks
    return fetch_request(with_metalinks(request, map(Path, paths)), listener)


def _path(path: Path | str | None) -> Path | None:
    return None if path is None else Path(path)


def _several(words: Iterable[str]) -> tuple[str, ...]:
    """Return the words; a single one may be given as it is."""
    return (words,) if isinstance(words, str) else tuple(words)


def fetch_request(request: FetchRequest, listener: Listener = silent) -> FetchReport:
    """Bring the archives of a request into its folder, as `fetch` does."""
    request.folder.mkdir(parents=True, exist_ok=True)
    settings = engine_settings(request.limits)
    relay = Relay(Secrets(request.credentials), seconds(request.limits.patience, 60))
    with locked(request.folder) as lock, relay, Aria2(settings, lock=lock) as engine:
        torrents = [read_torrent(engine, s, request, listener) for s in expand(request.torrents, wanted(request))]
        session = Session(engine, relay, request, listener)
        jobs = [Job(session, sources) for sources in plan(request, torrents)]
        looks = [job.look() for job in jobs]
        check_space(request.folder, [found for found in looks if isinstance(found, Survey)])
        there = (
            job.bring(found) if isinstance(found, Survey) else found for job, found in zip(jobs, looks, strict=True)
        )
        return FetchReport(tuple(there))
