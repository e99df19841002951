"""Small servers in Python that do what no decent server does, and remember what they were shown."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Headers = dict[str, str]


class Recorder(ThreadingHTTPServer):
    """Gives `data` in ranges under every path; `seen` has the headers of every request.

    leads_to : a function of the number of requests so far; returns where a redirect leads to, or None for the file
    """

    daemon_threads = True

    def __init__(self, data: bytes, leads_to: Callable[[int], str | None] = lambda _: None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.data = data
        self.leads_to = leads_to
        self.seen: list[Headers] = []
        self.url = f"http://127.0.0.1:{self.server_port}/a.tar"

    def handle_error(self, *_: Any) -> None:
        """Say nothing of connections that are closed early."""

    def shown(self, name: str) -> set[str]:
        """Return the values of a header that were ever shown."""
        return {headers[name] for headers in self.seen if name in headers}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Recorder

    def do_GET(self) -> None:
        self.server.seen.append(dict(self.headers.items()))
        where = self.server.leads_to(len(self.server.seen))
        if where:
            self.send_response(302)
            self.send_header("Location", where)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        data = self.server.data
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first, last = (int(match[1]), int(match[2] or len(data) - 1)) if match else (0, len(data) - 1)
        last = min(last, len(data) - 1)
        self.send_response(206 if match else 200)
        if match:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data[first : last + 1])

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextlib.contextmanager
def serving(*servers: Recorder) -> Iterator[None]:
    """Let servers answer until the block ends."""
    for server in servers:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


@contextlib.contextmanager
def answering(answer: bytes, *, byte_by_byte: float = 0) -> Iterator[str]:
    """Yield the URL of a server that answers every connection with these bytes, or with one every so many seconds."""
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def answer_one(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.recv(1 << 16)
            if not byte_by_byte:
                connection.sendall(answer)
                return
            for byte in answer:
                if stop.wait(byte_by_byte):
                    return
                connection.sendall(bytes([byte]))

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answer_one, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/a.tar"
    finally:
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
