"""Ask a server about an archive before a byte of it is stored."""

from __future__ import annotations

import http.client
import netrc
import re
import shutil
import urllib.request
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from http.cookiejar import LoadError, MozillaCookieJar
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit

from ilsvrc.errors import ArchiveError, IlsvrcError, MachineError, UsageError
from ilsvrc.events import Listener, Note
from ilsvrc.facts import official
from ilsvrc.fetch.failures import AGAIN, LOGIN_HINT, http_failure, request_failure, shown
from ilsvrc.fetch.part import Part
from ilsvrc.fetch.request import Credentials, FetchRequest
from ilsvrc.fetch.sources import Sources
from ilsvrc.fetch.torrents import Torrent
from ilsvrc.fetch.verify import check_size
from ilsvrc.issues import Code

_LOOK = 512  # bytes: enough to tell a page from an archive
_PAGE = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|\?xml)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Probe:
    """What a server says of a file.

    url : where to get it: as given, or where it leads if that is another server that must not see our headers
    size : bytes, or None where the server does not say
    resumes : whether it gives parts of the file
    version : its ETag and the time of its last change; each empty where the server does not say
    private : whether it may be shown the caller's headers
    knows_head : whether it tells the size without sending the file, so that no byte is sent in vain
    """

    url: str
    size: int | None
    resumes: bool
    version: tuple[str, str]
    private: bool = True
    knows_head: bool = False


def probe(url: str, credentials: Credentials, timeout: float) -> Probe:
    """Ask for the first bytes of a file and return what the answer says.

    UsageError for a refused login or a missing file, NetworkError for a server or a network in trouble,
    ArchiveError for a page in the file's place.
    """
    request = urllib.request.Request(_bare(url), headers=_headers(url, credentials))  # noqa: S310  -- checked by _bare
    opener = urllib.request.build_opener(_OwnHost, *_cookies(credentials))
    try:
        with opener.open(request, timeout=timeout) as answer:
            found = _read(url, answer)
        return replace(found, knows_head=found.resumes and _knows_head(opener, request, timeout))
    except HTTPError as error:
        error.close()
        raise http_failure(url, error.code) from error
    except (URLError, OSError, http.client.HTTPException) as error:
        raise request_failure(url, error) from error


def is_page(path: Path) -> bool:
    """Return whether a file is a web page, such as a login page saved under an archive's name."""
    with open(path, "rb") as file:
        return _PAGE.match(file.read(_LOOK)) is not None


def login_for(url: str, credentials: Credentials) -> tuple[str, str] | None:
    """Return the user and password for a URL: from itself, or else from the netrc file."""
    parts = urlsplit(url)
    if parts.username:
        return unquote(parts.username), unquote(parts.password or "")
    if credentials.netrc:
        try:
            found = netrc.netrc(credentials.netrc).authenticators(parts.hostname or "")
        except netrc.NetrcParseError as error:
            raise UsageError(f"{credentials.netrc}: not a netrc file: {error}") from error
        return (found[0], found[2]) if found else None
    return None


def _read(url: str, answer: http.client.HTTPResponse) -> Probe:
    start = answer.read(_LOOK)
    final, headers = answer.geturl(), answer.headers
    if headers.get_content_type() == "text/html" or _PAGE.match(start):
        detail = "the server sent a web page, not the archive: it wants a login"
        raise ArchiveError(Code.HTML_PAGE, detail, shown(final), hint=LOGIN_HINT)
    whole = re.search(r"/(\d+)$", headers.get("Content-Range", ""))
    resumes = answer.status == 206 and whole is not None
    length = whole.group(1) if whole else headers.get("Content-Length")
    version = headers.get("ETag", ""), headers.get("Last-Modified", "")
    home = _may_see(url, final)
    return Probe(url if home else final, int(length) if length else None, resumes, version, private=home)


def _knows_head(opener: urllib.request.OpenerDirector, request: urllib.request.Request, timeout: float) -> bool:
    request.method = "HEAD"
    request.remove_header("Range")
    try:
        with opener.open(request, timeout=timeout) as answer:
            return bool(answer.status == 200)
    except HTTPError as error:
        error.close()
        return False


def _bare(url: str) -> str:
    """Return a URL without the login in it."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{shown(url)}: not a URL that can be fetched", hint="it begins with http:// or https://")
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _headers(url: str, credentials: Credentials) -> dict[str, str]:
    headers = {"Range": f"bytes=0-{_LOOK - 1}", "User-Agent": "ilsvrc", "Accept": "*/*"}
    login = login_for(url, credentials)
    if login:
        headers["Authorization"] = "Basic " + b64encode(":".join(login).encode()).decode()
    lines = (line.split(":", 1) for line in credentials.headers)
    return headers | {name.strip(): value.strip() for name, value in lines}


def _cookies(credentials: Credentials) -> list[urllib.request.BaseHandler]:
    if not credentials.cookies:
        return [urllib.request.HTTPCookieProcessor()]
    jar = MozillaCookieJar(credentials.cookies)
    try:
        jar.load(ignore_discard=True, ignore_expires=False)
    except LoadError as error:
        hint = "export it in the Netscape format (cookies.txt)"
        raise UsageError(f"{credentials.cookies}: not a cookies file", hint=hint) from error
    return [urllib.request.HTTPCookieProcessor(jar)]


def _may_see(asked: str, led_to: str) -> bool:
    """Whether a redirect stays with the server that the user's headers are for, and as safe."""
    before, after = urlsplit(asked), urlsplit(led_to)
    return before.hostname == after.hostname and after.scheme in (before.scheme, "https")


class _OwnHost(urllib.request.HTTPRedirectHandler):
    """Follow redirects, but show what the user gave only to the server that it was given for."""

    def redirect_request(  # noqa: PLR0913, PLR0917  -- the signature of the standard library
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Return the next request, without private headers where it leads to another server."""
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following and not _may_see(req.full_url, newurl):
            following.headers = {k: v for k, v in following.headers.items() if k in ("Range", "User-agent", "Accept")}
        return following


_ANSWER = 30.0  # seconds that a server has to answer a probe


@dataclass(frozen=True, slots=True)
class Survey:
    """What is known of an archive before it is fetched.

    name : file name
    size : bytes, 0 where no source says
    probes : the servers that have it, all of one size
    torrent : of it, or None
    """

    name: str
    size: int
    probes: tuple[Probe, ...]
    torrent: Torrent | None

    @property
    def resumes(self) -> bool:
        """Whether what has arrived can be kept when a connection breaks."""
        return self.torrent is not None or any(p.resumes for p in self.probes)


def survey(sources: Sources, request: FetchRequest, listener: Listener) -> Survey:
    """Ask every source of an archive and settle on its size; an error where no source is left, or it is a wrong file.

    A server that fails, or has a file of another size, is left out with a warning while another source is left.
    """
    probes = _answers(sources, request, listener)
    sizes = [p.size for p in probes if p.size]
    size = sources.torrent.size if sources.torrent else _settled(sources.name, sizes)
    if size:
        check_size(request.folder / sources.name, size)
    agreeing = [p for p in probes if p.size in (size, None)]
    for other in (p for p in probes if p not in agreeing):
        listener(Note(f"{shown(other.url)}: left out, its file has {other.size:,} bytes, not {size:,}", warning=True))
    resuming = [p for p in agreeing if p.resumes]
    return Survey(sources.name, size, tuple(resuming or agreeing), sources.torrent)


def _settled(name: str, sizes: Sequence[int]) -> int:
    """Return the size to believe where servers differ: the official one if any has it, else the first server's."""
    spec = official(name)
    return spec.size if spec and spec.size and spec.size in sizes else next(iter(sizes), 0)


def check_space(folder: Path, surveys: Sequence[Survey]) -> None:
    """Refuse with MachineError what will not fit on the disk; what has arrived already is not counted again."""
    needed = sum(max(s.size - Part(folder, s.name).allocated, 0) for s in surveys)
    free = shutil.disk_usage(folder).free
    if needed > free:
        detail = f"{folder}: {needed:,} bytes are still to come and only {free:,} are free"
        raise MachineError(detail, hint=f"free {needed - free:,} bytes or choose another folder, then {AGAIN}")


def check_unchanged(part: Part, found: Survey, listener: Listener) -> None:
    """Put a part aside whose file has changed on the server since: the two must never be mixed.

    With a torrent at hand that is not needed: every piece that is kept is checked.
    """
    origin = part.origin
    if found.torrent or not part.path.exists():
        return
    changed = [p for p in found.probes if origin.is_changed(p.url, p.version)]
    if changed or (origin.size and found.size and origin.size != found.size):
        where = shown((changed or found.probes)[0].url)
        text = f"{where}: the file has changed on the server; what had arrived of the old one is kept as"
        listener(Note(f"{text} {part.set_aside('.old').name}", warning=True))


def _answers(sources: Sources, request: FetchRequest, listener: Listener) -> list[Probe]:
    answers: list[Probe] = []
    failures: list[IlsvrcError] = []
    for url in sources.urls:
        try:
            answers.append(probe(url, request.credentials, min(_ANSWER, request.limits.patience)))
        except IlsvrcError as error:
            failures.append(error)
    if failures and not answers and not sources.torrent:
        raise failures[0]
    for failure in failures:
        listener(Note(f"left out: {failure}", warning=True))
    if not answers and not sources.torrent:
        raise ArchiveError(Code.MISSING_FILE, "no source is left", sources.name)
    return answers
