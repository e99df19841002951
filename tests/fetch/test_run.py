"""The whole way from servers: a real aria2c and a real nginx on loopback."""

from __future__ import annotations

import importlib
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from ilsvrc import facts
from ilsvrc.errors import ArchiveError, MachineError, NetworkError
from ilsvrc.events import Advanced
from ilsvrc.fetch import Credentials, fetch_request
from ilsvrc.fetch.part import Part
from tests.fetch.conftest import Heard, Served, serve
from tests.fetch.cutter import Cutter
from tests.fetch.helpers import HASTY, check, request
from tests.fetch.nginx import PASSWORD, USER, Nginx


class TestServers:
    def test_one_server(self, nginx: Nginx, small: Served, tmp_path: Path, heard: Heard) -> None:
        small.expect(tmp_path)
        nginx.log()
        report = fetch_request(request(tmp_path, nginx.url("ranges", small.name)), heard)
        check(report, small, tmp_path)
        assert report.archives[0].against == "MD5SUMS"
        assert report.archives[0].received == len(small.data)
        assert heard.bytes(small.name) == heard.bytes(f"{small.name}: md5") == len(small.data)

    def test_a_server_without_head(self, nginx: Nginx, small: Served, tmp_path: Path) -> None:
        check(fetch_request(request(tmp_path, nginx.url("headless", small.name))), small, tmp_path)

    def test_what_is_there_is_not_fetched_again(self, nginx: Nginx, small: Served, tmp_path: Path) -> None:
        small.expect(tmp_path)
        wanted = request(tmp_path, nginx.url("ranges", small.name))
        fetch_request(wanted)
        nginx.log()
        again = fetch_request(wanted)
        assert nginx.log() == []
        assert again.archives[0].received == 0
        check(again, small, tmp_path)

    def test_an_archive_nobody_knows_is_fetched_with_a_warning(
        self, nginx: Nginx, small: Served, tmp_path: Path, heard: Heard
    ) -> None:
        report = fetch_request(request(tmp_path, nginx.url("ranges", small.name)), heard)
        check(report, small, tmp_path)
        assert report.archives[0].against is None
        assert "not verified" in heard.notes

    def test_mirrors_are_used_together(self, nginx: Nginx, big: Served, tmp_path: Path) -> None:
        big.expect(tmp_path)
        nginx.log()
        check(
            fetch_request(request(tmp_path, nginx.url("slow", big.name), nginx.url("mirror", big.name))),
            big,
            tmp_path,
        )
        habits = {line.split("/")[1] for line in nginx.log() if line.split()[1] == "206"}
        assert habits == {"slow", "mirror"}

    def test_several_archives(self, nginx: Nginx, small: Served, big: Served, tmp_path: Path) -> None:
        (tmp_path / "MD5SUMS").write_text(f"{small.md5}  {small.name}\n{big.md5} *{big.name}\n")
        report = fetch_request(request(tmp_path, nginx.url("ranges", small.name), nginx.url("ranges", big.name)))
        assert [(a.name, a.digest.hex) for a in report.archives] == [(small.name, small.md5), (big.name, big.md5)]

    def test_basic_login_of_a_netrc_reaches_the_engine(self, nginx: Nginx, small: Served, tmp_path: Path) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
        netrc.chmod(0o600)
        wanted = request(tmp_path / "to", nginx.url("auth", small.name), credentials=Credentials(netrc=netrc))
        check(fetch_request(wanted), small, tmp_path / "to")

    def test_cookies_and_headers_reach_the_engine(self, nginx: Nginx, small: Served, tmp_path: Path) -> None:
        cookies = tmp_path / "cookies.txt"
        line = "127.0.0.1\tFALSE\t/\tFALSE\t4102444800\tsession\tletmein\n"
        cookies.write_text(f"# Netscape HTTP Cookie File\n{line}")
        wanted = request(tmp_path / "a", nginx.url("cookie", small.name), credentials=Credentials(cookies=cookies))
        check(fetch_request(wanted), small, tmp_path / "a")
        key = Credentials(headers=("X-Key: letmein",))
        check(
            fetch_request(request(tmp_path / "b", nginx.url("header", small.name), credentials=key)),
            small,
            tmp_path / "b",
        )

    def test_headers_stay_behind_when_another_server_is_led_to(
        self, nginx: Nginx, small: Served, tmp_path: Path
    ) -> None:
        key = Credentials(headers=("X-Key: letmein",))
        check(fetch_request(request(tmp_path, nginx.url("elsewhere", small.name), credentials=key)), small, tmp_path)

    def test_a_speed_limit_holds(self, nginx: Nginx, small: Served, tmp_path: Path) -> None:
        """6 MB at 3 MB a second takes two seconds; that it takes most of one is enough to know."""
        limits = replace(HASTY, max_speed=3_000_000)
        started = time.monotonic()
        fetch_request(request(tmp_path, nginx.url("ranges", small.name), limits=limits))
        assert time.monotonic() - started > 0.9

    def test_no_more_connections_than_allowed(self, nginx: Nginx, big: Served, tmp_path: Path, heard: Heard) -> None:
        fetch_request(request(tmp_path, nginx.url("ranges", big.name), limits=replace(HASTY, connections=1)), heard)
        details = [e.detail for e in heard.events if isinstance(e, Advanced) and e.detail]
        assert details
        assert all(" 1 connection" in d or " 0 connections" in d for d in details)


class TestFailures:
    def test_a_server_that_falls_silent_is_given_up_and_the_part_kept(
        self, nginx: Nginx, cutter: Cutter, big: Served, tmp_path: Path, heard: Heard
    ) -> None:
        def mute() -> None:
            while heard.bytes(big.name) < 4_000_000:
                time.sleep(0.01)
            cutter.silent = True

        quiet = threading.Thread(target=mute)
        quiet.start()
        with pytest.raises(NetworkError, match="no byte came for 2 s"):
            fetch_request(request(tmp_path, f"http://127.0.0.1:{cutter.port}/slow/{big.name}"), heard)
        quiet.join()
        assert Part(tmp_path, big.name).allocated >= 4_000_000

    def test_a_wrong_digest_is_fetched_once_more_and_then_refused(
        self, nginx: Nginx, small: Served, tmp_path: Path, heard: Heard
    ) -> None:
        (tmp_path / "MD5SUMS").write_text(f"{'0' * 32}  {small.name}\n")
        with pytest.raises(ArchiveError, match=f"its MD5 is {small.md5} and should be {'0' * 32}"):
            fetch_request(request(tmp_path, nginx.url("ranges", small.name)), heard)
        assert "fetched once more" in heard.notes
        assert not (tmp_path / small.name).exists()
        assert (tmp_path / "small.tar.corrupt").read_bytes() == small.data

    def test_another_official_archive_is_named_by_its_digest(
        self, nginx: Nginx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        served = serve(nginx, "some.tar", 5000)
        spec = facts.official(facts.DEVKIT)
        module = importlib.import_module("ilsvrc.fetch.archives")
        monkeypatch.setattr(module, "archive_with_digest", lambda digest: spec)
        (tmp_path / "MD5SUMS").write_text(f"{'0' * 32}  {served.name}\n")
        with pytest.raises(ArchiveError, match=f"this is {facts.DEVKIT}"):
            fetch_request(request(tmp_path, nginx.url("ranges", served.name)))

    def test_a_damaged_copy_is_set_aside_and_fetched_again(
        self, nginx: Nginx, small: Served, tmp_path: Path, heard: Heard
    ) -> None:
        small.expect(tmp_path)
        (tmp_path / small.name).write_bytes(bytes(len(small.data)))
        check(fetch_request(request(tmp_path, nginx.url("ranges", small.name)), heard), small, tmp_path)
        assert "wrong; kept as small.tar.corrupt" in heard.notes

    def test_no_space(self, nginx: Nginx, small: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=10))
        nginx.log()
        with pytest.raises(MachineError, match="6,000,000 more bytes are needed"):
            fetch_request(request(tmp_path, nginx.url("ranges", small.name)))
        assert sum(int(line.split()[2]) for line in nginx.log()) == 512  # the probe and nothing else
