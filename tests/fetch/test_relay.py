"""What the user gave to log in goes to the server that it was given for, and no further."""

from __future__ import annotations

import random
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ilsvrc.fetch import Credentials, fetch_request
from ilsvrc.fetch.credentials import Secrets
from ilsvrc.fetch.relay import Relay
from tests.fetch.helpers import HASTY, request
from tests.fetch.servers import Recorder, serving

DATA = random.Random(5).randbytes(5_000_000)
SECRETS = ("Authorization", "Cookie", "X-Key")


@pytest.fixture
def other() -> Recorder:
    """Another server: the same host, and another port."""
    return Recorder(DATA)


def header(_: Path) -> Credentials:
    return Credentials(headers=("X-Key: secret", "Authorization: Bearer secret", "Cookie: session=secret"))


def netrc(folder: Path) -> Credentials:
    path = folder / "netrc"
    path.write_text("machine 127.0.0.1 login me password secret\n")
    path.chmod(0o600)
    return Credentials(netrc=path)


def cookies(folder: Path) -> Credentials:
    path = folder / "cookies.txt"
    path.write_text("# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t4102444800\tsession\tsecret\n")
    return Credentials(cookies=path)


@pytest.mark.parametrize("after", [0, 2, 3], ids=["at once", "after the probe", "in the middle"])
@pytest.mark.parametrize("given", [header, netrc, cookies])
def test_a_redirect_to_another_port_takes_no_secret_along(
    tmp_path: Path, other: Recorder, given: Callable[[Path], Credentials], after: int
) -> None:
    home = Recorder(DATA, lambda count: other.url if count > after else None)
    with serving(home, other):
        fetch_request(request(tmp_path / "to", home.url, credentials=given(tmp_path)))
    assert (tmp_path / "to" / "a.tar").read_bytes() == DATA
    assert any(home.shown(name) for name in SECRETS)
    assert other.seen
    assert not [name for name in SECRETS if other.shown(name)]


def test_a_login_in_the_url_stays_too(tmp_path: Path, other: Recorder) -> None:
    home = Recorder(DATA, lambda count: other.url if count > 2 else None)
    with serving(home, other):
        fetch_request(request(tmp_path, home.url.replace("//", "//me:secret@")))
    assert len(home.shown("Authorization")) == 1
    assert not other.shown("Authorization")


def test_what_comes_back_to_the_first_server_brings_no_secret(tmp_path: Path) -> None:
    """The other server chooses what is asked for there, so it must not be asked with the user's login."""
    home = Recorder(DATA)
    other = Recorder(DATA, lambda _: f"{home.url}?forged")
    home.leads_to = lambda count: other.url if count == 1 else None
    with serving(home, other), Relay(Secrets(header(tmp_path)), 5) as relay:
        got = urllib.request.urlopen(relay.address(home.url)).read()
    assert got == DATA
    assert "X-Key" in home.seen[0]
    assert not [name for name in SECRETS if name in home.seen[1]]


def test_a_header_goes_with_every_request_to_its_own_server(tmp_path: Path) -> None:
    home = Recorder(DATA, lambda count: home.url + "?moved" if count % 2 else None)
    with serving(home):
        fetch_request(request(tmp_path, home.url, credentials=header(tmp_path)))
    assert (tmp_path / "a.tar").read_bytes() == DATA
    assert all(seen["X-Key"] == "secret" for seen in home.seen)


def test_a_link_that_expired_is_asked_for_anew(tmp_path: Path) -> None:
    """As a store of files does that signs each link for a while."""
    home = Recorder(DATA)
    first, second = Recorder(DATA), Recorder(DATA[::-1])
    home.leads_to = lambda count: first.url if count == 1 else second.url
    with serving(home, second), Relay(Secrets(header(tmp_path)), 5) as relay:
        with serving(first):
            assert urllib.request.urlopen(relay.address(home.url)).read() == DATA
        with pytest.raises(urllib.error.HTTPError, match="503"):
            urllib.request.urlopen(relay.address(home.url))
        assert urllib.request.urlopen(relay.address(home.url)).read() == DATA[::-1]


def test_nobody_gets_anything_without_the_address(tmp_path: Path, other: Recorder) -> None:
    with serving(other), Relay(Secrets(header(tmp_path)), 5) as relay:
        address = relay.address(other.url)
        assert relay.address(other.url) == address
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(address[:-4])
    assert not other.seen


def test_a_proxy_of_the_environment_is_not_asked_for_the_relay(
    tmp_path: Path, other: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy here is dead: only the server itself is exempt, and the relay is asked all the same."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "localhost")
    with serving(other):
        url = other.url.replace("127.0.0.1", "localhost")
        fetch_request(request(tmp_path, url, credentials=header(tmp_path)))
    assert (tmp_path / "a.tar").read_bytes() == DATA


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """A proxy that answers whatever it is asked for."""
    proxy = Recorder(DATA)
    monkeypatch.setenv("http_proxy", f"http://me:word@127.0.0.1:{proxy.server_port}")
    with serving(proxy):
        yield proxy


def test_a_server_with_a_login_is_reached_over_the_proxy(tmp_path: Path, proxied: Recorder) -> None:
    limits = replace(HASTY, patience=4)
    fetch_request(request(tmp_path, "http://far.invalid/a.tar", credentials=header(tmp_path), limits=limits))
    assert (tmp_path / "a.tar").read_bytes() == DATA
    assert {seen["Host"] for seen in proxied.seen} == {"far.invalid"}
    assert proxied.shown("Proxy-Authorization") == {"Basic bWU6d29yZA=="}
