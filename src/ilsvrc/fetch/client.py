"""Ask servers over HTTP, and show each only what the user gave for it."""

from __future__ import annotations

import http.client
import io
import netrc
import socket
import ssl
import string
import time
import urllib.request
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from http.cookiejar import CookieJar, LoadError, MozillaCookieJar
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from ilsvrc.errors import NetworkError, UsageError
from ilsvrc.fetch.failures import request_failure, shown
from ilsvrc.fetch.request import Credentials, url_parts

_PORTS = {"http": 80, "https": 443}
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 10
_BUFFER = 1 << 18  # bytes


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of a URL: what a header is given for."""
    parts = url_parts(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme]


class Secrets:
    """What the user gave to log in, and which server may see it. Several threads may share it.

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
        """Return what the server of `url` may see of the secrets for `given`, the URL that the user gave."""
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
        """Keep the cookies that a server sets, if they go back to it."""
        if self._sees_cookies(url, given):
            self._jar.extract_cookies(response, urllib.request.Request(url))  # noqa: S310  -- it is never opened

    @staticmethod
    def _sees_cookies(url: str, given: str) -> bool:
        scheme, _, port = origin(url)
        return origin(url) == origin(given) or (scheme, port) == ("https", _PORTS["https"])


@dataclass(frozen=True, slots=True)
class Route:
    """Where redirects lead to from a URL that the user gave.

    url : the one that answered
    home : whether no redirect left the origin of the URL given; once one has, its headers are not shown any more
    """

    url: str
    home: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered, with the body not yet read.

    response : status, headers and body
    route : which way led to it
    private : whether anything that the user gave was shown on the way
    """

    response: Response
    route: Route
    private: bool


class Response(http.client.HTTPResponse):
    """A response that must have come by a moment: a server can't hold its reader with one byte now and then."""

    def __init__(self, sock: socket.socket, *words: Any, end: float, **named: Any) -> None:
        super().__init__(sock, *words, **named)
        self.fp.close()
        self._reader = _TimedReader(sock, end)
        self.fp = io.BufferedReader(self._reader, _BUFFER)

    def take_time(self, timeout: float) -> None:
        """From now on let every read take so many seconds, however many there are."""
        self._reader.take_time(timeout)


class _TimedReader(io.RawIOBase):
    """Reads a socket until a moment of `time.monotonic`, after which TimeoutError is raised."""

    def __init__(self, sock: socket.socket, end: float) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._end: float | None = end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._end is not None:
            left = self._end - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def take_time(self, timeout: float) -> None:
        self._end = None
        self._sock.settimeout(timeout)

    def close(self) -> None:
        self._raw.close()
        super().close()


class Client:
    """Sends one request after another, over a connection that is kept while they go to the same server.

    It follows redirects. For one thread; a proxy is taken from the environment.

    Parameters
    ----------
    secrets
        What servers may see.
    timeout
        Seconds until the whole header of an answer is there, redirects included.
    """

    def __init__(self, secrets: Secrets, timeout: float) -> None:
        self._secrets = secrets
        self._timeout = timeout
        self._place: tuple[str, str, int] | None = None
        self._connection: http.client.HTTPConnection | None = None
        self._response: Response | None = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, method: str, given: str, headers: Mapping[str, str], route: Route | None = None) -> Answer:
        """Send a request for a URL that the user gave, or on from where its redirects are known to lead.

        NetworkError where no answer comes, or one that is none; UsageError where it is no URL.
        """
        private, route = False, route or Route(given)
        end = time.monotonic() + self._timeout
        for _ in range(_MOST_REDIRECTS + 1):
            secret = self._secrets.header_lines(route.url, given) if _may_see(route, given) else {}
            private = private or bool(secret)
            try:
                response = self._send(method, route.url, {**headers, **secret}, end)
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.close()
                raise request_failure(route.url, error) from error
            if _may_see(route, given):
                self._secrets.take_cookies(route.url, given, response)
            if response.status not in _REDIRECTS:
                return Answer(response, route, private)
            following = _following(route.url, response)
            route = Route(following, route.home and origin(following) == origin(given))
        raise NetworkError(f"{shown(given)}: more than {_MOST_REDIRECTS} redirects", hint="look the URL up again")

    def close(self) -> None:
        """Close the connection, with what is still to be read from it."""
        if self._response:
            self._response.close()
        if self._connection:
            self._connection.close()
        self._connection = self._response = None

    def _send(self, method: str, url: str, headers: Mapping[str, str], end: float) -> Response:
        """Send one request; a kept connection that the server has closed meanwhile is opened anew."""
        if self._place != origin(url) or (self._response and not self._response.isclosed()):
            self.close()
        kept = self._connection is not None
        try:
            return self._exchange(method, url, headers, end)
        except ConnectionError:
            self.close()
            if not kept:
                raise
        return self._exchange(method, url, headers, end)

    def _exchange(self, method: str, url: str, headers: Mapping[str, str], end: float) -> Response:
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        proxy = _proxy(url)
        if self._connection is None:
            self._connection, self._place = _connection(url, proxy, left), origin(url)
        self._connection.response_class = partial(Response, end=end)  # type: ignore[assignment]
        parts, target = url_parts(url), _target(url)
        if proxy and parts.scheme == "http":
            target = f"http://{parts.netloc.rpartition('@')[2]}{target}"
            headers = {**headers, **_proxy_login(proxy)}
        self._connection.request(method, target, headers=dict(headers))
        response = self._connection.getresponse()
        assert isinstance(response, Response)  # the response_class set above
        self._response = response
        return response


def _may_see(route: Route, given: str) -> bool:
    """Whether any secret may be shown there: at home, or elsewhere the cookies that name that server."""
    return route.home or origin(route.url) != origin(given)


def _following(url: str, response: Response) -> str:
    """Return where a redirect leads to."""
    location = response.headers.get("Location", "")
    try:
        following = urljoin(url, quote(location, safe=string.punctuation, encoding="iso-8859-1"))
        url_parts(following)
    except (ValueError, UsageError):
        text = f"{shown(url)}: the server leads to {location!r}, which is no URL"
        raise NetworkError(text, hint="use another server, or try again later") from None
    return following


def _target(url: str) -> str:
    """Return the part of a URL that its server is asked for."""
    parts = url_parts(url)
    text = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return quote(text, safe=string.punctuation)


def _connection(url: str, proxy: SplitResult | None, timeout: float) -> http.client.HTTPConnection:
    """Return a connection to the server of a URL, or to the proxy before it; it is opened by its first request."""
    scheme, host, port = origin(url)
    where = (proxy.hostname or "", proxy.port or _PORTS["http"]) if proxy else (host, port)
    if scheme == "http":
        return http.client.HTTPConnection(*where, timeout=timeout)
    context = ssl.create_default_context()
    connection = http.client.HTTPSConnection(*where, timeout=timeout, context=context)
    if proxy:
        connection.set_tunnel(host, port, _proxy_login(proxy))
    return connection


def _proxy(url: str) -> SplitResult | None:
    """Return the proxy that the environment names for a URL, or None."""
    parts, proxies = url_parts(url), urllib.request.getproxies()
    named = proxies.get(parts.scheme) or proxies.get("all")
    if not named or urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return urlsplit(named if "//" in named else f"//{named}")


def _proxy_login(proxy: SplitResult) -> dict[str, str]:
    if not proxy.username:
        return {}
    login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": "Basic " + b64encode(login.encode()).decode()}


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
