"""An HTTP client that sends each server only the credentials that the user gave for it."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import string
import time
import urllib.request
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from ilsvrc.errors import NetworkError, UsageError
from ilsvrc.fetch.credentials import Secrets
from ilsvrc.fetch.failures import request_failure
from ilsvrc.fetch.urls import DEFAULT_PORTS, origin, shown, url_parts

_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 10
_BUFFER = 1 << 18  # bytes


@dataclass(frozen=True, slots=True)
class Route:
    """The target of the redirects of a URL that the user gave.

    url : of the server that answered
    home : whether no redirect left the origin of the URL given; after one has, headers are no longer sent
    """

    url: str
    home: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """A server's answer, its body not yet read.

    response : status, headers and body
    route : the redirects that led to it
    private : whether any credential was sent on the way
    """

    response: Response
    route: Route
    private: bool


class Response(http.client.HTTPResponse):
    """A response that must arrive by a deadline: a server can't hold its reader with one byte now and then."""

    def __init__(self, sock: socket.socket, *words: Any, end: float, **named: Any) -> None:
        super().__init__(sock, *words, **named)
        self.fp.close()
        self._reader = _TimedReader(sock, end)
        self.fp = io.BufferedReader(self._reader, _BUFFER)

    def limit_each_read(self, timeout: float) -> None:
        """Replace the deadline by a timeout in seconds for each read."""
        self._reader.limit_each_read(timeout)


class _TimedReader(io.RawIOBase):
    """Reads a socket until a deadline (of `time.monotonic`), and raises TimeoutError after it."""

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

    def limit_each_read(self, timeout: float) -> None:
        self._end = None
        self._sock.settimeout(timeout)

    def close(self) -> None:
        self._raw.close()
        super().close()


class Client:
    """Sends requests one after another; consecutive requests to one server share a connection.

    It follows redirects, and takes the proxy from the environment. One thread may use it.

    Parameters
    ----------
    secrets
        The user's credentials.
    timeout
        Seconds until the complete header of an answer has arrived, redirects included.
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
        """Send a request for a URL that the user gave; with `route`, begin at the target of its redirects.

        NetworkError if no valid answer comes; UsageError if it is no URL.
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
        raise NetworkError(f"{shown(given)}: more than {_MOST_REDIRECTS} redirects", hint="check the URL")

    def close(self) -> None:
        """Close the connection and drop the rest of the response."""
        if self._response:
            self._response.close()
        if self._connection:
            self._connection.close()
        self._connection = self._response = None

    def _send(self, method: str, url: str, headers: Mapping[str, str], end: float) -> Response:
        """Send one request; a kept connection that the server has closed is opened again."""
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
    """Whether any credential may be sent: all to the given origin, elsewhere the cookies that name the server."""
    return route.home or origin(route.url) != origin(given)


def _following(url: str, response: Response) -> str:
    """Return the target of a redirect."""
    location = response.headers.get("Location", "")
    try:
        following = urljoin(url, quote(location, safe=string.punctuation, encoding="iso-8859-1"))
        url_parts(following)
    except (ValueError, UsageError):
        text = f"{shown(url)}: the server redirects to {location!r}, which is no URL"
        raise NetworkError(text, hint="use another server, or try again later") from None
    return following


def _target(url: str) -> str:
    """Return path and query of a URL, as the request line has them."""
    parts = url_parts(url)
    text = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return quote(text, safe=string.punctuation)


def _connection(url: str, proxy: SplitResult | None, timeout: float) -> http.client.HTTPConnection:
    """Return a connection to the server of a URL, or to the proxy before it; it is opened by its first request."""
    scheme, host, port = origin(url)
    where = (proxy.hostname or "", proxy.port or DEFAULT_PORTS["http"]) if proxy else (host, port)
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
