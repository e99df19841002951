"""Let only those requests through that the page's own user can have made, and forbid browsers all but the page's own.

A page on this machine can be asked for by any other site that its user visits. Such a site can't read the answer,
unless its name was turned to this machine's address (DNS rebinding): so the Host header must be ours. Where the
server is bound to an address that others reach, a token must be in the URL first; a cookie holds it from then on.
"""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_UPLOAD = 64 << 20
"""Bytes of a request's body that are accepted: scores of 16,000 images as float32 take them."""

POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of every page that states no other."""

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_METHODS = ("GET", "HEAD", "POST")
_TOKEN = "token"  # noqa: S105  -- the name of a parameter


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def own_names() -> frozenset[str]:
    """Return the names under which this machine may be asked for, besides addresses."""
    return frozenset({"localhost", socket.gethostname().lower(), socket.getfqdn().lower()})


class Guard:
    """Wraps an ASGI application.

    Parameters
    ----------
    app
        The application.
    names
        Names that the Host header may have besides addresses of loopback.
    any_address
        Whether it may be any IP address: where others reach the server, and a token is needed.
    token
        What the URL must have once; empty for none.
    cookie
        Name of the cookie that holds the token: cookies are shared by all ports of a host.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        names: Iterable[str] = (),
        any_address: bool = False,
        token: str = "",
        cookie: str = "ilsvrc",
    ) -> None:
        self._app = app
        self._names = frozenset(name.lower() for name in names)
        self._any_address = any_address
        self._token, self._cookie = token, cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        app = refusal or self._app
        await app(scope, _limited(receive), _with_headers(send))

    def _refusal(self, scope: Scope) -> Response | None:
        """Return the answer to a request that is not let through; None for one that is."""
        headers = Headers(scope=scope)
        if not self._is_ours(headers.get("host", "")):
            return _refused(f"This page is not served under the name {headers.get('host', '')!r}.", 421)
        if scope["method"] not in _METHODS:
            return _refused("This page can only be read.", 405)
        if scope["method"] == "POST" and not _from_here(headers):
            return _refused("A form of another site can't be sent here.", 403)
        if _length(headers) > LARGEST_UPLOAD:
            return too_large()
        return self._ask_for_token(scope, headers) if self._token else None

    def _is_ours(self, host: str) -> bool:
        name = _without_port(host.lower())
        if name in self._names or is_loopback(name):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return self._any_address

    def _ask_for_token(self, scope: Scope, headers: Headers) -> Response | None:
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = dict(query).get(_TOKEN)
        if given is not None and self._is_token(given):
            rest = urlencode([pair for pair in query if pair[0] != _TOKEN])
            answer = RedirectResponse("/" + scope["path"].lstrip("/") + (f"?{rest}" if rest else ""), 303)
            answer.set_cookie(self._cookie, self._token, httponly=True, samesite="strict")
            return answer
        if self._is_token(_cookie_of(headers, self._cookie)):
            return None
        return _refused("The URL lacks its token: use the one that `ilsvrc view` printed.", 401)

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), self._token.encode())


def too_large() -> Response:
    """Return the answer to a request whose body is longer than LARGEST_UPLOAD."""
    return _refused(f"A file of more than {LARGEST_UPLOAD >> 20} MiB is not read here.", 413)


def _refused(text: str, status: int) -> Response:
    return PlainTextResponse(f"{text}\n", status)


def _without_port(host: str) -> str:
    """Return the host of a Host header: `[::1]:80` is `::1`."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _from_here(headers: Headers) -> bool:
    """Whether a form was sent from our own page: browsers say so by one of these headers (Fetch Metadata, W3C)."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == headers.get("host", "")


def _length(headers: Headers) -> int:
    text = headers.get("content-length", "0")
    return int(text) if text.isdecimal() else 0


def _cookie_of(headers: Headers, name: str) -> str:
    return cookie_parser(headers.get("cookie", "")).get(name, "")


def _limited(receive: Receive) -> Receive:
    """Return the receiver of a body that ends a request whose body is too long, whatever it said before."""
    seen = 0

    async def limited() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        return message if seen <= LARGEST_UPLOAD else {"type": "http.disconnect"}

    return limited


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            headers.setdefault("Content-Security-Policy", POLICY)
        await send(message)

    return sending
