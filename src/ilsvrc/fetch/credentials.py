"""What the user gave to log in, and which server may see it."""

from __future__ import annotations

import http.client
import netrc
import urllib.request
from base64 import b64encode
from dataclasses import dataclass
from http.cookiejar import CookieJar, LoadError, MozillaCookieJar
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ilsvrc.errors import UsageError
from ilsvrc.fetch.urls import DEFAULT_PORTS, origin


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the user gave to log in.

    cookies : a cookies file as browsers' extensions export it (Netscape format)
    headers : whole header lines, such as "Authorization: Bearer ..."
    netrc : a netrc file; it must be readable by its owner alone
    """

    cookies: Path | None = None
    headers: tuple[str, ...] = ()
    netrc: Path | None = None

    def __post_init__(self) -> None:
        for path in (self.cookies, self.netrc):
            if path and not path.is_file():
                raise UsageError(f"{path}: there is no such file")
        if self.netrc and self.netrc.stat().st_mode & 0o077:
            raise UsageError(f"{self.netrc}: other users may read it", hint=f"chmod 600 {self.netrc}")
        for header in self.headers:
            if ":" not in header or not header.isprintable():
                raise UsageError(f"not a header: {header!r}", hint='write it as --header "Name: value"')

    def __bool__(self) -> bool:
        return bool(self.cookies or self.headers or self.netrc)


class Secrets:
    """The user's credentials by the server that may see them. Several threads may share it.

    Headers, and the login in a URL or for its host in a netrc file, are for the origin (scheme, host and port) of the
    URL that the user gave. A cookie names its host itself: it also goes there over https at the standard port.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._jar = _cookie_jar(credentials)
        self._logins = _logins(credentials)

    def login(self, url: str) -> tuple[str, str] | None:
        """Return the user and password for a URL: from itself, or else from the netrc file."""
        parts = urlsplit(url)
        if parts.username:
            return unquote(parts.username), unquote(parts.password or "")
        found = self._logins.authenticators(parts.hostname or "") if self._logins else None
        return (found[0], found[2]) if found else None

    def header_lines(self, url: str, given: str) -> dict[str, str]:
        """Return the credentials that the server of `url` may see; `given` is the URL that the user gave."""
        lines = {}
        home = origin(url) == origin(given)
        login = self.login(given) if home else None
        if login:
            lines["Authorization"] = "Basic " + b64encode(":".join(login).encode()).decode()
        if self._sees_cookies(url, given):
            question = urllib.request.Request(url)  # noqa: S310  -- it is never opened, it only holds the cookies
            self._jar.add_cookie_header(question)
            lines |= {"Cookie": cookie} if (cookie := question.get_header("Cookie")) else {}
        if home:
            pairs = (line.split(":", 1) for line in self._credentials.headers)
            lines |= {name.strip().title(): value.strip() for name, value in pairs}  # one spelling: no line twice
        return lines

    def take_cookies(self, url: str, given: str, response: http.client.HTTPResponse) -> None:
        """Keep the cookies that a server sets, if it may see cookies."""
        if self._sees_cookies(url, given):
            self._jar.extract_cookies(response, urllib.request.Request(url))  # noqa: S310  -- it is never opened

    @staticmethod
    def _sees_cookies(url: str, given: str) -> bool:
        scheme, _, port = origin(url)
        return origin(url) == origin(given) or (scheme, port) == ("https", DEFAULT_PORTS["https"])


def _cookie_jar(credentials: Credentials) -> CookieJar:
    if not credentials.cookies:
        return CookieJar()
    jar = MozillaCookieJar(credentials.cookies)
    try:
        jar.load(ignore_discard=True, ignore_expires=False)
    except (LoadError, ValueError) as error:
        hint = "export it in the Netscape format (cookies.txt)"
        raise UsageError(f"{credentials.cookies}: not a cookies file", hint=hint) from error
    return jar


def _logins(credentials: Credentials) -> netrc.netrc | None:
    if not credentials.netrc:
        return None
    try:
        return netrc.netrc(credentials.netrc)
    except (netrc.NetrcParseError, ValueError) as error:
        hint = "each entry is: machine HOST login USER password PASSWORD"
        raise UsageError(f"{credentials.netrc}: not a netrc file: {error}", hint=hint) from error
