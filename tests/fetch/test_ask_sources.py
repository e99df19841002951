from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from ilsvrc import facts
from ilsvrc.errors import ArchiveError, MachineError, NetworkError
from ilsvrc.fetch.part import Origin, Part
from ilsvrc.fetch.probe import Offer, ask_sources, check_space, check_unchanged
from ilsvrc.fetch.request import FetchRequest
from ilsvrc.fetch.sources import Sources
from ilsvrc.fetch.torrents import Torrent
from tests.fetch.conftest import Heard, Served, serve
from tests.fetch.nginx import Nginx, free_port


def test_a_mirror_that_fails_is_left_out_while_another_works(
    nginx: Nginx, small: Served, tmp_path: Path, heard: Heard
) -> None:
    dead = f"http://127.0.0.1:{free_port()}/small.tar"
    urls = (dead, nginx.url("status/404", small.name), nginx.url("ranges", small.name))
    found = ask_sources(Sources(small.name, urls), FetchRequest(tmp_path), heard)
    assert [p.url for p in found.probes] == [urls[2]]
    assert "refuses connections" in heard.notes
    assert "404" in heard.notes


def test_without_any_that_works_the_first_error_is_raised(nginx: Nginx, tmp_path: Path, heard: Heard) -> None:
    urls = (f"http://127.0.0.1:{free_port()}/x", nginx.url("ranges", "absent"))
    with pytest.raises(NetworkError, match="refuses connections"):
        ask_sources(Sources("x", urls), FetchRequest(tmp_path), heard)


def test_a_mirror_of_another_size_is_left_out(nginx: Nginx, small: Served, tmp_path: Path, heard: Heard) -> None:
    other = serve(nginx, "other.tar", 1000)
    urls = (nginx.url("ranges", small.name), nginx.url("ranges", other.name))
    found = ask_sources(Sources(small.name, urls), FetchRequest(tmp_path), heard)
    assert [p.url for p in found.probes] == [urls[0]]
    assert "its file has 1,000 bytes, not 6,000,000" in heard.notes


def test_servers_that_resume_are_preferred(nginx: Nginx, small: Served, tmp_path: Path, heard: Heard) -> None:
    urls = (nginx.url("whole", small.name), nginx.url("ranges", small.name))
    found = ask_sources(Sources(small.name, urls), FetchRequest(tmp_path), heard)
    assert [p.url for p in found.probes] == [urls[1]]
    assert found.resumes


def test_a_wrong_file_is_refused_by_its_size(nginx: Nginx, small: Served, tmp_path: Path, heard: Heard) -> None:
    sources = Sources(facts.VAL, (nginx.url("ranges", small.name),))
    with pytest.raises(ArchiveError, match="6,000,000 bytes where the official archive has 6,744,924,160"):
        ask_sources(sources, FetchRequest(tmp_path), heard)


def test_space_is_checked_for_all_together_less_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=100_000))
    one, two = (Offer(name, 60_000, (), None) for name in ("a.tar", "b.tar"))
    check_space(tmp_path, [one])
    with pytest.raises(MachineError, match=r"120,000 more bytes are needed and only 100,000 are free") as caught:
        check_space(tmp_path, [one, two])
    assert "20,000 bytes" in caught.value.hint
    Part(tmp_path, "a.tar").path.write_bytes(bytes(range(256)) * 128)  # 32 KiB
    check_space(tmp_path, [one, two])


def test_a_changed_file_sets_the_old_part_aside(nginx: Nginx, small: Served, tmp_path: Path, heard: Heard) -> None:
    request = FetchRequest(tmp_path)
    found = ask_sources(Sources(small.name, (nginx.url("ranges", small.name),)), request, heard)
    part = Part(tmp_path, small.name)
    part.path.write_bytes(b"old")
    part.origin = Origin(size=found.size, versions={found.probes[0].url: found.probes[0].version})
    check_unchanged(part, found, heard)
    assert part.path.exists()
    part.origin = Origin(size=found.size, versions={found.probes[0].url: ('"another"', "long ago")})
    check_unchanged(part, found, heard)
    assert not part.path.exists()
    assert (tmp_path / "small.tar.old").read_bytes() == b"old"
    assert "has changed on the server" in heard.notes


def test_with_a_torrent_a_change_does_not_matter(tmp_path: Path, heard: Heard) -> None:
    part = Part(tmp_path, "a.tar")
    part.path.write_bytes(b"old")
    part.origin = Origin(size=5)
    check_unchanged(part, Offer("a.tar", 9, (), Torrent("a.tar", 9, 1, "0" * 40, b"")), heard)
    assert part.path.exists()
