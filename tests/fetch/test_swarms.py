"""A real swarm on loopback: libtorrent seeds, aria2c takes."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ilsvrc.errors import NetworkError
from ilsvrc.events import Advanced
from ilsvrc.fetch import FetchRequest, fetch_request
from ilsvrc.fetch.part import Part
from tests.fetch.conftest import Heard, Served
from tests.fetch.helpers import HASTY, HASTY_PEERS, StopAt, StopAtError, check, request
from tests.fetch.nginx import Nginx
from tests.fetch.swarm import Swarm, make_torrent, swarm


@pytest.fixture(scope="module")
def peers(big: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with swarm(big.path) as running:
        (big.path.parent / "big.torrent").write_bytes(running.torrent)
        yield running


class TestSwarms:
    def torrent(self, big: Served) -> str:
        return str(big.path.parent / "big.torrent")

    def test_a_torrent(self, peers: Swarm, big: Served, tmp_path: Path, heard: Heard) -> None:
        big.expect(tmp_path)
        before = peers.seeder.uploaded
        report = fetch_request(FetchRequest(tmp_path, torrents=(self.torrent(big),), limits=HASTY_PEERS), heard)
        check(report, big, tmp_path)
        assert peers.seeder.uploaded - before >= len(big.data)
        assert "not uploaded to other peers" in heard.notes
        assert any("peer" in e.detail for e in heard.events if isinstance(e, Advanced))

    def test_a_magnet_link_whose_pieces_vouch_for_the_file(self, peers: Swarm, big: Served, tmp_path: Path) -> None:
        report = fetch_request(FetchRequest(tmp_path, torrents=(peers.magnet,), limits=HASTY_PEERS))
        check(report, big, tmp_path)
        assert report.archives[0].against == "torrent"

    def test_a_server_as_the_only_seed(self, nginx: Nginx, big: Served, tmp_path: Path) -> None:
        """A web seed: the torrent's hashes check what the server gives."""
        torrent = tmp_path / "lonely.torrent"
        torrent.write_bytes(make_torrent(big.path))
        wanted = request(tmp_path / "to", nginx.url("ranges", big.name), torrents=(str(torrent),), limits=HASTY_PEERS)
        check(fetch_request(wanted), big, tmp_path / "to")

    def test_a_server_with_wrong_bytes_is_found_out_piece_by_piece(
        self, nginx: Nginx, peers: Swarm, big: Served, tmp_path: Path
    ) -> None:
        wrong = nginx.root / "wrong.tar"
        wrong.write_bytes(random.Random(9).randbytes(len(big.data)))
        wanted = FetchRequest(
            tmp_path, (big.name,), (nginx.url("ranges", "wrong.tar"),), (self.torrent(big),), limits=HASTY_PEERS
        )
        big.expect(tmp_path)
        check(fetch_request(wanted), big, tmp_path)

    def test_one_flipped_byte_of_a_partial_file_is_mended_by_its_piece(
        self, big: Served, tmp_path: Path, heard: Heard
    ) -> None:
        big.expect(tmp_path)
        with swarm(big.path, limit=8_000_000) as slow:
            torrent = tmp_path / "slow.torrent"
            torrent.write_bytes(slow.torrent)
            wanted = FetchRequest(tmp_path, torrents=(str(torrent),), limits=HASTY_PEERS)
            with pytest.raises(StopAtError):
                fetch_request(wanted, StopAt(12_000_000))
            flipped = flip_one(Part(tmp_path, big.name).path, big.data)
            sent = slow.seeder.uploaded
            check(fetch_request(wanted, heard), big, tmp_path)
            assert slow.seeder.uploaded - sent < len(big.data) - 10_000_000
        assert "its pieces are checked one by one" in heard.notes
        assert (tmp_path / big.name).read_bytes()[flipped] == big.data[flipped]

    def test_a_damaged_file_is_mended_by_the_bad_piece_alone(self, peers: Swarm, big: Served, tmp_path: Path) -> None:
        big.expect(tmp_path)
        (tmp_path / big.name).write_bytes(big.data)
        flip(tmp_path / big.name, 12_000_000)
        before = peers.seeder.uploaded
        report = fetch_request(FetchRequest(tmp_path, torrents=(self.torrent(big),), limits=HASTY_PEERS))
        check(report, big, tmp_path)
        assert peers.seeder.uploaded - before == report.archives[0].received == 1 << 16

    def test_what_came_from_a_server_is_kept_when_a_torrent_takes_over(
        self, nginx: Nginx, peers: Swarm, big: Served, tmp_path: Path
    ) -> None:
        with pytest.raises(StopAtError):
            fetch_request(request(tmp_path, nginx.url("slow", big.name)), StopAt(12_000_000))
        before = peers.seeder.uploaded
        check(fetch_request(FetchRequest(tmp_path, torrents=(self.torrent(big),), limits=HASTY_PEERS)), big, tmp_path)
        assert peers.seeder.uploaded - before < 13_500_000

    def test_what_came_from_a_torrent_is_kept_when_a_server_takes_over(
        self, nginx: Nginx, big: Served, tmp_path: Path
    ) -> None:
        big.expect(tmp_path)
        with swarm(big.path, limit=8_000_000, piece=1 << 20) as slow:
            torrent = tmp_path / "slow.torrent"
            torrent.write_bytes(slow.torrent)
            with pytest.raises(StopAtError):
                fetch_request(
                    FetchRequest(tmp_path, torrents=(str(torrent),), limits=HASTY_PEERS), StopAt(12_000_000)
                )
        report = fetch_request(request(tmp_path, nginx.url("ranges", big.name)))
        check(report, big, tmp_path)
        assert report.archives[0].received < 17_000_000

    def test_a_swarm_without_peers_is_given_up(self, big: Served, tmp_path: Path) -> None:
        torrent = tmp_path / "lonely.torrent"
        torrent.write_bytes(make_torrent(big.path))
        with pytest.raises(NetworkError, match="no byte came"):
            fetch_request(FetchRequest(tmp_path, torrents=(str(torrent),), limits=HASTY))

    def test_it_seeds_as_much_as_it_is_asked_to(self, big: Served, tmp_path: Path, heard: Heard) -> None:
        """Another fetch takes from the one that seeds, while the first seeder pauses."""
        with swarm(big.path) as running:
            torrent = tmp_path / "seeded.torrent"
            torrent.write_bytes(running.torrent)
            giving = FetchRequest(
                tmp_path / "a", torrents=(str(torrent),), limits=replace(HASTY_PEERS, seed_ratio=0.1)
            )
            thread = threading.Thread(target=fetch_request, args=(giving, heard), daemon=True)
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
            check(fetch_request(taking), big, tmp_path / "b")
            back.join()
            assert not thread.is_alive()
        assert heard.bytes(f"{big.name}: seeding") >= 0.1 * len(big.data)


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
