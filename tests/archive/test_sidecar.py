"""A stored index is used while it fits, and never believed when it does not."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ilsvrc import facts
from ilsvrc.archive.build import build_index
from ilsvrc.archive.index import SCHEMA, Index, save
from ilsvrc.archive.sidecar import (
    folders,
    open_index,
    record,
    recorded,
    store_digests,
    stored_digests,
    stored_index,
    writable_folder,
)
from ilsvrc.archive.source import FileSource, FileState
from ilsvrc.facts import Digest


@pytest.fixture
def archive(tmp_path: Path, mini: Path) -> Path:
    return Path(shutil.copy(mini / facts.TRAIN, tmp_path / facts.TRAIN))


@pytest.fixture
def index_file(archive: Path) -> Path:
    open_index(FileSource(archive))
    return archive.parent / ".ilsvrc" / f"{archive.name}.arrow"


def test_stored_index_equals_the_built_one(archive: Path, index_file: Path) -> None:
    stored = stored_index(FileSource(archive))
    built = build_index(FileSource(archive))
    assert stored is not None
    assert stored.table.equals(built.table)
    assert stored.identity == built.identity


@pytest.mark.parametrize("position", range(8, 4000, 97))
def test_damaged_index_is_rebuilt(archive: Path, index_file: Path, position: int) -> None:
    data = bytearray(index_file.read_bytes())
    expected = build_index(FileSource(archive)).table
    data[position % len(data)] ^= 0xFF
    index_file.write_bytes(data)
    assert open_index(FileSource(archive)).table.equals(expected)


def test_cut_index_is_rebuilt(archive: Path, index_file: Path) -> None:
    whole = index_file.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        index_file.write_bytes(whole[:length])
        assert stored_index(FileSource(archive)) is None
        assert len(open_index(FileSource(archive))) == 24


def test_index_of_a_changed_archive_is_stale(archive: Path, index_file: Path) -> None:
    status = archive.stat()
    os.utime(archive, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert stored_index(FileSource(archive)) is None


def test_foreign_index_is_not_believed(archive: Path, index_file: Path, mini: Path) -> None:
    val = Path(shutil.copy(mini / facts.VAL, archive.parent / facts.VAL))
    shutil.copy(index_file, index_file.with_name(f"{facts.VAL}.arrow"))
    assert stored_index(FileSource(val)) is None


def test_folder_that_cannot_be_written_uses_the_cache(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, *_: Path(path).name != ".ilsvrc")  # root may write anywhere
    open_index(FileSource(archive))
    beside, cache = folders(archive)
    assert not (beside / f"{archive.name}.arrow").exists()
    assert (cache / f"{archive.name}.arrow").exists()
    assert stored_index(FileSource(archive)) is not None


def test_without_any_folder_to_write_to_the_index_is_built_each_time(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    assert len(open_index(FileSource(archive))) == 24
    assert stored_index(FileSource(archive)) is None
    proved = record(archive, Digest("md5", "0" * 32), "MD5SUMS", FileState.of(archive))
    assert proved.digest == "md5:" + "0" * 32
    assert recorded(archive) is None


def _open(path: Path) -> int:
    return len(open_index(FileSource(path)))


def test_many_processes_build_it_once(archive: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(_open, [archive] * 8)) == [24] * 8
    file = archive.parent / ".ilsvrc" / f"{archive.name}.arrow"
    inode = file.stat().st_ino
    with get_context("spawn").Pool(2) as processes:
        assert processes.map(_open, [archive] * 4) == [24] * 4
    assert file.stat().st_ino == inode


def test_verification_is_remembered_for_this_state_only(archive: Path) -> None:
    assert recorded(archive) is None
    record(archive, Digest("md5", "0" * 32), "MD5SUMS", FileState.of(archive))
    found = recorded(archive)
    assert found is not None
    assert found.digest == "md5:" + "0" * 32
    os.utime(archive)
    assert recorded(archive) is None


def test_damaged_record_is_not_believed(archive: Path) -> None:
    record(archive, Digest("md5", "0" * 32), "MD5SUMS", FileState.of(archive))
    (archive.parent / ".ilsvrc" / f"{archive.name}.verified.json").write_text('{"archive": 1}')
    assert recorded(archive) is None


def rewrite(path: Path, place: int) -> None:
    """Change a byte in place and give the file the mtime that it had."""
    before = path.stat()
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # the system's clock goes by ticks
        with path.open("r+b") as file:
            file.seek(place)
            byte = file.read(1)
            file.seek(place)
            file.write(bytes([byte[0] ^ 1]))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_second_download_with_the_servers_time_is_hashed_again(archive: Path) -> None:
    status = archive.stat()
    record(archive, Digest("md5", "0" * 32), "official", FileState.of(archive))
    (archive.parent / "second").write_bytes(bytes(status.st_size))
    os.utime(archive.parent / "second", ns=(status.st_atime_ns, status.st_mtime_ns))
    (archive.parent / "second").replace(archive)
    assert (archive.stat().st_size, archive.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert recorded(archive) is None


def test_an_archive_rewritten_under_its_old_time_is_hashed_and_walked_again(archive: Path, index_file: Path) -> None:
    record(archive, Digest("md5", "0" * 32), "official", FileState.of(archive))
    rewrite(archive, 3000)
    assert recorded(archive) is None
    assert stored_index(FileSource(archive)) is None


def test_a_record_of_another_identity_does_not_count(archive: Path) -> None:
    state, identity = FileState.of(archive), open_index(FileSource(archive)).identity
    record(archive, Digest("md5", "0" * 32), "official", state, identity)
    assert recorded(archive) is not None
    assert recorded(archive, identity) is not None
    assert recorded(archive, "0" * 32) is None
    record(archive, Digest("md5", "0" * 32), "official", state)  # by a program that had no index yet
    assert recorded(archive, identity) is not None


@pytest.mark.parametrize(
    "change",
    [
        lambda _: [],
        lambda _: None,
        lambda _: 3,
        lambda _: "md5",
        lambda whole: [whole],
        lambda whole: whole | {"state": None},
        lambda whole: whole | {"state": [1, 2, 3, 4]},
        lambda whole: whole | {"state": {key: str(value) for key, value in whole["state"].items()}},
        lambda whole: whole | {"state": {key: float(value) for key, value in whole["state"].items()}},
        lambda whole: whole | {"state": {"size": whole["state"]["size"]}},
        lambda whole: whole | {"digest": 5},
        lambda whole: whole | {"against": None},
        lambda whole: whole | {"more": "words"},
        lambda whole: {k: v for k, v in whole.items() if k != "digest"},
        lambda whole: (
            {k: v for k, v in whole.items() if k in ("archive", "digest", "against")}
            | {k: v for k, v in whole["state"].items() if k in ("size", "mtime_ns")}
        ),  # as the first edition wrote it
    ],
)
def test_a_record_of_another_form_counts_as_none(archive: Path, change: Callable[[object], object]) -> None:
    record(archive, Digest("md5", "0" * 32), "official", FileState.of(archive))
    file = archive.parent / ".ilsvrc" / f"{archive.name}.verified.json"
    whole = json.loads(file.read_text())
    file.write_text(json.dumps(whole))
    assert recorded(archive) is not None
    file.write_text(json.dumps(change(whole)))
    assert recorded(archive) is None


def test_a_record_nested_without_end_counts_as_none(archive: Path) -> None:
    record(archive, Digest("md5", "0" * 32), "official", FileState.of(archive))
    (archive.parent / ".ilsvrc" / f"{archive.name}.verified.json").write_text("[" * 200_000)
    assert recorded(archive) is None


Columns = dict[str, list[Any]]


def forge(index_file: Path, change: Callable[[Columns], object]) -> None:
    """Rewrite an index with other columns, and with the digest and the state that make it look right."""
    table = pa.ipc.open_file(index_file.read_bytes()).read_all()
    columns: Columns = table.to_pydict()
    change(columns)
    metadata = table.schema.metadata
    forged = Index(index_file.name.removesuffix(".arrow"), "train", pa.table(columns, schema=SCHEMA))
    if not any(None in column for column in columns.values()):
        metadata = metadata | {b"columns": forged.identity.encode()}
    save(forged.table, index_file, metadata)


FORGERIES: dict[str, Callable[[Columns], object]] = {
    "leads out": lambda c: c["name"].__setitem__(3, "../../../evil.JPEG"),
    "leads out by its number": lambda c: c["name"].__setitem__(0, "n01440764_/../../1.JPEG"),
    "absolute": lambda c: c["name"].__setitem__(0, "/tmp/n01440764_1.JPEG"),
    "empty": lambda c: c["name"].__setitem__(0, ""),
    "no number": lambda c: c["name"].__setitem__(0, "n01440764_.JPEG"),
    "a zero byte": lambda c: c["name"].__setitem__(0, "n01440764_1\0.JPEG"),
    "other ending": lambda c: c["name"].__setitem__(0, "n01440764_1.HTML"),
    "letters": lambda c: c["name"].__setitem__(0, "n01440764_1x.JPEG"),
    "digits of another script": lambda c: c["name"].__setitem__(0, "n01440764_1\u0663.JPEG"),
    "another class": lambda c: c["label"].__setitem__(0, 1),
    "label 1000": lambda c: c["label"].__setitem__(-1, 1000),
    "label 32767": lambda c: c["label"].__setitem__(-1, 32767),
    "label -1": lambda c: c["label"].__setitem__(0, -1),
    "twice": lambda c: c["name"].__setitem__(1, c["name"][0]),
    "other order": lambda c: c.update({key: column[::-1] for key, column in c.items()}),
    "beyond the end": lambda c: c["offset"].__setitem__(0, 1 << 40),
    "over the end": lambda c: c["size"].__setitem__(int(np.argmax(c["offset"])), 1 << 40),
    "before the start": lambda c: c["offset"].__setitem__(0, -512),
    "negative size": lambda c: c["size"].__setitem__(0, -1),
    "a sum beyond 64 bits": lambda c: (c["size"].__setitem__(0, 2**63 - 1), c["offset"].__setitem__(0, 2**63 - 1)),
    "overlap": lambda c: c["offset"].__setitem__(0, c["offset"][1]),
    "no name": lambda c: c["name"].__setitem__(0, None),
    "no offset": lambda c: c["offset"].__setitem__(0, None),
}


@pytest.mark.parametrize("change", FORGERIES.values(), ids=FORGERIES)
def test_a_forged_index_is_not_believed(archive: Path, index_file: Path, change: Callable[[Columns], object]) -> None:
    forge(index_file, lambda _: None)
    assert stored_index(FileSource(archive)) is not None, "what is unchanged is believed"
    forge(index_file, change)
    assert stored_index(FileSource(archive)) is None
    assert open_index(FileSource(archive)).table.equals(build_index(FileSource(archive)).table)


def disown(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a file one of another user than the one who runs."""
    if os.geteuid() == 0:
        os.chown(path, 4711, -1)
    else:
        monkeypatch.setattr("os.geteuid", lambda: 4711)


def test_the_index_of_another_user_is_left_alone(
    archive: Path, index_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = index_file.stat()
    disown(index_file, monkeypatch)
    assert stored_index(FileSource(archive)) is None
    if os.geteuid() == 0:
        assert len(open_index(FileSource(archive))) == 24
        assert (folders(archive)[1] / index_file.name).exists(), "it is built in the user's cache"
    assert (index_file.stat().st_ino, index_file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_the_record_of_another_user_is_not_believed(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(archive, Digest("md5", "0" * 32), "official", FileState.of(archive))
    disown(archive.parent / ".ilsvrc" / f"{archive.name}.verified.json", monkeypatch)
    assert recorded(archive) is None


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _link(path: Path) -> None:
    (path.parent / "elsewhere").write_text("left alone")
    path.symlink_to(path.parent / "elsewhere")


@pytest.mark.parametrize("make", [_fifo, _link, Path.mkdir])
@pytest.mark.parametrize("suffix", [".arrow", ".lock", ".verified.json", ".digests.arrow"])
def test_what_is_no_file_is_neither_read_nor_replaced(
    archive: Path, suffix: str, make: Callable[[Path], None]
) -> None:
    (archive.parent / ".ilsvrc").mkdir()
    place = archive.parent / ".ilsvrc" / f"{archive.name}{suffix}"
    make(place)
    before = place.lstat()
    source = FileSource(archive)
    index = open_index(source)
    record(archive, Digest("md5", "0" * 32), "official", source.state)
    store_digests(source, index, np.zeros((24, 16), np.uint8))
    assert stored_index(source) is not None
    assert recorded(archive) is not None
    assert stored_digests(source, index) is not None
    assert (place.lstat().st_ino, place.lstat().st_mode) == (before.st_ino, before.st_mode)
    if make is _link:
        assert place.read_text() == "left alone"


def test_a_file_that_is_too_large_to_be_ours_is_not_read(archive: Path, index_file: Path) -> None:
    os.truncate(index_file, 1 << 40)
    assert stored_index(FileSource(archive)) is None


def test_digests_that_are_not_one_per_image_or_of_another_user_are_not_believed(
    archive: Path, index_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = FileSource(archive)
    index = open_index(source)
    path = store_digests(source, index, np.zeros((24, 16), np.uint8))
    table = pa.ipc.open_file(path.read_bytes()).read_all()
    values = table.column(0).to_pylist()
    for forged in (values[:-1], [*values, bytes(16)], [None, *values[1:]]):
        save(pa.table([pa.array(forged, pa.binary(16))], schema=table.schema), path, table.schema.metadata)
        assert stored_digests(source, index) is None
    save(table, path, table.schema.metadata)
    assert stored_digests(source, index) is not None
    disown(path, monkeypatch)
    assert stored_digests(source, index) is None


def test_a_link_in_place_of_our_folder_is_not_followed(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (archive.parent / ".ilsvrc").symlink_to(tmp_path / "elsewhere")
    assert len(open_index(FileSource(archive))) == 24
    assert stored_index(FileSource(archive)) is not None
    assert not list((tmp_path / "elsewhere").iterdir())


_CUT_SHORT = """
import os, sys
from ilsvrc.archive.sidecar import open_index
from ilsvrc.archive.source import FileSource
index = open_index(FileSource(sys.argv[1]))
os.truncate(sys.argv[2], 0)
print(sum(index.labels.tolist()), sum(index.sizes.tolist()), len(index.names.to_pylist()))
"""


def test_an_index_cut_short_while_open_stays_readable(archive: Path, index_file: Path) -> None:
    index = build_index(FileSource(archive))
    command = [sys.executable, "-c", _CUT_SHORT, str(archive), str(index_file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, "a mapped file would end it with a bus error"
    assert done.stdout.split() == [str(index.labels.sum()), str(index.sizes.sum()), "24"]


def test_an_index_changed_while_open_stays_as_it_was_proved(archive: Path, index_file: Path) -> None:
    index = stored_index(FileSource(archive))
    assert index is not None
    before = index.table.to_pydict()
    with index_file.open("r+b") as file:
        file.write(b"/" * index_file.stat().st_size)
    assert index.table.to_pydict() == before


def test_threads_that_record_one_archive_do_not_disturb_each_other(archive: Path) -> None:
    state, failed = FileState.of(archive), []
    together = threading.Barrier(6)

    def work() -> None:
        together.wait()
        try:
            for _ in range(20):
                record(archive, Digest("md5", "0" * 32), "official", state)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert recorded(archive) is not None


def test_leftovers_of_killed_runs_are_removed_beside_the_archive(archive: Path) -> None:
    own = archive.parent / ".ilsvrc"
    own.mkdir()
    dead = "99999999.0123abcd"  # above the largest process number of Linux
    leftovers = [own / f".{archive.name}.{kind}.{dead}.part" for kind in ("arrow", "verified.json", "digests.arrow")]
    theirs = [own / f".other.tar.arrow.{dead}.part", own / f".{archive.name}.arrow.mine.part"]
    for path in (*leftovers, *theirs):
        path.write_text("")
    source = FileSource(archive)
    index = open_index(source)
    record(archive, Digest("md5", "0" * 32), "official", source.state)
    store_digests(source, index, np.zeros((24, 16), np.uint8))
    assert not any(path.exists() for path in leftovers)
    assert all(path.exists() for path in theirs)


def test_without_a_home_things_are_kept_in_a_folder_for_temporary_files(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(_: int) -> None:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (archive.parent / ".ilsvrc").write_text("nothing can be kept beside the archive")
    assert len(open_index(FileSource(archive))) == 24
    assert stored_index(FileSource(archive)) is not None
    assert list((tmp_path / "temporary").glob(f"ilsvrc-*/*/{archive.name}.arrow"))


def test_a_cache_folder_that_is_no_absolute_path_is_not_used(
    archive: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")  # the XDG specification: relative paths are to be ignored
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert folders(archive)[1].is_relative_to(tmp_path / "home/.cache/ilsvrc")


def test_an_archive_may_have_a_name_of_any_bytes(tmp_path: Path, mini: Path) -> None:
    archive = Path(os.fsdecode(bytes(tmp_path) + b"/tr\xe4in.tar"))
    shutil.copy(mini / facts.TRAIN, archive)
    source = FileSource(archive)
    index = open_index(source)
    found = stored_index(source)
    assert found is not None
    assert found.identity == index.identity
    record(archive, Digest("md5", "0" * 32), "official", source.state, index.identity)
    assert recorded(archive, index.identity) is not None
    store_digests(source, index, np.zeros((24, 16), np.uint8))
    assert stored_digests(source, index) is not None
    assert writable_folder(archive) == archive.parent / ".ilsvrc"
