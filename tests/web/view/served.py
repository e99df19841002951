"""Pages of a data set as tests ask for them: without a network, or from a real server in a thread."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.testclient import TestClient

from ilsvrc.web.view.collection import Collection, open_collection
from ilsvrc.web.view.server import application

HERE = "http://127.0.0.1"


def client(collection: Collection) -> TestClient:
    """Return what asks for pages as a browser on this machine does."""
    return TestClient(application(collection), base_url=HERE, follow_redirects=False)


@contextmanager
def serving(path: Path) -> Iterator[str]:
    """Yield the URL of a real server of a data set."""
    from ilsvrc.web.view.server import bind, guarded

    address = bind("127.0.0.1", 0)
    app = guarded(application(open_collection(path)), address)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [address.sock]})
    thread.start()
    try:
        _wait(address.sock)
        yield address.url.rstrip("/")
    finally:
        server.should_exit = True
        thread.join()
        address.sock.close()


def _wait(sock: socket.socket) -> None:
    for _ in range(1_000):
        try:
            socket.create_connection(sock.getsockname()).close()
            return
        except OSError:
            time.sleep(0.01)
