"""Archives that change while they are read."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from ilsvrc.archive.source import FileSource
from ilsvrc.errors import ArchiveError, UsageError
from ilsvrc.issues import Code


@pytest.fixture
def source(tmp_path: Path) -> FileSource:
    (tmp_path / "a.tar").write_bytes(bytes(range(256)) * 16)
    return FileSource(tmp_path / "a.tar")


def test_reads_what_is_there(source: FileSource) -> None:
    assert source.read(255, 3) == b"\xff\x00\x01"
    assert source.size == 4096


def test_archive_cut_while_open_is_an_error_with_its_place(source: FileSource) -> None:
    source.read(0, 1)
    os.truncate(source.path, 1000)
    with pytest.raises(ArchiveError) as caught:
        source.read(900, 200)
    assert caught.value.code is Code.TRUNCATED_ARCHIVE
    assert caught.value.offset == 1000


def test_pickled_source_reads_the_same_archive(source: FileSource) -> None:
    assert pickle.loads(pickle.dumps(source)).read(10, 2) == source.read(10, 2)


def test_replaced_archive_is_refused_on_reopening(source: FileSource) -> None:
    data = pickle.dumps(source)
    source.path.write_bytes(b"other")
    with pytest.raises(ArchiveError) as caught:
        pickle.loads(data).read(0, 1)
    assert caught.value.code is Code.WRONG_FILE


def test_removed_archive_is_refused_on_reopening(source: FileSource) -> None:
    data = pickle.dumps(source)
    source.path.unlink()
    with pytest.raises((ArchiveError, OSError)):
        pickle.loads(data).read(0, 1)


def test_closed_source_opens_again(source: FileSource) -> None:
    source.read(0, 1)
    source.close()
    source.close()
    assert source.read(1, 1) == b"\x01"


@pytest.mark.parametrize("name", ["missing.tar", "."])
def test_no_archive_is_the_callers_fault(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        FileSource(tmp_path / name)


def test_bytes_written_in_place_are_noticed_though_the_time_is_restored(source: FileSource) -> None:
    source.read(0, 1)
    before = source.path.stat()
    while source.path.stat().st_ctime_ns == before.st_ctime_ns:  # the system's clock goes by ticks
        with source.path.open("r+b") as file:
            file.write(b"other")
        os.utime(source.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ArchiveError, match="changed while it was in use") as caught:
        source.refuse_changed()
    assert caught.value.code is Code.WRONG_FILE
    with pytest.raises(ArchiveError):
        pickle.loads(pickle.dumps(source)).read(0, 1)


def test_a_file_of_the_same_size_and_time_is_refused_on_reopening(source: FileSource) -> None:
    before = source.path.stat()
    other = source.path.with_name("other")
    other.write_bytes(bytes(before.st_size))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(source.path)
    with pytest.raises(ArchiveError, match="another file has taken its place"):
        source.read(0, 1)


_OUTLIVES = """
import json, sys
import ilsvrc.archive.source
json.kept = ilsvrc.archive.source.FileSource(sys.argv[1])
json.kept.read(0, 1)
sys.kept = [json, ilsvrc.archive.source]  # what torch does: the module stays and loses its names, last imported first
"""

_WITH_TORCH = """
import sys
from ilsvrc.archive.source import FileSource
source = FileSource(sys.argv[1])
source.read(0, 1)
import torch
"""


@pytest.mark.parametrize("script", [_OUTLIVES, _WITH_TORCH], ids=["outlives", "torch"])
def test_the_end_of_the_interpreter_is_silent(source: FileSource, script: str) -> None:
    if "torch" in script and find_spec("torch") is None:
        pytest.skip("torch is not installed")
    done = subprocess.run([sys.executable, "-c", script, source.path], capture_output=True, text=True, check=True)
    assert done.stderr == ""
