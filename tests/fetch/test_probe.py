from __future__ import annotations

import socket
from pathlib import Path

import pytest

from ilsvrc.errors import ArchiveError, IlsvrcError, NetworkError, UsageError
from ilsvrc.fetch.credentials import Credentials, Secrets
from ilsvrc.fetch.probe import is_page, probe
from ilsvrc.fetch.request import FetchRequest
from ilsvrc.issues import Code
from tests.fetch.conftest import Served
from tests.fetch.nginx import PASSWORD, USER, Nginx, free_port
from tests.fetch.servers import answering

NOBODY = Credentials()


def test_a_good_server_tells_size_version_and_that_it_resumes(nginx: Nginx, small: Served) -> None:
    found = probe(nginx.url("ranges", small.name), NOBODY, 5)
    assert found.size == len(small.data)
    assert found.resumes
    assert found.version[0].startswith('"')
    assert found.version[1].endswith("GMT")
    assert found.url == nginx.url("ranges", small.name)
    assert found.knows_head


def test_a_server_without_head_is_known(nginx: Nginx, small: Served) -> None:
    found = probe(nginx.url("headless", small.name), NOBODY, 5)
    assert (found.size, found.resumes, found.knows_head) == (len(small.data), True, False)


def test_a_server_without_ranges_is_known_and_its_size_too(nginx: Nginx, small: Served) -> None:
    found = probe(nginx.url("whole", small.name), NOBODY, 5)
    assert (found.size, found.resumes) == (len(small.data), False)


@pytest.mark.parametrize("habit", ["cookie", "sneaky"])
def test_a_login_page_is_no_archive(nginx: Nginx, small: Served, habit: str) -> None:
    """By its type after a redirect, and by its first bytes where the type lies."""
    with pytest.raises(ArchiveError) as caught:
        probe(nginx.url(habit, small.name), NOBODY, 5)
    assert caught.value.code is Code.HTML_PAGE
    assert "--cookies" in caught.value.hint


@pytest.mark.parametrize(
    ("habit", "kind", "text"),
    [
        ("status/401", UsageError, "wants a login (401)"),
        ("auth", UsageError, "wants a login (401)"),
        ("status/403", UsageError, "refuses this login (403)"),
        ("ranges/absent", UsageError, "no such file on the server (404)"),
        ("status/416", ArchiveError, "no bytes in the requested range (416)"),
        ("status/500", NetworkError, "can't answer now (500)"),
        ("status/503", NetworkError, "can't answer now (503)"),
    ],
)
def test_each_status_has_its_sentence(
    nginx: Nginx, small: Served, habit: str, kind: type[IlsvrcError], text: str
) -> None:
    with pytest.raises(kind) as caught:
        probe(nginx.url(habit, small.name), NOBODY, 5)
    assert text in str(caught.value)
    assert caught.value.hint


def test_no_address_no_server_no_answer() -> None:
    with pytest.raises(NetworkError, match=r"no address is known for nowhere\.invalid"):
        probe("http://nowhere.invalid/a.tar", NOBODY, 5)
    with pytest.raises(NetworkError, match="refuses connections"):
        probe(f"http://127.0.0.1:{free_port()}/a.tar", NOBODY, 5)
    with socket.create_server(("127.0.0.1", 0)) as mute, pytest.raises(NetworkError, match="does not answer"):
        probe(f"http://127.0.0.1:{mute.getsockname()[1]}/a.tar", NOBODY, 0.2)


def test_every_way_to_log_in(nginx: Nginx, small: Served, tmp_path: Path) -> None:
    size = len(small.data)
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
    netrc.chmod(0o600)
    assert probe(nginx.url("auth", small.name), Credentials(netrc=netrc), 5).size == size
    in_url = nginx.url("auth", small.name).replace("//", f"//{USER}:{PASSWORD}@")
    assert probe(in_url, NOBODY, 5).size == size
    assert probe(nginx.url("header", small.name), Credentials(headers=("X-Key: letmein",)), 5).size == size
    assert probe(nginx.url("cookie", small.name), Credentials(cookies=cookies(tmp_path)), 5).size == size


def test_a_password_in_a_url_is_not_shown(nginx: Nginx) -> None:
    with pytest.raises(UsageError) as caught:
        probe(nginx.url("status/403", "a.tar?token=signed").replace("//", "//me:hidden@"), NOBODY, 5)
    assert "hidden" not in str(caught.value)
    assert "signed" not in str(caught.value)


def test_a_redirect_on_the_same_server_is_left_to_the_engine(nginx: Nginx, small: Served) -> None:
    url = nginx.url("moved", small.name)
    found = probe(url, NOBODY, 5)
    assert (found.url, found.private, found.size) == (url, False, len(small.data))


def test_a_redirect_to_another_server_does_not_take_the_headers_along(nginx: Nginx, small: Served) -> None:
    """The other server answers 418 to whoever shows it the header."""
    given = nginx.url("elsewhere", small.name)
    found = probe(given, Credentials(headers=("X-Key: letmein",)), 5)
    assert (found.url, found.private, found.size) == (given, True, len(small.data))
    found = probe(given, NOBODY, 5)
    assert (found.url, found.private) == (nginx.url("echo", small.name, host="localhost"), False)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n", "can't be understood: 'Content-Length: abc'"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\n\r\n", r"redirects to 'http://\[::1', which is no URL"),
        (b"HTTP/1.1 302 Found\r\nLocation: ftp://a/b\r\n\r\n", "redirects to 'ftp://a/b', which is no URL"),
        (b"HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n", "more than 10 redirects"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "can't be understood: 'SSH-2.0-OpenSSH_9.2"),
        (b"", "broke off the connection"),
    ],
)
def test_an_answer_that_breaks_the_rules_is_one_clear_error(answer: bytes, text: str) -> None:
    with answering(answer) as url, pytest.raises(NetworkError, match=text) as caught:
        probe(url, NOBODY, 5)
    assert caught.value.hint


def test_the_size_of_a_range_is_not_taken_for_that_of_the_file() -> None:
    answer = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-2/*\r\nContent-Length: 3\r\n\r\nabc"
    with answering(answer) as url:
        found = probe(url, NOBODY, 5)
    assert (found.size, found.resumes) == (None, False)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\nX-A: b", b"HTTP/1.1 200 OK\r\n\r\nbody"])
def test_an_answer_that_trickles_is_given_up(answer: bytes) -> None:
    """Each byte comes in time, the whole of it does not: after a second 5 bytes of 20 or more are there."""
    with answering(answer, byte_by_byte=0.2) as url, pytest.raises(NetworkError, match="does not answer"):
        probe(url, NOBODY, 1)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/a.tar",
        "file:///etc/passwd",
        "a.tar",
        "http:///a.tar",
        "http://[::1",
        "http://host:port/a.tar",
        "http://host/a\r\nX-Key: b",
        "http://host/a b.tar",
    ],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="not a URL"):
        probe(url, NOBODY, 5)
    with pytest.raises(UsageError, match="not a URL"):
        FetchRequest(Path(), urls=(url,))


def test_credentials_are_checked_before_they_are_used(tmp_path: Path) -> None:
    loose = tmp_path / "netrc"
    loose.write_text("machine host login me password secret\n")
    loose.chmod(0o644)
    with pytest.raises(UsageError, match="other users may read it"):
        Credentials(netrc=loose)
    with pytest.raises(UsageError, match="no such file"):
        Credentials(cookies=tmp_path / "absent")
    with pytest.raises(UsageError, match="not a header"):
        Credentials(headers=("nonsense",))
    (tmp_path / "cookies").write_text("{}")
    with pytest.raises(UsageError, match="not a cookies file"):
        probe("http://127.0.0.1:1/a.tar", Credentials(cookies=tmp_path / "cookies"), 1)


def test_login_of_a_url_comes_before_the_netrc(tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine host login me password secret\n")
    netrc.chmod(0o600)
    login = Secrets(Credentials(netrc=netrc)).login
    assert login("http://you:p%40ss@host/a") == ("you", "p@ss")
    assert login("http://host/a") == ("me", "secret")
    assert login("http://other/a") is None


@pytest.mark.parametrize(
    ("start", "page"), [(b"\n <HTML>", True), (b"\xef\xbb\xbf<!doctype html>", True), (b"n0", False)]
)
def test_a_saved_page_is_known_by_its_first_bytes(tmp_path: Path, start: bytes, page: bool) -> None:
    (tmp_path / "a.tar").write_bytes(start + bytes(600))
    assert is_page(tmp_path / "a.tar") is page


def cookies(folder: Path) -> Path:
    """Write a cookies file as a browser's extension does."""
    path = folder / "cookies.txt"
    path.write_text("# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t4102444800\tsession\tletmein\n")
    return path
