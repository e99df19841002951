from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ilsvrc.errors import MachineError
from ilsvrc.fetch import part as module
from ilsvrc.fetch.part import Origin, Part, locked, unfinished


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
    (tmp_path / ".ilsvrc" / "a.tar.origin.json").write_text('{"size": 5, "pre')
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
