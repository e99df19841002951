"""The whole way: a real aria2c, a real nginx, a real swarm, all on loopback."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ilsvrc import facts
from ilsvrc.archive.verified import recorded
from ilsvrc.errors import ArchiveError, MachineError, NetworkError
from ilsvrc.events import Advanced, Event
from ilsvrc.fetch import Credentials, FetchReport, FetchRequest, Limits, fetch, unfinished
from ilsvrc.fetch.part import Origin, Part
from tests.fetch.conftest import Heard, Served, serve
from tests.fetch.cutter import Cutter
from tests.fetch.nginx import PASSWORD, USER, Nginx
from tests.fetch.swarm import Swarm, make_torrent, swarm

HASTY = Limits(patience=2, dht=False)
"""Limits for tests: a server that is gone is given up soon, and nobody outside is asked."""


class StopAtError(Exception):
    """What a test throws to break off a fetch."""


class StopAt(Heard):
    """A listener that breaks off once so many bytes of an archive are there."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._left = limit

    def __call__(self, event: Event) -> None:
        super().__call__(event)
        if isinstance(event, Advanced) and not event.stage.endswith("md5"):
            self._left -= event.bytes
            if self._left <= 0:
                raise StopAtError


@pytest.fixture(scope="module")
def big(nginx: Nginx) -> Served:
    """An archive of 24 MB: long enough on a slow server to be broken off."""
    return serve(nginx, "big.tar", 24_000_000)


@pytest.fixture
def cutter(nginx: Nginx) -> Iterator[Cutter]:
    proxy = Cutter(nginx.port, None)
    yield proxy
    proxy.close()


@pytest.fixture(scope="module")
def peers(big: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with swarm(big.path) as running:
        (big.path.parent / "big.torrent").write_bytes(running.torrent)
        yield running


def check(report: FetchReport, served: Served, folder: Path) -> None:
    """Require the very bytes, a record that says so, and nothing left behind."""
    (fetched,) = report.archives
    assert (folder / served.name).read_bytes() == served.data
    assert fetched.digest.hex == served.md5
    assert fetched.size == len(served.data)
    assert unfinished(folder) == []
    record = recorded(folder / served.name)
    assert (record and record.digest) == (f"md5:{served.md5}" if fetched.against else None)


def request(folder: Path, *urls: str, **words: object) -> FetchRequest:
    return FetchRequest(folder, urls=urls, **{"limits": HASTY} | words)  # type: ignore[arg-type]


class TestServers:
    def test_one_server(self, nginx: Nginx, small: Served, tmp_path: Path, heard: Heard) -> None:
        small.expect(tmp_path)
        nginx.log()
        report = fetch(request(tmp_path, nginx.url("ranges", small.name)), heard)
        check(report, small, tmp_path)
        assert report.archives[0].against == "MD5SUMS"
        assert report.archives[0].received == len(small.data)
        assert heard.bytes(small.name) == heard.bytes(f"{small.name}: md5") == len(small.data)

    def test_a_server_without_head(self, nginx: Nginx, small: Served, tmp_path: Path) -> None:
        check(fetch(request(tmp_path, nginx.url("headless", small.name))), small, tmp_path)

    def test_what_is_there_is_not_fetched_again(self, nginx: Nginx, small: Served, tmp_path: Path) -> None:
        small.expect(tmp_path)
        wanted = request(tmp_path, nginx.url("ranges", small.name))
        fetch(wanted)
        nginx.log()
        again = fetch(wanted)
        assert nginx.log() == []
        assert again.archives[0].received == 0
        check(again, small, tmp_path)

    def test_an_archive_nobody_knows_is_fetched_with_a_warning(
        self, nginx: Nginx, small: Served, tmp_path: Path, heard: Heard
    ) -> None:
        report = fetch(request(tmp_path, nginx.url("ranges", small.name)), heard)
        check(report, small, tmp_path)
        assert report.archives[0].against is None
        assert "could not be verified" in heard.notes

    def test_mirrors_are_used_together(self, nginx: Nginx, big: Served, tmp_path: Path) -> None:
        big.expect(tmp_path)
        nginx.log()
        check(fetch(request(tmp_path, nginx.url("slow", big.name), nginx.url("mirror", big.name))), big, tmp_path)
        habits = {line.split("/")[1] for line in nginx.log() if line.split()[1] == "206"}
        assert habits == {"slow", "mirror"}

    def test_several_archives(self, nginx: Nginx, small: Served, big: Served, tmp_path: Path) -> None:
        (tmp_path / "MD5SUMS").write_text(f"{small.md5}  {small.name}\n{big.md5} *{big.name}\n")
        report = fetch(request(tmp_path, nginx.url("ranges", small.name), nginx.url("ranges", big.name)))
        assert [(a.name, a.digest.hex) for a in report.archives] == [(small.name, small.md5), (big.name, big.md5)]

    def test_basic_login_of_a_netrc_reaches_the_engine(self, nginx: Nginx, small: Served, tmp_path: Path) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
        netrc.chmod(0o600)
        wanted = request(tmp_path / "to", nginx.url("auth", small.name), credentials=Credentials(netrc=netrc))
        check(fetch(wanted), small, tmp_path / "to")

    def test_cookies_and_headers_reach_the_engine(self, nginx: Nginx, small: Served, tmp_path: Path) -> None:
        cookies = tmp_path / "cookies.txt"
        line = "127.0.0.1\tFALSE\t/\tFALSE\t4102444800\tsession\tletmein\n"
        cookies.write_text(f"# Netscape HTTP Cookie File\n{line}")
        wanted = request(tmp_path / "a", nginx.url("cookie", small.name), credentials=Credentials(cookies=cookies))
        check(fetch(wanted), small, tmp_path / "a")
        key = Credentials(headers=("X-Key: letmein",))
        check(fetch(request(tmp_path / "b", nginx.url("header", small.name), credentials=key)), small, tmp_path / "b")

    def test_headers_stay_behind_when_another_server_is_led_to(
        self, nginx: Nginx, small: Served, tmp_path: Path
    ) -> None:
        key = Credentials(headers=("X-Key: letmein",))
        check(fetch(request(tmp_path, nginx.url("elsewhere", small.name), credentials=key)), small, tmp_path)

    def test_a_speed_limit_holds(self, nginx: Nginx, small: Served, tmp_path: Path) -> None:
        """6 MB at 3 MB a second takes two seconds; that it takes most of one is enough to know."""
        limits = replace(HASTY, max_speed=3_000_000)
        started = time.monotonic()
        fetch(request(tmp_path, nginx.url("ranges", small.name), limits=limits))
        assert time.monotonic() - started > 0.9

    def test_no_more_connections_than_allowed(self, nginx: Nginx, big: Served, tmp_path: Path, heard: Heard) -> None:
        fetch(request(tmp_path, nginx.url("ranges", big.name), limits=replace(HASTY, connections=1)), heard)
        details = [e.detail for e in heard.events if isinstance(e, Advanced) and e.detail]
        assert details
        assert all(" 1 connection" in d or " 0 connections" in d for d in details)


class TestResuming:
    def test_broken_off_it_goes_on_where_it_stopped(self, nginx: Nginx, big: Served, tmp_path: Path) -> None:
        big.expect(tmp_path)
        wanted = request(tmp_path, nginx.url("slow", big.name))
        nginx.sent()
        with pytest.raises(StopAtError):
            fetch(wanted, StopAt(8_000_000))
        assert unfinished(tmp_path) == [tmp_path / big.name]
        report = fetch(wanted)
        check(report, big, tmp_path)
        assert report.archives[0].received < 17_000_000
        assert nginx.sent() < 1.3 * len(big.data)

    def test_a_download_by_hand_is_taken_over(self, nginx: Nginx, big: Served, tmp_path: Path, heard: Heard) -> None:
        """`aria2c -c` and `wget` both leave the beginning under the final name."""
        big.expect(tmp_path)
        (tmp_path / big.name).write_bytes(big.data[:20_000_000])
        report = fetch(request(tmp_path, nginx.url("ranges", big.name)), heard)
        check(report, big, tmp_path)
        assert report.archives[0].received < 5_500_000
        assert "goes on from the file that lies there" in heard.notes

    def test_a_login_page_saved_by_hand_is_not(
        self, nginx: Nginx, small: Served, tmp_path: Path, heard: Heard
    ) -> None:
        small.expect(tmp_path)
        (tmp_path / small.name).write_bytes(b"<!DOCTYPE html><title>Log in</title>")
        check(fetch(request(tmp_path, nginx.url("ranges", small.name)), heard), small, tmp_path)
        assert (tmp_path / "small.tar.corrupt").exists()

    def test_a_run_killed_after_the_last_byte_fetches_nothing(
        self, nginx: Nginx, small: Served, tmp_path: Path
    ) -> None:
        small.expect(tmp_path)
        part = Part(tmp_path, small.name)
        part.path.write_bytes(small.data)
        part.origin = Origin(size=len(small.data))
        nginx.log()
        check(fetch(request(tmp_path, nginx.url("ranges", small.name))), small, tmp_path)
        assert len(nginx.log()) == 2  # the probe

    def test_holes_are_not_believed(self, nginx: Nginx, small: Served, tmp_path: Path) -> None:
        """A run that was killed before the first control file may leave a file of full length with holes."""
        part = Part(tmp_path, small.name)
        part.path.write_bytes(bytes(len(small.data) - 5) + small.data[-5:])
        part.origin = Origin(size=len(small.data))
        check(fetch(request(tmp_path, nginx.url("ranges", small.name))), small, tmp_path)

    @pytest.mark.parametrize("damage", [b"", b"nonsense" * 20])
    def test_a_damaged_control_file_gives_way_to_its_copy(
        self, nginx: Nginx, big: Served, tmp_path: Path, damage: bytes
    ) -> None:
        """aria2c leaves an empty one where the disk is full."""
        big.expect(tmp_path)
        wanted = request(tmp_path, nginx.url("slow", big.name))
        with pytest.raises(StopAtError):
            fetch(wanted, StopAt(8_000_000))
        part = Part(tmp_path, big.name)
        part.keep_control()
        part.control.write_bytes(damage)
        report = fetch(wanted)
        check(report, big, tmp_path)
        assert report.archives[0].received < 17_000_000

    def test_a_damaged_control_file_without_a_copy_costs_the_part(
        self, nginx: Nginx, small: Served, tmp_path: Path
    ) -> None:
        part = Part(tmp_path, small.name)
        part.path.write_bytes(bytes(3_000_000))
        part.control.write_bytes(b"")
        check(fetch(request(tmp_path, nginx.url("ranges", small.name))), small, tmp_path)

    def test_a_server_that_drops_connections(self, nginx: Nginx, cutter: Cutter, big: Served, tmp_path: Path) -> None:
        big.expect(tmp_path)
        cutter.budget = 700_000
        nginx.sent()
        report = fetch(request(tmp_path, f"http://127.0.0.1:{cutter.port}/slow/{big.name}"))
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
        report = fetch(request(tmp_path, f"http://127.0.0.1:{cutter.port}/slow/{big.name}", limits=limits), heard)
        away.join()
        check(report, big, tmp_path)

    def test_a_file_that_changed_on_the_server_is_not_mixed_with_the_old_one(
        self, nginx: Nginx, tmp_path: Path, heard: Heard
    ) -> None:
        old = serve(nginx, "changing.tar", 24_000_000, seed=2)
        wanted = request(tmp_path, nginx.url("slow", old.name))
        with pytest.raises(StopAtError):
            fetch(wanted, StopAt(5_000_000))
        new = serve(nginx, "changing.tar", 6_000_000, seed=3)
        check(fetch(wanted, heard), new, tmp_path)
        assert "has changed on the server" in heard.notes
        kept = (tmp_path / "changing.tar.old").read_bytes()
        assert kept[:100_000] == old.data[:100_000]


class TestServersThatCantResume:
    def test_one_connection(self, nginx: Nginx, small: Served, tmp_path: Path) -> None:
        nginx.log()
        check(fetch(request(tmp_path, nginx.url("whole", small.name))), small, tmp_path)
        assert len(nginx.log()) == 2  # the probe, and the file

    def test_broken_off_it_begins_anew_and_says_so(
        self, nginx: Nginx, small: Served, tmp_path: Path, heard: Heard
    ) -> None:
        wanted = request(tmp_path, nginx.url("whole-slow", small.name))
        with pytest.raises(StopAtError):
            fetch(wanted, StopAt(1_000_000))
        report = fetch(replace(wanted, urls=(nginx.url("whole", small.name),)), heard)
        check(report, small, tmp_path)
        assert report.archives[0].received == len(small.data)
        assert "can't resume, so it begins anew" in heard.notes

    def test_one_that_always_breaks_off_is_given_up(
        self, nginx: Nginx, cutter: Cutter, small: Served, tmp_path: Path
    ) -> None:
        cutter.budget = 2_000_000
        with pytest.raises(NetworkError, match="broke off and can't resume, 6 times over"):
            fetch(request(tmp_path, f"http://127.0.0.1:{cutter.port}/whole/{small.name}"))


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
        with pytest.raises(NetworkError, match="not a byte came for 2 s"):
            fetch(request(tmp_path, f"http://127.0.0.1:{cutter.port}/slow/{big.name}"), heard)
        quiet.join()
        assert Part(tmp_path, big.name).allocated >= 4_000_000

    def test_a_wrong_digest_is_fetched_once_more_and_then_refused(
        self, nginx: Nginx, small: Served, tmp_path: Path, heard: Heard
    ) -> None:
        (tmp_path / "MD5SUMS").write_text(f"{'0' * 32}  {small.name}\n")
        with pytest.raises(ArchiveError, match=f"its MD5 is {small.md5} and should be {'0' * 32}"):
            fetch(request(tmp_path, nginx.url("ranges", small.name)), heard)
        assert "fetched once more" in heard.notes
        assert not (tmp_path / small.name).exists()
        assert (tmp_path / "small.tar.corrupt").read_bytes() == small.data

    def test_another_official_archive_is_named_by_its_digest(
        self, nginx: Nginx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        served = serve(nginx, "some.tar", 5000)
        spec = facts.official(facts.DEVKIT)
        monkeypatch.setattr("ilsvrc.fetch.job.archive_with_digest", lambda digest: spec)
        (tmp_path / "MD5SUMS").write_text(f"{'0' * 32}  {served.name}\n")
        with pytest.raises(ArchiveError, match=f"this is {facts.DEVKIT}"):
            fetch(request(tmp_path, nginx.url("ranges", served.name)))

    def test_a_damaged_copy_is_set_aside_and_fetched_again(
        self, nginx: Nginx, small: Served, tmp_path: Path, heard: Heard
    ) -> None:
        small.expect(tmp_path)
        (tmp_path / small.name).write_bytes(bytes(len(small.data)))
        check(fetch(request(tmp_path, nginx.url("ranges", small.name)), heard), small, tmp_path)
        assert "wrong; kept as small.tar.corrupt" in heard.notes

    def test_no_space(self, nginx: Nginx, small: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import shutil
        from types import SimpleNamespace

        monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=10))
        nginx.log()
        with pytest.raises(MachineError, match="6,000,000 bytes are still to come"):
            fetch(request(tmp_path, nginx.url("ranges", small.name)))
        assert sum(int(line.split()[2]) for line in nginx.log()) == 512  # the probe and nothing else


class TestSwarms:
    def torrent(self, big: Served) -> str:
        return str(big.path.parent / "big.torrent")

    def test_a_torrent(self, peers: Swarm, big: Served, tmp_path: Path, heard: Heard) -> None:
        big.expect(tmp_path)
        before = peers.seeder.uploaded
        report = fetch(FetchRequest(tmp_path, torrents=(self.torrent(big),), limits=HASTY_PEERS), heard)
        check(report, big, tmp_path)
        assert peers.seeder.uploaded - before >= len(big.data)
        assert "seeding is off" in heard.notes
        assert any("peer" in e.detail for e in heard.events if isinstance(e, Advanced))

    def test_a_magnet_link_whose_pieces_vouch_for_the_file(self, peers: Swarm, big: Served, tmp_path: Path) -> None:
        report = fetch(FetchRequest(tmp_path, torrents=(peers.magnet,), limits=HASTY_PEERS))
        check(report, big, tmp_path)
        assert report.archives[0].against == "torrent"

    def test_a_server_as_the_only_seed(self, nginx: Nginx, big: Served, tmp_path: Path) -> None:
        """A web seed: the torrent's hashes check what the server gives."""
        torrent = tmp_path / "lonely.torrent"
        torrent.write_bytes(make_torrent(big.path))
        wanted = request(tmp_path / "to", nginx.url("ranges", big.name), torrents=(str(torrent),), limits=HASTY_PEERS)
        check(fetch(wanted), big, tmp_path / "to")

    def test_a_server_with_wrong_bytes_is_found_out_piece_by_piece(
        self, nginx: Nginx, peers: Swarm, big: Served, tmp_path: Path
    ) -> None:
        wrong = nginx.root / "wrong.tar"
        wrong.write_bytes(random.Random(9).randbytes(len(big.data)))
        wanted = FetchRequest(
            tmp_path, (big.name,), (nginx.url("ranges", "wrong.tar"),), (self.torrent(big),), limits=HASTY_PEERS
        )
        big.expect(tmp_path)
        check(fetch(wanted), big, tmp_path)

    def test_one_flipped_byte_of_a_partial_file_is_mended_by_its_piece(
        self, big: Served, tmp_path: Path, heard: Heard
    ) -> None:
        big.expect(tmp_path)
        with swarm(big.path, limit=8_000_000) as slow:
            torrent = tmp_path / "slow.torrent"
            torrent.write_bytes(slow.torrent)
            wanted = FetchRequest(tmp_path, torrents=(str(torrent),), limits=HASTY_PEERS)
            with pytest.raises(StopAtError):
                fetch(wanted, StopAt(12_000_000))
            flipped = flip_one(Part(tmp_path, big.name).path, big.data)
            sent = slow.seeder.uploaded
            check(fetch(wanted, heard), big, tmp_path)
            assert slow.seeder.uploaded - sent < len(big.data) - 10_000_000
        assert "its pieces are checked one by one" in heard.notes
        assert (tmp_path / big.name).read_bytes()[flipped] == big.data[flipped]

    def test_a_damaged_file_is_mended_by_the_bad_piece_alone(self, peers: Swarm, big: Served, tmp_path: Path) -> None:
        big.expect(tmp_path)
        (tmp_path / big.name).write_bytes(big.data)
        flip(tmp_path / big.name, 12_000_000)
        before = peers.seeder.uploaded
        report = fetch(FetchRequest(tmp_path, torrents=(self.torrent(big),), limits=HASTY_PEERS))
        check(report, big, tmp_path)
        assert peers.seeder.uploaded - before == report.archives[0].received == 1 << 16

    def test_what_came_from_a_server_is_kept_when_a_torrent_takes_over(
        self, nginx: Nginx, peers: Swarm, big: Served, tmp_path: Path
    ) -> None:
        with pytest.raises(StopAtError):
            fetch(request(tmp_path, nginx.url("slow", big.name)), StopAt(12_000_000))
        before = peers.seeder.uploaded
        check(fetch(FetchRequest(tmp_path, torrents=(self.torrent(big),), limits=HASTY_PEERS)), big, tmp_path)
        assert peers.seeder.uploaded - before < 13_500_000

    def test_what_came_from_a_torrent_is_kept_when_a_server_takes_over(
        self, nginx: Nginx, big: Served, tmp_path: Path
    ) -> None:
        big.expect(tmp_path)
        with swarm(big.path, limit=8_000_000, piece=1 << 20) as slow:
            torrent = tmp_path / "slow.torrent"
            torrent.write_bytes(slow.torrent)
            with pytest.raises(StopAtError):
                fetch(FetchRequest(tmp_path, torrents=(str(torrent),), limits=HASTY_PEERS), StopAt(12_000_000))
        report = fetch(request(tmp_path, nginx.url("ranges", big.name)))
        check(report, big, tmp_path)
        assert report.archives[0].received < 17_000_000

    def test_a_swarm_without_peers_is_given_up(self, big: Served, tmp_path: Path) -> None:
        torrent = tmp_path / "lonely.torrent"
        torrent.write_bytes(make_torrent(big.path))
        with pytest.raises(NetworkError, match="not a byte came"):
            fetch(FetchRequest(tmp_path, torrents=(str(torrent),), limits=HASTY))

    def test_it_seeds_as_much_as_it_is_asked_to(self, big: Served, tmp_path: Path, heard: Heard) -> None:
        """Another fetch takes from the one that seeds, while the first seeder pauses."""
        with swarm(big.path) as running:
            torrent = tmp_path / "seeded.torrent"
            torrent.write_bytes(running.torrent)
            giving = FetchRequest(
                tmp_path / "a", torrents=(str(torrent),), limits=replace(HASTY_PEERS, seed_ratio=0.1)
            )
            thread = threading.Thread(target=fetch, args=(giving, heard), daemon=True)
            thread.start()
            while f"{big.name}: seeding" not in {getattr(e, "stage", "") for e in heard.events}:
                time.sleep(0.05)
            running.pause()
            taking = FetchRequest(tmp_path / "b", torrents=(str(torrent),), limits=HASTY_PEERS)

            def take_over() -> None:
                thread.join(30)
                running.resume()

            back = threading.Thread(target=take_over)
            back.start()
            check(fetch(taking), big, tmp_path / "b")
            back.join()
            assert not thread.is_alive()
        assert heard.bytes(f"{big.name}: seeding") >= 0.1 * len(big.data)


HASTY_PEERS = replace(HASTY, patience=15)
"""Peers find each other within seconds, not at once."""


def flip(path: Path, offset: int) -> None:
    """Flip a byte of a file."""
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def flip_one(path: Path, data: bytes) -> int:
    """Flip a byte in the middle of what has arrived of a file, and return its offset."""
    there = path.read_bytes()
    middle = [i for i in range(len(there) // 4, len(there), 1 << 12) if there[i : i + 64] == data[i : i + 64]]
    offset = middle[len(middle) // 2]
    flip(path, offset)
    return offset
