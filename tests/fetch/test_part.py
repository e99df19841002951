from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ilsvrc.errors import MachineError
from ilsvrc.fetch import FetchRequest, fetch_request
from ilsvrc.fetch import part as module
from ilsvrc.fetch.part import Origin, Part, locked, unfinished
from tests.fetch.conftest import Served
from tests.fetch.helpers import HASTY, request
from tests.fetch.nginx import Nginx, free_port


def test_without_a_control_file_only_the_known_prefix_is_kept(tmp_path: Path) -> None:
    part = Part(tmp_path, "a.tar")
    part.path.write_bytes(b"x" * 100)
    part.origin = Origin(size=200, prefix=30)
    part.settle()
    assert part.path.stat().st_size == 30
    part.origin = Origin(size=200)
    part.settle()
    assert part.path.stat().st_size == 0


def test_with_a_control_file_nothing_is_cut(tmp_path: Path) -> None:
    part = Part(tmp_path, "a.tar")
    part.path.write_bytes(b"x" * 100)
    part.control.write_bytes(b"")
    part.settle()
    assert part.path.stat().st_size == 100


def test_a_file_that_aria2c_by_hand_left_is_taken_over_with_its_control_file(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"x" * 9)
    (tmp_path / "a.tar.aria2").write_bytes(b"control")
    part = Part(tmp_path, "a.tar")
    part.adopt()
    assert part.control.read_bytes() == b"control"
    assert part.path.read_bytes() == b"x" * 9
    assert not (tmp_path / "a.tar").exists()
    assert part.origin.prefix == 0


def test_a_file_that_wget_left_is_taken_over_as_a_prefix(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"x" * 9)
    part = Part(tmp_path, "a.tar")
    part.adopt()
    part.settle()
    assert part.path.stat().st_size == 9


def test_unfinished_lists_ours_and_those_by_hand(tmp_path: Path) -> None:
    for name in ("done.tar", "ours.tar.part", "ours.tar.part.aria2", "hand.tar", "hand.tar.aria2", ".x.1.part"):
        (tmp_path / name).touch()
    assert unfinished(tmp_path) == [tmp_path / "hand.tar", tmp_path / "ours.tar"]


def test_publishing_leaves_nothing_but_the_archive(tmp_path: Path) -> None:
    part = Part(tmp_path, "a.tar")
    part.path.write_bytes(b"whole")
    part.control.touch()
    part.origin = Origin(size=5)
    part.publish()
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["a.tar"]
    assert part.origin == Origin()


def test_a_damaged_origin_is_not_believed(tmp_path: Path) -> None:
    part = Part(tmp_path, "a.tar")
    part.origin = Origin(size=5, prefix=5)
    for damaged in ('{"size": 5, "pre', '{"size": "five"}', '{"versions": {"u": 5}}', '{"versions": [1]}', "[]", "9"):
        (tmp_path / ".ilsvrc" / "a.tar.origin.json").write_text(damaged)
        assert part.origin == Origin()


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        (('"a"', "Monday"), ('"a"', "Monday"), False),
        (('"a"', "Monday"), ('"b"', "Monday"), False),
        (('"a"', "Monday"), ('"b"', "Tuesday"), True),
        (('"a"', ""), ('"b"', ""), True),
        (('"a"', ""), ("", "Monday"), False),
    ],
)
def test_a_file_has_changed_when_all_that_is_said_of_it_has(
    old: tuple[str, str], new: tuple[str, str], changed: bool
) -> None:
    assert Origin(versions={"u": old}).is_changed("u", new) is changed
    assert not Origin().is_changed("u", new)


OWN = ["a.tar.part", "a.tar.part.aria2", "a.tar.part.aria2__temp"]
STATE = [".ilsvrc/a.tar.origin.json", ".ilsvrc/a.tar.control", ".ilsvrc/fetch.lock"]


@pytest.mark.parametrize("name", OWN + STATE)
def test_nothing_is_written_through_a_link_or_into_a_pipe(tmp_path: Path, name: str) -> None:
    """No server is asked: the URL leads nowhere."""
    precious = tmp_path / "precious"
    precious.write_bytes(b"of the user")
    folder = tmp_path / "to"
    (folder / ".ilsvrc").mkdir(parents=True)
    wanted = request(folder, f"http://127.0.0.1:{free_port()}/a.tar")
    for put in (lambda path: path.symlink_to(precious), os.mkfifo, Path.mkdir):
        put(folder / name)
        with pytest.raises(MachineError, match="no regular file") as caught:
            fetch_request(wanted)
        assert "ls -l" in caught.value.hint
        assert precious.read_bytes() == b"of the user"
        (folder / name).rename(tmp_path / "away")
        shutil.rmtree(tmp_path / "away") if (tmp_path / "away").is_dir() else (tmp_path / "away").unlink()


def test_the_torrent_behind_a_magnet_link_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / ".ilsvrc").mkdir()
    (tmp_path / ".ilsvrc" / f"{'a' * 40}.torrent").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MachineError, match="no regular file"):
        fetch_request(FetchRequest(tmp_path, torrents=(f"magnet:?xt=urn:btih:{'a' * 40}",), limits=HASTY))
    assert not (tmp_path / "elsewhere").exists()


def test_a_link_in_the_place_of_our_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / ".ilsvrc").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MachineError, match="not a folder of ilsvrc's own"):
        fetch_request(request(tmp_path / "to", f"http://127.0.0.1:{free_port()}/a.tar"))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_link_under_the_final_name_is_not_adopted(nginx: Nginx, small: Served, tmp_path: Path) -> None:
    """Half an archive that lies elsewhere stays as it is; a link to a whole one is as good as the archive."""
    folder = tmp_path / "to"
    small.expect(folder)
    stored = tmp_path / "stored"
    stored.write_bytes(small.data[:1000])
    (folder / small.name).symlink_to(stored)
    wanted = request(folder, nginx.url("ranges", small.name))
    with pytest.raises(MachineError, match="a link to a file that is not the complete archive"):
        fetch_request(wanted)
    assert stored.read_bytes() == small.data[:1000]
    assert (folder / small.name).is_symlink()
    stored.unlink()
    with pytest.raises(MachineError, match="a link to nothing"):
        fetch_request(wanted)
    stored.write_bytes(small.data)
    assert fetch_request(wanted).archives[0].received == 0


def test_a_file_that_came_to_lie_there_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    part = Part(tmp_path, "a.tar")
    part.path.write_bytes(b"whole")
    part.final.write_bytes(b"of the user")
    with pytest.raises(MachineError, match="appeared during the fetch"):
        part.publish()
    assert (part.final.read_bytes(), part.path.read_bytes()) == (b"of the user", b"whole")


def test_what_is_set_aside_replaces_no_file_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "a.tar.corrupt").write_bytes(b"of the user")
    part = Part(tmp_path, "a.tar")
    found = []
    for data, for_good in ((b"found there", True), (b"first", False), (b"second", False)):
        part.path.write_bytes(data)
        found.append(part.set_aside(".corrupt", for_good=for_good).name)
    assert found == ["a.tar.corrupt.2", "a.tar.corrupt.3", "a.tar.corrupt.3"]
    kept = [(tmp_path / name).read_bytes() for name in ("a.tar.corrupt", *found[:2])]
    assert kept == [b"of the user", b"found there", b"second"]


def test_one_fetch_at_a_time_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.2)
    with locked(tmp_path), pytest.raises(MachineError, match="another `ilsvrc fetch`"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_the_lock_lasts_as_long_as_a_process_that_was_given_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.2)
    with locked(tmp_path) as descriptor:
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(descriptor,))
    with pytest.raises(MachineError), locked(tmp_path):
        pass
    child.communicate(b"\n")
    with locked(tmp_path):
        pass
