"""`ilsvrc.fetch` by its keywords, as the other verbs."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

import ilsvrc
from ilsvrc import facts
from ilsvrc.errors import MachineError, UsageError
from tests.fetch.conftest import Heard, Served, serve
from tests.fetch.helpers import check
from tests.fetch.nginx import PASSWORD, USER, Nginx


def test_short_names_and_keywords(nginx: Nginx, tmp_path: Path, heard: Heard) -> None:
    served = serve(nginx, facts.TEST, 3_000_000)
    served.expect(tmp_path)
    url = nginx.url("header", served.name)
    report = ilsvrc.fetch(
        "test", to=str(tmp_path), urls=url, headers=["X-Key: letmein"], dht=False, patience=5, listener=heard
    )
    check(report, served, tmp_path)
    assert heard.bytes(served.name) == 3_000_000


def test_a_word_that_names_no_archive(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no archive is called vla"):
        ilsvrc.fetch("vla", to=tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_what_the_system_refuses_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match="file"):
        ilsvrc.fetch("val", to=tmp_path / "file" / "to", urls="http://127.0.0.1:9/x")


def test_the_package_is_still_there_to_import_from() -> None:
    module = importlib.import_module("ilsvrc.fetch")
    assert module.fetch is ilsvrc.fetch
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's home folder, written ~."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


class TestHome:
    """`~` is expanded in every path: a shell leaves it in --to=~/x and in a library call."""

    def test_of_the_folder(self, nginx: Nginx, small: Served, home: Path) -> None:
        small.expect(home / "to")
        check(ilsvrc.fetch(to="~/to", urls=nginx.url("ranges", small.name), patience=5), small, home / "to")

    def test_of_a_netrc_file(self, nginx: Nginx, small: Served, home: Path) -> None:
        (home / "netrc").write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
        (home / "netrc").chmod(0o600)
        url = nginx.url("auth", small.name)
        check(ilsvrc.fetch(to=home / "to", urls=url, netrc="~/netrc", patience=5), small, home / "to")

    def test_of_a_cookies_file(self, nginx: Nginx, small: Served, home: Path) -> None:
        line = "127.0.0.1\tFALSE\t/\tFALSE\t4102444800\tsession\tletmein\n"
        (home / "cookies.txt").write_text(f"# Netscape HTTP Cookie File\n{line}")
        url = nginx.url("cookie", small.name)
        check(ilsvrc.fetch(to=home / "to", urls=url, cookies="~/cookies.txt", patience=5), small, home / "to")

    def test_of_a_metalink_file(self, nginx: Nginx, small: Served, home: Path) -> None:
        url = f"<url>{nginx.url('ranges', small.name)}</url>"
        (home / "a.meta4").write_text(f'<metalink><file name="{small.name}">{url}</file></metalink>')
        check(ilsvrc.fetch(to=home / "to", metalinks="~/a.meta4", patience=5), small, home / "to")

    def test_of_a_torrent(self, home: Path) -> None:
        """The message names the file that was looked for."""
        with pytest.raises(UsageError, match=str(home / "a.torrent")):
            ilsvrc.fetch(to=home / "to", torrents="~/a.torrent")

    def test_an_empty_path_is_refused(self, home: Path) -> None:
        with pytest.raises(UsageError, match="the cookies file is empty"):
            ilsvrc.fetch("val", to=home, cookies="")
