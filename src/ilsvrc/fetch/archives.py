"""The archives of a request, each from its state on disk to the verified file."""

from __future__ import annotations

import time
from pathlib import Path

from ilsvrc.archive.expected import Expected
from ilsvrc.errors import ArchiveError
from ilsvrc.events import Listener, Note, silent
from ilsvrc.facts import Digest, archive_with_digest
from ilsvrc.fetch.aria2 import Aria2
from ilsvrc.fetch.credentials import Secrets
from ilsvrc.fetch.digest import PrefixHasher
from ilsvrc.fetch.options import engine_settings, seconds
from ilsvrc.fetch.part import Part, locked
from ilsvrc.fetch.probe import Offer, ask_sources, check_space, is_page
from ilsvrc.fetch.relay import Relay
from ilsvrc.fetch.request import Fetched, FetchReport, FetchRequest
from ilsvrc.fetch.sources import Sources, plan, wanted
from ilsvrc.fetch.torrents import expand, read_torrent, seed
from ilsvrc.fetch.transfer import Session, Transfer
from ilsvrc.fetch.verify import confirm, hash_file, known_digest
from ilsvrc.issues import Code


class ArchiveFetch:
    """One archive of a request: `inspect` first, then `complete` it if it is not on disk."""

    def __init__(self, session: Session, sources: Sources) -> None:
        self._session = session
        self._request, self._listener = session.request, session.listener
        self._sources = sources
        self._part = Part(session.request.folder, sources.name)

    def inspect(self) -> Fetched | Offer:
        """Return the archive if it is on disk and right, else the offer of its sources; nothing is fetched yet."""
        self._part.refuse_foreign()
        here = self.on_disk()
        if here:
            return here
        found = ask_sources(self._sources, self._request, self._listener)
        if self._part.final.exists():
            return self._reuse(found)
        return found

    def on_disk(self) -> Fetched | None:
        """Return the archive if it is on disk and has the digest that it should have; no source is asked."""
        final = self._part.final
        if not final.exists() or self._part.by_hand:
            return None
        wanted = self._sources.expected_digest(final, final.stat().st_size)
        digest = known_digest(final, wanted, self._listener) if wanted else None
        return self._fetched(digest, wanted) if digest and wanted and digest == wanted.digest else None

    def complete(self, found: Offer) -> Fetched:
        """Fetch the archive, verify it and give it its name; a wrong one is repaired or fetched once more."""
        started, received = time.monotonic(), 0
        for last in (False, True):
            digest, brought = self._fetch(found)
            received += brought
            wanted = self._wanted()
            if wanted is None or wanted.digest == digest:
                against = self._publish(found, digest, wanted)
                cost = received, time.monotonic() - started
                return Fetched(self._part.name, self._part.final, found.size, digest, against, *cost)
            self._refuse(found, digest, wanted, last=last)
        raise AssertionError("unreachable: the last objection is an error")

    def _reuse(self, found: Offer) -> Fetched | Offer:
        """Decide about a file that has the final name and is not known to be right: keep, resume or set aside."""
        size, name = self._part.final.stat().st_size, self._part.name
        if (
            size == found.size
            and not self._part.by_hand
            and not self._sources.expected_digest(self._part.final, size)
        ):
            return self._fetched(known_digest(self._part.final, None, self._listener), None)
        self._part.adopt()
        if self._part.control.exists() or (size < found.size and not is_page(self._part.path)):
            self._listener(Note(f"{name}: resumes from the file in the folder"))
        elif not found.torrent:
            aside = self._part.set_aside(".corrupt", for_good=True)
            self._listener(Note(f"{name}: the file in the folder is wrong; kept as {aside.name}", warning=True))
        return found

    def _fetch(self, found: Offer) -> tuple[Digest, int]:
        """Complete the part; return its digest and the number of bytes received."""
        part = self._part
        if part.looks_whole(found.size):
            digest = hash_file(part.path, self._listener, PrefixHasher(part.path, self._sources.algorithm))
            wanted = self._wanted()
            if wanted and digest == wanted.digest:
                return digest, 0
        hasher, received = Transfer(self._session, self._sources).run(found)
        return hash_file(part.path, self._listener, hasher), received

    def _refuse(self, found: Offer, digest: Digest, wanted: Expected, *, last: bool) -> None:
        """Refuse a complete file of the wrong digest: have its pieces checked, or set it aside."""
        detail = (
            f"its {digest.algorithm.upper()} is {digest.hex} and should be {wanted.digest.hex} ({wanted.against})"
        )
        other = archive_with_digest(digest)
        if other:
            detail += f": this is {other.name}, {other.contents}"
        if found.torrent and not last:
            self._listener(Note(f"{self._part.name}: {detail}; its pieces are checked one by one", warning=True))
            return
        aside = self._part.set_aside(".corrupt")
        if last or other:
            hint = "the source has another file than the expected one: choose another source"
            raise ArchiveError(Code.WRONG_DIGEST, f"{detail}; kept as {aside.name}", self._part.name, hint=hint)
        self._listener(Note(f"{self._part.name}: {detail}; kept as {aside.name}, fetched once more", warning=True))
        check_space(self._request.folder, [found])

    def _publish(self, found: Offer, digest: Digest, wanted: Expected | None) -> str | None:
        """Give the verified part its name, record its digest, and return the source of the expected digest."""
        self._part.publish()
        against = wanted.against if wanted else "torrent" if found.torrent else None
        if against:
            confirm(self._part.final, digest, against)
        else:
            text = f"{self._part.name}: not verified, since no source states its digest"
            self._listener(Note(f"{text}; list it in a file MD5SUMS in the folder", warning=True))
        if found.torrent:
            for event in seed(self._session.engine, found.torrent, self._part.final, self._request.limits):
                self._listener(event)
        return against

    def _wanted(self) -> Expected | None:
        """Return the digest that the complete part should have."""
        return self._sources.expected_digest(self._part.final, self._part.path.stat().st_size)

    def _fetched(self, digest: Digest, wanted: Expected | None) -> Fetched:
        path: Path = self._part.final
        return Fetched(self._part.name, path, path.stat().st_size, digest, wanted.against if wanted else None)


def fetch_request(request: FetchRequest, listener: Listener = silent) -> FetchReport:
    """Fetch the archives of a request into its folder."""
    request.folder.mkdir(parents=True, exist_ok=True)
    settings = engine_settings(request.limits)
    relay = Relay(Secrets(request.credentials), seconds(request.limits.patience, 60))
    with locked(request.folder) as lock, relay, Aria2(settings, lock=lock) as engine:
        torrents = [read_torrent(engine, s, request, listener) for s in expand(request.torrents, wanted(request))]
        session = Session(engine, relay, request, listener)
        fetches = [ArchiveFetch(session, sources) for sources in plan(request, torrents)]
        states = [one.inspect() for one in fetches]
        check_space(request.folder, [found for found in states if isinstance(found, Offer)])
        pairs = zip(fetches, states, strict=True)
        return FetchReport(tuple(one.complete(s) if isinstance(s, Offer) else s for one, s in pairs))
