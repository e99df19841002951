"""Where the list of members lies, and what is said of a file that has none."""

from __future__ import annotations

import shutil
import struct
import subprocess
import zipfile
from pathlib import Path

import pytest

from ilsvrc.archive.source import FileSource
from ilsvrc.archive.zip.directory import find_directory
from ilsvrc.errors import ArchiveError
from ilsvrc.issues import Code

from .zips import zipped


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return zipped(tmp_path / "a.zip", {f"name{number}": b"data" * 100 for number in range(3)})


def test_it_is_where_zipfile_finds_it(archive: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        start = opened.start_dir
    assert find_directory(FileSource(archive)).start == start
    with zipfile.ZipFile(archive, "a") as opened:  # zipfile itself is led astray by this comment
        opened.comment = b"a comment with PK\5\6 in it, and a few bytes more than an end record has"
    assert find_directory(FileSource(archive)).start == start


def test_empty_zip_has_no_members(tmp_path: Path) -> None:
    assert find_directory(FileSource(zipped(tmp_path / "none.zip", {}))).entries == 0


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_zip_that_is_cut_short_says_how_much_there_is(archive: Path, share: float) -> None:
    data = archive.read_bytes()
    archive.write_bytes(data[: max(4, int(share * len(data)))])
    with pytest.raises(ArchiveError, match="still being fetched, or was cut short") as caught:
        find_directory(FileSource(archive))
    assert caught.value.code == Code.TRUNCATED_ARCHIVE
    assert f"{archive.stat().st_size:,} bytes" in caught.value.message


def test_bytes_that_are_missing_in_the_middle_are_counted(archive: Path) -> None:
    data = archive.read_bytes()
    archive.write_bytes(data[:100] + data[133:])
    with pytest.raises(ArchiveError, match="33 bytes before it are missing") as caught:
        find_directory(FileSource(archive))
    assert caught.value.code == Code.TRUNCATED_ARCHIVE


def test_bytes_too_many_are_counted(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:100] + b"x" * 77 + archive.read_bytes()[100:])
    with pytest.raises(ArchiveError, match="77 bytes that the zip does not speak of"):
        find_directory(FileSource(archive))


def test_zip64_record_that_is_not_there_is_missed(tmp_path: Path) -> None:
    path = tmp_path / "wide.zip"
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, 4, 1)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    path.write_bytes(b"PK\3\4" + bytes(200) + locator + end)
    with pytest.raises(ArchiveError, match="should be at byte 4, and is not"):
        find_directory(FileSource(path))


def test_parts_of_a_zip_are_told_to_be_joined(tmp_path: Path) -> None:
    if shutil.which("zip") is None:
        pytest.skip("zip is not installed")
    (tmp_path / "data").write_bytes(bytes(300_000))
    subprocess.run(["zip", "-q", "-0", "-s", "100k", "whole.zip", "data"], cwd=tmp_path, check=True)
    for part in ("whole.z01", "whole.zip"):
        with pytest.raises(ArchiveError, match="one part of a zip") as caught:
            find_directory(FileSource(tmp_path / part))
        assert "zip -s 0" in caught.value.hint
    subprocess.run(["zip", "-q", "-s", "0", "whole.zip", "--out", "joined.zip"], cwd=tmp_path, check=True)
    assert find_directory(FileSource(tmp_path / "joined.zip")).entries == 1


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", Code.WRONG_FILE),
        (b"no zip at all", Code.WRONG_FILE),
        (b"<!DOCTYPE html><html>Sign in</html>", Code.HTML_PAGE),
    ],
)
def test_no_zip_is_told(data: bytes, code: Code, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(ArchiveError) as caught:
        find_directory(FileSource(tmp_path / "a.zip"))
    assert caught.value.code == code
