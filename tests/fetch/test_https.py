"""Over TLS, as the official servers are reached: aria2c trusts whom Python trusts."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from ilsvrc.errors import MachineError
from ilsvrc.fetch import fetch_request
from tests.fetch.conftest import Served, serve
from tests.fetch.helpers import check, request
from tests.fetch.nginx import Nginx, program


@dataclass(frozen=True)
class Secure:
    """A server whose certificate is signed by an authority that nobody knows but by its file."""

    authority: Path
    served: Served
    url: str


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    home = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(home / "authority.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(home / "server.pem")
    server = Nginx(home / "nginx", certificate=home / "server.pem")
    served = serve(server, "secure.tar", 3_000_000)
    yield Secure(home / "authority.pem", served, f"https://127.0.0.1:{server.tls_port}/ranges/secure.tar")
    server.close()


def test_an_authority_in_a_file(secure: Secure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(secure.authority))
    secure.served.expect(tmp_path)
    check(fetch_request(request(tmp_path, secure.url)), secure.served, tmp_path)


def test_an_authority_in_a_folder(secure: Secure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Debian has them, where the variables are not set."""
    known = tmp_path / "known"
    known.mkdir()
    shutil.copy(secure.authority, known)
    subprocess.run([program("openssl", "openssl"), "rehash", known], check=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "absent"))
    monkeypatch.setenv("SSL_CERT_DIR", str(known))
    secure.served.expect(tmp_path / "to")
    check(fetch_request(request(tmp_path / "to", secure.url)), secure.served, tmp_path / "to")


def test_a_stranger_is_not_trusted(secure: Secure, tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"the certificate of 127\.0\.0\.1 can't be trusted"):
        fetch_request(request(tmp_path, secure.url))
    assert list(tmp_path.glob("secure*")) == []
