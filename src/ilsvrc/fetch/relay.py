"""A server on loopback through which aria2c gets files that need a login, so that aria2c itself holds no secret.

aria2c sends a download's headers to every server that a redirect leads to. So it gets no headers: it asks the relay,
and the relay asks the server, with the credentials that this server may see.
"""

from __future__ import annotations

import contextlib
import http.client
import secrets as random_words
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from ilsvrc.errors import IlsvrcError, NetworkError
from ilsvrc.fetch.client import Answer, Client, Route
from ilsvrc.fetch.credentials import Secrets

HOST = "127.0.0.1"

_CHUNK = 1 << 18  # bytes passed on at a time
_PASSED_ON = ("Content-Length", "Content-Range", "Content-Type", "ETag", "Last-Modified", "Retry-After")
_UNREACHABLE, _BAD_ANSWER, _UNKNOWN = 503, 502, 404


class Relay:
    """Used as a context manager: it listens from the first `address` until the context ends.

    An address holds a random word, so that no other user of the machine can use the login.

    Parameters
    ----------
    secrets
        The user's credentials.
    timeout
        Seconds for a server to answer, and for each further read of the body.
    """

    def __init__(self, secrets: Secrets, timeout: float) -> None:
        self.secrets = secrets
        self.timeout = timeout
        self._server: _Server | None = None
        self._urls: dict[str, str] = {}
        self._routes: dict[str, Route] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def address(self, url: str) -> str:
        """Return the address on loopback that serves a URL."""
        if self._server is None:
            self._server = _Server((HOST, 0), _Handler)
            self._server.relay = self
            threading.Thread(target=self._server.serve_forever, name="relay", daemon=True).start()
        path = next((path for path, served in self._urls.items() if served == url), "")
        path = path or f"/{random_words.token_urlsafe(24)}"
        self._urls[path] = url
        return f"http://{HOST}:{self._server.server_port}{path}"

    def ask(self, client: Client, method: str, path: str, headers: dict[str, str]) -> Answer | None:
        """Ask the server behind an address; None for an unknown address.

        The target of redirects is remembered; if it fails, the redirects are followed again.
        """
        url = self._urls.get(path)
        if url is None:
            return None
        route = self._routes.get(url)
        if route:
            try:
                answer = client.ask(method, url, headers, route)
            except NetworkError:
                self._routes.pop(url, None)
                raise
            if answer.response.status < http.client.BAD_REQUEST:
                return answer
        answer = client.ask(method, url, headers)
        if answer.response.status < http.client.BAD_REQUEST:
            self._routes[url] = answer.route
        return answer


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    relay: Relay

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing: aria2c closes connections at will, and notices every failure itself."""


class _Handler(BaseHTTPRequestHandler):
    """One connection of aria2c, and one of ours to the server."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self._client = Client(self.server.relay.secrets, self.server.relay.timeout)

    def finish(self) -> None:
        self._client.close()
        super().finish()

    def do_GET(self) -> None:
        """Answer with header and body."""
        self._relay()

    def do_HEAD(self) -> None:
        """Answer with the header."""
        self._relay()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  -- the name of the standard library
        """Log nothing."""

    def _relay(self) -> None:
        asked = self.headers.get("Range")
        headers = {"User-Agent": "ilsvrc", "Accept": "*/*"} | ({"Range": asked} if asked else {})
        try:
            answer = self.server.relay.ask(self._client, self.command, self.path, headers)
        except NetworkError as error:
            self.send_error(_UNREACHABLE, explain=error.message)
        except IlsvrcError as error:
            self.send_error(_BAD_ANSWER, explain=error.message)
        else:
            if answer:
                self._pass_on(answer)
            else:
                self.send_error(_UNKNOWN)

    def _pass_on(self, answer: Answer) -> None:
        """Send aria2c the server's answer; if its body ends early, close the connection."""
        response = answer.response
        response.limit_each_read(self.server.relay.timeout)
        self.send_response(response.status)
        for name in _PASSED_ON:
            if name in response.headers:
                self.send_header(name, response.headers[name])
        left = response.length
        if left is None:
            self.send_header("Connection", "close")
        self.end_headers()
        with contextlib.suppress(OSError, http.client.HTTPException):
            while chunk := response.read1(_CHUNK):
                self.wfile.write(chunk)
                left = None if left is None else left - len(chunk)
            if left == 0:
                return
        self.close_connection = True
