"""Every command of docs/how-to/fetch.md, and of README's block about fetch, does what it says.

The hosts that they name are found here: a proxy leads every https:// address to one server of this machine, whose
certificate has all of their names. Only the peers of Academic Torrents can't be had.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme

from ilsvrc import facts
from tests.cli.helpers import ilsvrc
from tests.docs.blocks import DOCS
from tests.fetch.hubs.conftest import home, hub, kaggle, storage
from tests.fetch.hubs.servers import HuggingFace, Kaggle
from tests.fetch.nginx import Nginx
from tests.fetch.swarm import make_torrent

__all__ = ["home", "hub", "kaggle", "storage"]  # fixtures

PAGE = DOCS / "how-to" / "fetch.md"
README = DOCS.parent / "README.md"
HOSTS = ("image-net.org", "www.image-net.org", "a.example", "b.example", "mirror.example")


def page_commands() -> list[str]:
    """Return the commands of the page's console blocks."""
    blocks = re.findall(r"^```console\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]


def readme_commands() -> list[str]:
    """Return the lines of README that fetch something."""
    return re.findall(r"^(?:\$ )?(ilsvrc fetch .*)$", README.read_text(), re.MULTILINE)


def test_no_command_of_the_page_escapes() -> None:
    """A line that begins with a command stands in a console block, and no block is of another kind."""
    commands = page_commands()
    assert len(commands) > 8
    assert re.findall(r"^(?:\$ )?(ilsvrc .*)$", PAGE.read_text(), re.MULTILINE) == commands
    assert set(re.findall(r"^```(.*)$", PAGE.read_text(), re.MULTILINE)) == {"console", ""}
    assert len(readme_commands()) >= 2


class Proxy:
    """Leads every CONNECT, wherever it wants to go, to one port of this machine."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.hosts: set[str] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                request += client.recv(1) or b"\r\n\r\n"
            if not request.startswith(b"CONNECT "):
                return
            self.hosts.add(request.split()[1].decode().partition(":")[0])
            with socket.create_connection(("127.0.0.1", self._target)) as server:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                asking = threading.Thread(target=_pump, args=(client, server), daemon=True)
                asking.start()
                _pump(server, client)
                asking.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Pass on all bytes of one direction, then end both."""
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory, mini: Path) -> Iterator[tuple[Path, int]]:
    """The server of every host, with the archives of a miniature; yields its authority's file and its port."""
    folder = tmp_path_factory.mktemp("web")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    authority.issue_cert(*HOSTS).private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    nginx = Nginx(folder / "nginx", certificate=folder / "server.pem")
    official = urlsplit(facts.official_url("")).path.strip("/")
    for place in (official, "imagenet", "."):
        (nginx.root / place).mkdir(parents=True, exist_ok=True)
        for archive in [*mini.glob("*.tar"), *mini.glob("*.tar.gz")]:
            shutil.copy(archive, nginx.root / place)
    shutil.copy(mini / facts.VAL, nginx.root / "val.tar")
    yield folder / "authority.pem", nginx.tls_port
    nginx.close()


@pytest.fixture
def internet(
    web: tuple[Path, int], hub: HuggingFace, kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Proxy]:
    authority, port = web
    proxy = Proxy(port)
    monkeypatch.setenv("https_proxy", proxy.url)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    yield proxy
    proxy.close()


@pytest.fixture
def data(mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand for /data, and the files that the commands name in the folder where they are run."""
    folder = tmp_path / "data"
    for name in ("imagenet", "archives"):
        (folder / name).mkdir(parents=True)
        shutil.copy(mini / "MD5SUMS", folder / name)
    line = "image-net.org\tFALSE\t/\tTRUE\t4102444800\tsession\tletmein\n"
    (folder / "cookies.txt").write_text(f"# Netscape HTTP Cookie File\n{line}")
    (folder / "val.torrent").write_bytes(make_torrent(mini / facts.VAL))
    url = f"<url>https://mirror.example/imagenet/{facts.VAL}</url>"
    (folder / "imagenet.meta4").write_text(f'<metalink><file name="{facts.VAL}">{url}</file></metalink>')
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("command", [*page_commands(), *readme_commands()])
def test_command_runs(command: str, data: Path, internet: Proxy, mini: Path) -> None:
    program, *words = shlex.split(command.replace("/data/", f"{data}/"))
    assert program == "ilsvrc"
    if "academic" in command:
        done = ilsvrc(*words, "--no-dht", "--patience", 1, status=3)
        assert "no peer sent the torrent of the magnet link" in done.stderr
        return
    ilsvrc(*words)
    target = Path(words[words.index("--to") + 1])
    if "--hf" in words:
        assert len(list(target.glob("data/validation-*.parquet"))) == 2
        assert len(list(target.glob("data/train-*.parquet"))) == (0 if "--split" in words else 3)
    elif "--kaggle" in words:
        assert list(target.glob("*.zip"))
    else:
        assert (target / facts.VAL).read_bytes() == (mini / facts.VAL).read_bytes()
        assert internet.hosts, "the host was asked, over the proxy"
        assert {host for host in HOSTS if host in command} <= internet.hosts
    if "prepare" in words:
        ilsvrc("check", words[-1])
