"""Files that are whole or absent, also beside links, pipes and other writers."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ilsvrc.errors import MachineError, system_errors
from ilsvrc.files import (
    Filesystems,
    locked,
    make_own_folder,
    open_own,
    read_own,
    remove_leftovers,
    rename_new,
    write_text,
    written_whole,
)


def test_many_threads_write_one_file(tmp_path: Path) -> None:
    path, failed = tmp_path / ".ilsvrc/record.json", []

    def write(number: int) -> None:
        try:
            for _ in range(20):
                write_text(path, str(number) * 5000)
        except OSError as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(set(path.read_text())) == 1
    assert [p.name for p in path.parent.iterdir()] == ["record.json"]


def test_what_fails_leaves_the_old_file_and_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_text(path, "old")
    with pytest.raises(ZeroDivisionError), written_whole(path) as beside:
        beside.write_text(f"new {1 / 0}")
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]
    assert path.read_text() == "old"


@pytest.mark.parametrize("place", ["link", "dangling", "folder", "pipe"])
def test_what_is_no_file_of_ours_is_refused(tmp_path: Path, place: str) -> None:
    users = tmp_path / "users.txt"
    users.write_text("dear")
    path = tmp_path / ".ilsvrc/lock"
    path.parent.mkdir()
    if place == "folder":
        path.mkdir()
    elif place == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(users if place == "link" else tmp_path / "nowhere")
    with pytest.raises(MachineError, match="no regular file") as refused, locked(path):
        pytest.fail("it was locked")
    assert f"ls -l {path}" in refused.value.hint
    with pytest.raises(MachineError, match="no regular file"):
        read_own(path)
    assert users.read_text() == "dear"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("inner", ["", "staging"])
def test_a_link_in_the_place_of_our_folder_is_refused(tmp_path: Path, inner: str) -> None:
    users = tmp_path / "users"
    users.mkdir()
    link = tmp_path / "tree/.ilsvrc" / inner
    link.parent.mkdir(parents=True)
    link.symlink_to(users)
    with pytest.raises(MachineError, match="not a folder of ilsvrc's own"):
        make_own_folder(link)
    with pytest.raises(MachineError, match="not a folder of ilsvrc's own"):
        open_own(link / "lock", os.O_RDWR | os.O_CREAT)
    with pytest.raises(MachineError, match="not a folder of ilsvrc's own"):
        write_text(link / "report.json", "{}")
    assert not list(users.iterdir())


def test_a_link_above_our_folder_is_the_users_way(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "disk")
    write_text(tmp_path / "data/.ilsvrc/report.json", "{}")
    assert read_own(tmp_path / "disk/.ilsvrc/report.json") == "{}"


def test_rename_refuses_to_replace(tmp_path: Path) -> None:
    source, target = tmp_path / "new", tmp_path / "taken"
    source.mkdir()
    target.mkdir()
    with pytest.raises(FileExistsError):
        rename_new(source, target)
    target.rmdir()
    rename_new(source, target)
    assert target.is_dir()
    assert not source.exists()


@pytest.mark.parametrize("folder", [True, False])
def test_rename_refuses_to_replace_where_the_file_system_can_not(tmp_path: Path, folder: bool) -> None:
    source, target = tmp_path / "new", tmp_path / "taken"
    for path in (source, target):
        path.mkdir() if folder else path.write_text(path.name)

    def unsupported(_source: Path, _target: Path) -> int:
        return errno.EINVAL

    with pytest.raises(FileExistsError):
        rename_new(source, target, rename=unsupported)
    target.rmdir() if folder else target.unlink()
    rename_new(source, target, rename=unsupported)
    assert target.exists()
    assert not source.exists()


def test_leftovers_of_the_dead_are_removed_and_nothing_else(tmp_path: Path) -> None:
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    pid = int(dead.stdout)
    own = tmp_path / ".ilsvrc"
    own.mkdir()
    ours = [own / f".train.arrow.{pid}.part", own / f".a.tar.verified.json.{pid}.0123abcd.part"]
    ours.append(tmp_path / f".val.txt.{pid}.0123abcd.part")
    theirs = [tmp_path / f".mine.{pid}.part", own / f".train.arrow.{os.getppid()}.part"]
    for path in (*ours, *theirs):
        path.write_text("")
    blocking = own / f".val.arrow.{pid}.part"
    blocking.mkdir()
    remove_leftovers(tmp_path, own)
    assert not any(path.exists() for path in ours)
    assert all(path.exists() for path in (*theirs, blocking))


def test_file_systems_are_opened_once_and_kept(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    held = Filesystems([tmp_path, tmp_path / "a", Path("/dev/shm")])
    assert len(held._folders) == 2  # one for each file system
    held.sync()
    held.close()
    held.sync()  # nothing is held any more: nothing is synced, nothing fails


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "x"), "x: No space left"),
        (MemoryError(), "not enough memory"),
        (RuntimeError("can't start new thread"), "refuses another thread"),
    ],
)
def test_the_systems_errors_become_ours(error: Exception, said: str) -> None:
    with pytest.raises(MachineError, match=said) as raised, system_errors():
        raise error
    assert raised.value.hint
    assert any(raised.value.hint in note for note in raised.value.__notes__)


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="a bug"), system_errors():
        raise RuntimeError("a bug")
