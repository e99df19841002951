"""A real BitTorrent swarm on loopback: libtorrent seeds, a small tracker tells where."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import libtorrent

_SETTINGS: Any = {
    "enable_outgoing_utp": False,
    "enable_incoming_utp": False,
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "allow_multiple_connections_per_ip": True,
    "listen_interfaces": "127.0.0.1:0",
}


def make_torrent(data: Path, tracker: str = "", piece: int = 1 << 16) -> bytes:
    """Return a version 1 torrent of one file, made by libtorrent."""
    torrent = libtorrent.create_torrent(libtorrent.list_files(str(data)), piece, libtorrent.create_torrent.v1_only)
    if tracker:
        torrent.add_tracker(tracker)
    libtorrent.set_piece_hashes(torrent, str(data.parent))
    return bytes(libtorrent.bencode(torrent.generate()))


class Seeder:
    """A libtorrent session that has the whole file."""

    def __init__(self, torrent: bytes, folder: Path, *, limit: int = 0) -> None:
        self.session = libtorrent.session(_SETTINGS)
        parameters = libtorrent.load_torrent_buffer(torrent)
        parameters.save_path = str(folder)
        self._handle = self.session.add_torrent(parameters)
        if limit:
            self._handle.set_upload_limit(limit)
        self.infohash = str(self._handle.info_hashes().v1)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.session.listen_port())

    @property
    def uploaded(self) -> int:
        """Bytes of the file that it has sent."""
        return int(self._handle.status().total_payload_upload)

    def await_ready(self) -> None:
        """Wait until it has checked its file and seeds."""
        end = time.monotonic() + 20
        while not self._handle.status().is_seeding:
            assert time.monotonic() < end, "the seeder did not come up"
            time.sleep(0.02)


class _Tracker(http.server.BaseHTTPRequestHandler):
    """Remember who announces itself, and answer with the others in the compact form."""

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query, encoding="latin-1")
        mine = int(query["port"][0])
        ports: list[int] = [port for port in self.server.ports if port != mine]  # type: ignore[attr-defined]
        self.server.ports = ports if "stopped" in query.get("event", ()) else [*ports, mine]  # type: ignore[attr-defined]
        peers = b"".join(bytes([127, 0, 0, 1]) + port.to_bytes(2, "big") for port in ports)
        body = b"d8:intervali1e5:peers%d:%be" % (len(peers), peers)
        self.server.requests.append(dict(self.headers))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        """Keep silent."""


class Tracker:
    """A tracker on loopback."""

    def __init__(self) -> None:
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Tracker)
        self._server.ports = []  # type: ignore[attr-defined]
        self._server.requests = []  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/announce"

    def tell(self, port: int) -> None:
        """Add a peer."""
        self._server.ports.append(port)  # type: ignore[attr-defined]

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Swarm:
    """A tracker, a torrent of one file and a seeder of it."""

    def __init__(self, data: Path, *, limit: int = 0, piece: int = 1 << 16) -> None:
        self.tracker = Tracker()
        self.torrent = make_torrent(data, self.tracker.url, piece)
        self.seeder = Seeder(self.torrent, data.parent, limit=limit)
        self.seeder.await_ready()
        self.tracker.tell(self.seeder.port)

    def pause(self) -> None:
        """Make the seeder stop giving."""
        self.seeder.session.pause()

    def resume(self) -> None:
        """Make the seeder give again."""
        self.seeder.session.resume()
        self.tracker.tell(self.seeder.port)

    @property
    def magnet(self) -> str:
        """The magnet link."""
        return f"magnet:?xt=urn:btih:{self.seeder.infohash}&tr={self.tracker.url}"


@contextmanager
def swarm(data: Path, *, limit: int = 0, piece: int = 1 << 16) -> Iterator[Swarm]:
    """Seed a file for the time of a block."""
    running = Swarm(data, limit=limit, piece=piece)
    try:
        yield running
    finally:
        running.tracker.close()
        del running.seeder
