"""Fetch files whose addresses a hub gives out for a while: resumed, verified, with one progress over all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from ilsvrc.archive.expected import Expected
from ilsvrc.errors import NetworkError, UsageError
from ilsvrc.events import Advanced, Event, Finished, Listener, Note, Started
from ilsvrc.fetch.archives import ArchiveFetch
from ilsvrc.fetch.aria2 import Aria2
from ilsvrc.fetch.credentials import Credentials, Secrets
from ilsvrc.fetch.options import engine_settings, seconds
from ilsvrc.fetch.part import Part, locked
from ilsvrc.fetch.probe import Offer, check_space
from ilsvrc.fetch.relay import Relay
from ilsvrc.fetch.request import Fetched, FetchReport, FetchRequest, Limits
from ilsvrc.fetch.sources import Sources
from ilsvrc.fetch.transfer import Session

_LONGEST_WAIT = 30.0  # seconds between two attempts
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a file: it may expire, and its query may be a signature.

    url : http or https
    headers : header lines with the user's token, if the hub itself serves the file
    """

    url: str
    headers: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file on a hub.

    name : file name
    size : bytes, 0 if the hub does not say
    expected : the digest that the hub states, or None
    address : asks the hub for the file's present address; UsageError if the hub refuses the account
    """

    name: str
    size: int
    expected: Expected | None
    address: Callable[[], Address]


def fetch_files(
    folder: Path, files: Sequence[HubFile], limits: Limits, listener: Listener, *, stage: str = ""
) -> FetchReport:
    """Fetch files into a folder, one after the other, each over all connections.

    Files that are on disk and right are not fetched again. With a `stage`, the progress of all files together is
    reported under this name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    progress = _Progress(stage, files, listener) if stage else None
    with locked(folder) as lock, Aria2(engine_settings(limits), lock=lock) as engine:
        hub = _HubFetch(engine, FetchRequest(folder, limits=limits), progress or listener)
        check_space(folder, [Offer(f.name, f.size, (), None) for f in files if not _is_complete(folder / f.name, f)])
        fetched = []
        for file in files:
            fetched.append(hub.fetch(file))
            if progress:
                progress.complete(file)
    if progress:
        progress.finish()
    return FetchReport(tuple(fetched))


def _is_complete(path: Path, file: HubFile) -> bool:
    """Whether a file of this size is on disk: only for the space that is needed; its digest is compared later."""
    return path.is_file() and path.stat().st_size == file.size


class _HubFetch:
    """Fetches the files of one call.

    Before the first byte has arrived every failure is raised at once; later, failures of the network are tried again
    for as long as `patience` says.
    """

    def __init__(self, engine: Aria2, request: FetchRequest, listener: Listener) -> None:
        self._engine = engine
        self._request = request
        self._listener = listener
        self._begun = False

    def fetch(self, file: HubFile) -> Fetched:
        """Return the file from disk, or fetch it; if its address expires on the way, ask for another."""
        here = self._archive(file, Address("")).on_disk()
        if here:
            return here
        part = Part(self._request.folder, file.name)
        while True:
            address, before = self._persist(file.address), part.allocated
            try:
                return self._attempt(file, address)
            except UsageError as error:
                if part.allocated <= before:
                    hint = "the storage server refuses the address that the hub has just given: try again later"
                    raise NetworkError(error.message, hint=hint) from error
                self._listener(Note(f"{error}; asking for a new address"))

    def _attempt(self, file: HubFile, address: Address) -> Fetched:
        credentials = Credentials(headers=address.headers)
        with Relay(Secrets(credentials), seconds(self._request.limits.patience, 60)) as relay:
            archive = self._archive(file, address, relay)
            state = self._persist(archive.inspect)
            if isinstance(state, Fetched):
                return state
            check_space(self._request.folder, [state])
            self._begun = True
            return archive.complete(state)

    def _archive(self, file: HubFile, address: Address, relay: Relay | None = None) -> ArchiveFetch:
        credentials = Credentials(headers=address.headers)
        limits = self._request.limits
        request = FetchRequest(self._request.folder, credentials=credentials, limits=limits)
        relay = relay or Relay(Secrets(credentials), seconds(limits.patience, 60))
        urls = (address.url,) if address.url else ()
        sources = Sources(file.name, urls, expected=file.expected, signed=True)
        return ArchiveFetch(Session(self._engine, relay, request, self._listener), sources)

    def _persist(self, ask: Callable[[], _Answer]) -> _Answer:
        """Return an answer of the hub; ask again after failures of the network, once bytes have arrived."""
        patience = self._request.limits.patience
        end, wait = time.monotonic() + patience, min(1.0, patience / 4)
        while True:
            try:
                return ask()
            except NetworkError as error:
                if not self._begun or time.monotonic() + wait > end:
                    raise
                self._listener(Note(f"{error}; trying again", warning=True))
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)


class _Progress:
    """A listener that reports the transfers of several files as one stage, and passes notes on."""

    def __init__(self, stage: str, files: Sequence[HubFile], listener: Listener) -> None:
        self._stage = stage
        self._listener = listener
        self._names = {file.name for file in files}
        self._completed = self._reported = self._count = 0
        self._total = len(files)
        listener(Started(stage, total_bytes=sum(file.size for file in files)))

    def __call__(self, event: Event) -> None:
        match event:
            case Note():
                self._listener(event)
            case Advanced() if event.stage in self._names:
                self._advance(event.bytes, event.detail)

    def complete(self, file: HubFile) -> None:
        """Count a whole file, however many of its bytes were on disk before."""
        self._completed += file.size
        self._count += 1
        self._advance(self._completed - self._reported, "")

    def finish(self) -> None:
        """Report that all files are complete."""
        self._listener(Finished(self._stage))

    def _advance(self, count: int, detail: str) -> None:
        self._reported += count
        words = f"{self._count} of {self._total} files" + (f", {detail}" if detail else "")
        self._listener(Advanced(self._stage, bytes=count, detail=words))
