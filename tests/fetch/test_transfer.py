"""Broken off and gone on with, by a real aria2c from a real nginx."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ilsvrc.errors import NetworkError
from ilsvrc.events import Advanced
from ilsvrc.fetch import fetch_request, unfinished
from ilsvrc.fetch.part import Origin, Part
from tests.fetch.conftest import Heard, Served, serve
from tests.fetch.cutter import Cutter
from tests.fetch.helpers import HASTY, StopAt, StopAtError, check, request
from tests.fetch.nginx import Nginx


class TestResuming:
    def test_broken_off_it_goes_on_where_it_stopped(self, nginx: Nginx, big: Served, tmp_path: Path) -> None:
        big.expect(tmp_path)
        wanted = request(tmp_path, nginx.url("slow", big.name))
        nginx.sent()
        with pytest.raises(StopAtError):
            fetch_request(wanted, StopAt(8_000_000))
        assert unfinished(tmp_path) == [tmp_path / big.name]
        report = fetch_request(wanted)
        check(report, big, tmp_path)
        assert report.archives[0].received < 17_000_000
        assert nginx.sent() < 1.3 * len(big.data)

    def test_a_download_by_hand_is_taken_over(self, nginx: Nginx, big: Served, tmp_path: Path, heard: Heard) -> None:
        """`aria2c -c` and `wget` both leave the beginning under the final name."""
        big.expect(tmp_path)
        (tmp_path / big.name).write_bytes(big.data[:20_000_000])
        report = fetch_request(request(tmp_path, nginx.url("ranges", big.name)), heard)
        check(report, big, tmp_path)
        assert report.archives[0].received < 5_500_000
        assert "resumes from the file in the folder" in heard.notes

    def test_a_login_page_saved_by_hand_is_not(
        self, nginx: Nginx, small: Served, tmp_path: Path, heard: Heard
    ) -> None:
        small.expect(tmp_path)
        (tmp_path / small.name).write_bytes(b"<!DOCTYPE html><title>Log in</title>")
        check(fetch_request(request(tmp_path, nginx.url("ranges", small.name)), heard), small, tmp_path)
        assert (tmp_path / "small.tar.corrupt").exists()

    def test_a_run_killed_after_the_last_byte_fetches_nothing(
        self, nginx: Nginx, small: Served, tmp_path: Path
    ) -> None:
        small.expect(tmp_path)
        part = Part(tmp_path, small.name)
        part.path.write_bytes(small.data)
        part.origin = Origin(size=len(small.data))
        nginx.log()
        check(fetch_request(request(tmp_path, nginx.url("ranges", small.name))), small, tmp_path)
        assert len(nginx.log()) == 2  # the probe

    def test_holes_are_not_believed(self, nginx: Nginx, small: Served, tmp_path: Path) -> None:
        """A run that was killed before the first control file may leave a file of full length with holes."""
        part = Part(tmp_path, small.name)
        part.path.write_bytes(bytes(len(small.data) - 5) + small.data[-5:])
        part.origin = Origin(size=len(small.data))
        check(fetch_request(request(tmp_path, nginx.url("ranges", small.name))), small, tmp_path)

    @pytest.mark.parametrize("damage", [b"", b"nonsense" * 20])
    def test_a_damaged_control_file_gives_way_to_its_copy(
        self, nginx: Nginx, big: Served, tmp_path: Path, damage: bytes
    ) -> None:
        """aria2c leaves an empty one where the disk is full."""
        big.expect(tmp_path)
        wanted = request(tmp_path, nginx.url("slow", big.name))
        with pytest.raises(StopAtError):
            fetch_request(wanted, StopAt(8_000_000))
        part = Part(tmp_path, big.name)
        part.keep_control()
        part.control.write_bytes(damage)
        report = fetch_request(wanted)
        check(report, big, tmp_path)
        assert report.archives[0].received < 17_000_000

    def test_a_damaged_control_file_without_a_copy_costs_the_part(
        self, nginx: Nginx, small: Served, tmp_path: Path
    ) -> None:
        part = Part(tmp_path, small.name)
        part.path.write_bytes(bytes(3_000_000))
        part.control.write_bytes(b"")
        check(fetch_request(request(tmp_path, nginx.url("ranges", small.name))), small, tmp_path)

    def test_a_server_that_drops_connections(self, nginx: Nginx, cutter: Cutter, big: Served, tmp_path: Path) -> None:
        big.expect(tmp_path)
        cutter.budget = 700_000
        nginx.sent()
        report = fetch_request(request(tmp_path, f"http://127.0.0.1:{cutter.port}/slow/{big.name}"))
        check(report, big, tmp_path)
        assert cutter.cuts > 10
        assert nginx.sent() < 1.3 * len(big.data) + cutter.cuts * 300_000  # what lay in sockets when they were cut

    def test_a_server_that_is_away_for_a_while(
        self, nginx: Nginx, cutter: Cutter, big: Served, tmp_path: Path, heard: Heard
    ) -> None:
        def vanish() -> None:
            while heard.bytes(big.name) < 6_000_000:
                time.sleep(0.01)
            cutter.silent, cutter.budget = True, 0
            cutter.hang_up()
            time.sleep(2.5)
            cutter.silent, cutter.budget = False, None

        away = threading.Thread(target=vanish)
        away.start()
        limits = replace(HASTY, patience=20)
        report = fetch_request(
            request(tmp_path, f"http://127.0.0.1:{cutter.port}/slow/{big.name}", limits=limits), heard
        )
        away.join()
        check(report, big, tmp_path)

    def test_a_server_that_dies_is_said_to_stall_and_the_figure_stays(
        self, nginx: Nginx, cutter: Cutter, big: Served, tmp_path: Path, heard: Heard
    ) -> None:
        def die() -> None:
            while heard.bytes(big.name) < 6_000_000:
                time.sleep(0.01)
            cutter.budget = 0
            cutter.hang_up()

        dying = threading.Thread(target=die)
        dying.start()
        url = f"http://127.0.0.1:{cutter.port}/slow/{big.name}"
        wanted = request(tmp_path, url, limits=replace(HASTY, patience=4))
        with pytest.raises(NetworkError, match=r"big\.tar: stalled: no byte came for 4 s") as caught:
            fetch_request(wanted, heard)
        dying.join()
        done = heard.bytes(big.name)
        assert done >= 6_000_000
        assert f"{done:,} of {len(big.data):,} bytes are on disk and are kept" in str(caught.value)
        assert all(e.bytes >= 0 for e in heard.events if isinstance(e, Advanced))

    def test_a_file_that_changed_on_the_server_is_not_mixed_with_the_old_one(
        self, nginx: Nginx, tmp_path: Path, heard: Heard
    ) -> None:
        old = serve(nginx, "changing.tar", 24_000_000, seed=2)
        wanted = request(tmp_path, nginx.url("slow", old.name))
        with pytest.raises(StopAtError):
            fetch_request(wanted, StopAt(5_000_000))
        new = serve(nginx, "changing.tar", 6_000_000, seed=3)
        check(fetch_request(wanted, heard), new, tmp_path)
        assert "has changed on the server" in heard.notes
        kept = (tmp_path / "changing.tar.old").read_bytes()
        assert kept[:100_000] == old.data[:100_000]


class TestServersThatCantResume:
    def test_one_connection(self, nginx: Nginx, small: Served, tmp_path: Path) -> None:
        nginx.log()
        check(fetch_request(request(tmp_path, nginx.url("whole", small.name))), small, tmp_path)
        assert len(nginx.log()) == 2  # the probe, and the file

    def test_broken_off_it_begins_anew_and_says_so(
        self, nginx: Nginx, small: Served, tmp_path: Path, heard: Heard
    ) -> None:
        wanted = request(tmp_path, nginx.url("whole-slow", small.name))
        with pytest.raises(StopAtError):
            fetch_request(wanted, StopAt(1_000_000))
        report = fetch_request(replace(wanted, urls=(nginx.url("whole", small.name),)), heard)
        check(report, small, tmp_path)
        assert report.archives[0].received == len(small.data)
        assert "can't resume; fetching it from the beginning" in heard.notes

    def test_one_that_always_breaks_off_is_given_up(
        self, nginx: Nginx, cutter: Cutter, small: Served, tmp_path: Path
    ) -> None:
        cutter.budget = 2_000_000
        with pytest.raises(NetworkError, match="broke off and can't resume, 6 times over"):
            fetch_request(request(tmp_path, f"http://127.0.0.1:{cutter.port}/whole/{small.name}"))
