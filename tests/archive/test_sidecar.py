"""A stored index is used while it fits, and never believed when it does not."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from ilsvrc import facts
from ilsvrc.archive.build import build_index
from ilsvrc.archive.sidecar import folders, open_index, record, recorded, stored_index
from ilsvrc.archive.source import FileSource, Fingerprint
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
    proved = record(archive, Digest("md5", "0" * 32), "MD5SUMS", Fingerprint.of(archive))
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
    record(archive, Digest("md5", "0" * 32), "MD5SUMS", Fingerprint.of(archive))
    found = recorded(archive)
    assert found is not None
    assert found.digest == "md5:" + "0" * 32
    os.utime(archive)
    assert recorded(archive) is None


def test_damaged_record_is_not_believed(archive: Path) -> None:
    record(archive, Digest("md5", "0" * 32), "MD5SUMS", Fingerprint.of(archive))
    (archive.parent / ".ilsvrc" / f"{archive.name}.verified.json").write_text('{"archive": 1}')
    assert recorded(archive) is None
