"""Ask a server about an archive before a byte of it is stored."""

from __future__ import annotations

import http.client
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ilsvrc.errors import ArchiveError, IlsvrcError, MachineError
from ilsvrc.events import Listener, Note
from ilsvrc.facts import official
from ilsvrc.fetch.client import Answer, Client
from ilsvrc.fetch.credentials import Credentials, Secrets
from ilsvrc.fetch.failures import AGAIN, LOGIN_HINT, bad_answer, http_failure, request_failure
from ilsvrc.fetch.part import Part
from ilsvrc.fetch.request import FetchRequest
from ilsvrc.fetch.sources import Sources
from ilsvrc.fetch.torrents import Torrent
from ilsvrc.fetch.urls import shown
from ilsvrc.fetch.verify import check_size
from ilsvrc.issues import Code

_OURS = {"User-Agent": "ilsvrc", "Accept": "*/*"}
_LOOK = 512  # bytes: enough to tell a page from an archive
_PAGE = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|\?xml)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Probe:
    """A server's answer about a file.

    url : the URL given, or the target of its redirects if that is another server and no credential was sent
    size : bytes, or None if the server does not say
    resumes : whether the server sends ranges
    version : ETag and time of the last change; each empty if the server does not say
    private : whether a credential was sent: then aria2c gets the file over the relay
    knows_head : whether the server answers HEAD, so that no body is sent in vain
    signed : whether the query of the URL is a signature, which differs each time
    """

    url: str
    size: int | None
    resumes: bool
    version: tuple[str, str]
    private: bool = False
    knows_head: bool = False
    signed: bool = False

    @property
    def key(self) -> str:
        """The URL that stands for the file in the record of its sources: without a signature."""
        return shown(self.url) if self.signed else self.url


def probe(url: str, credentials: Credentials, timeout: float) -> Probe:
    """Request the first bytes of a file and return the server's answer.

    UsageError for a refused login or a missing file, NetworkError for a failing server or network, ArchiveError
    for a web page instead of the file.
    """
    with Client(Secrets(credentials), timeout) as client:
        answer = client.ask("GET", url, {"Range": f"bytes=0-{_LOOK - 1}"} | _OURS)
        if answer.response.status >= http.client.BAD_REQUEST:
            raise http_failure(url, answer.response.status)
        try:
            found = _read(url, answer)
        except (OSError, http.client.HTTPException) as error:
            raise request_failure(url, error) from error
        if not found.resumes:
            return found
        head = client.ask("HEAD", url, _OURS, answer.route).response
        return replace(found, knows_head=head.status == http.client.OK)


def is_page(path: Path) -> bool:
    """Return whether a file is a web page, such as a login page with an archive's name."""
    with open(path, "rb") as file:
        return _PAGE.match(file.read(_LOOK)) is not None


def _read(url: str, answer: Answer) -> Probe:
    response, final = answer.response, answer.route.url
    start, headers = response.read(_LOOK), response.headers
    if headers.get_content_type() == "text/html" or _PAGE.match(start):
        detail = "the server sent a web page, not the archive: it wants a login"
        raise ArchiveError(Code.HTML_PAGE, detail, shown(final), hint=LOGIN_HINT)
    partial = response.status == http.client.PARTIAL_CONTENT
    whole = re.search(r"/(\d+)$", headers.get("Content-Range", ""), re.ASCII)
    size = (int(whole[1]) if whole else None) if partial else _length(final, headers.get("Content-Length"))
    version = headers.get("ETag", ""), headers.get("Last-Modified", "")
    stays = answer.private or answer.route.home
    return Probe(url if stays else final, size, partial and size is not None, version, private=answer.private)


def _length(url: str, text: str | None) -> int | None:
    """Return the Content-Length of an answer in bytes, None if it has none."""
    if text is not None and not re.fullmatch(r"\d{1,18}", text.strip(), re.ASCII):
        raise bad_answer(url, f"Content-Length: {text}")
    return int(text) if text else None


_ANSWER = 30.0  # seconds for a server to answer a probe


@dataclass(frozen=True, slots=True)
class Offer:
    """The size and the sources of an archive, as the sources state them.

    name : file name
    size : bytes, 0 if no source says
    probes : the servers that have it, all of one size
    torrent : of it, or None
    """

    name: str
    size: int
    probes: tuple[Probe, ...]
    torrent: Torrent | None

    @property
    def resumes(self) -> bool:
        """Whether the bytes received can be kept when a connection breaks."""
        return self.torrent is not None or any(p.resumes for p in self.probes)


def ask_sources(sources: Sources, request: FetchRequest, listener: Listener) -> Offer:
    """Ask every source of an archive and decide its size.

    A server that fails, or has a file of another size, is left out with a warning if another source remains. Without
    one, the first failure is raised; ArchiveError if the size is not that of the official archive.
    """
    probes = _answers(sources, request, listener)
    sizes = [p.size for p in probes if p.size]
    size = sources.torrent.size if sources.torrent else _decided_size(sources.name, sizes)
    if size:
        check_size(request.folder / sources.name, size)
    agreeing = [p for p in probes if p.size in (size, None)]
    for other in (p for p in probes if p not in agreeing):
        listener(Note(f"{shown(other.url)}: left out, its file has {other.size:,} bytes, not {size:,}", warning=True))
    resuming = [p for p in agreeing if p.resumes]
    return Offer(sources.name, size, tuple(resuming or agreeing), sources.torrent)


def _decided_size(name: str, sizes: Sequence[int]) -> int:
    """Return the official size if any server has it, else the first server's."""
    spec = official(name)
    return spec.size if spec and spec.size and spec.size in sizes else next(iter(sizes), 0)


def check_space(folder: Path, offers: Sequence[Offer]) -> None:
    """Raise MachineError if the archives don't fit on the disk; bytes received earlier are not counted again."""
    needed = sum(max(s.size - Part(folder, s.name).allocated, 0) for s in offers)
    free = shutil.disk_usage(folder).free
    if needed > free:
        detail = f"{folder}: {needed:,} more bytes are needed and only {free:,} are free"
        raise MachineError(detail, hint=f"free {needed - free:,} bytes or choose another folder, then {AGAIN}")


def check_unchanged(part: Part, found: Offer, listener: Listener) -> None:
    """Set a part aside if its file has changed on the server: the two must never be mixed.

    With a torrent this is not needed: every piece that is kept is checked.
    """
    origin = part.origin
    if found.torrent or not part.path.exists():
        return
    changed = [p for p in found.probes if origin.is_changed(p.key, p.version)]
    if changed or (origin.size and found.size and origin.size != found.size):
        where = shown((changed or found.probes)[0].url)
        text = f"{where}: the file has changed on the server; the bytes of the old one are kept as"
        listener(Note(f"{text} {part.set_aside('.old').name}", warning=True))


def _answers(sources: Sources, request: FetchRequest, listener: Listener) -> list[Probe]:
    answers: list[Probe] = []
    failures: list[IlsvrcError] = []
    for url in sources.urls:
        try:
            found = probe(url, request.credentials, min(_ANSWER, request.limits.patience))
            answers.append(replace(found, signed=sources.signed))
        except IlsvrcError as error:
            failures.append(error)
    if failures and not answers and not sources.torrent:
        raise failures[0]
    for failure in failures:
        listener(Note(f"source left out: {failure}", warning=True))
    if not answers and not sources.torrent:
        raise ArchiveError(Code.MISSING_FILE, "no source is left", sources.name)
    return answers
