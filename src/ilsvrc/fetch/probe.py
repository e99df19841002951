"""Ask a server about an archive before a byte of it is stored."""

from __future__ import annotations

import http.client
import netrc
import re
import urllib.request
from base64 import b64encode
from dataclasses import dataclass, replace
from http.cookiejar import LoadError, MozillaCookieJar
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit

from ilsvrc.errors import ArchiveError, UsageError
from ilsvrc.fetch.failures import LOGIN_HINT, http_failure, request_failure, shown
from ilsvrc.fetch.request import Credentials
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
