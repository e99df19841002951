"""An index in memory that processes share: the same rows, no copy, and nobody can change it."""

from __future__ import annotations

import fcntl
import gc
import mmap
import os
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from ilsvrc.archive import shared
from ilsvrc.archive.sidecar import open_index
from ilsvrc.archive.source import FileSource
from ilsvrc.facts import TRAIN
from ilsvrc.readers.archive import ArchiveReader

needs_memory = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="memory files are Linux's")


@pytest.fixture
def reader(mini: Path) -> ArchiveReader:
    return ArchiveReader.open(FileSource(mini / TRAIN))


def told(reader: ArchiveReader) -> tuple[str, list[str], bytes, str]:
    """Identity, names, the bytes of an image, and the file behind the index's memory, in another process."""
    address = reader.index.offsets.__array_interface__["data"][0]
    where = ""
    for line in Path("/proc/self/maps").read_text().splitlines():
        begin, end = (int(part, 16) for part in line.split()[0].split("-"))
        if begin <= address < end:
            where = line
    return reader.index.identity, reader.names.to_pylist(), reader.read(3), where


def _tell(reader: ArchiveReader, path: str) -> None:
    Path(path).write_bytes(pickle.dumps(told(reader)))


@needs_memory
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_started_process_maps_the_index(reader: ArchiveReader, tmp_path: Path, method: str) -> None:
    process: BaseProcess = get_context(method).Process(target=_tell, args=(reader, str(tmp_path / "told")))  # type: ignore[attr-defined]
    process.start()
    process.join()
    assert process.exitcode == 0
    found = pickle.loads((tmp_path / "told").read_bytes())
    assert found[:3] == told(reader)[:3]
    assert "memfd:ilsvrc-index" in found[3]
    assert " r--s " in found[3]


def test_elsewhere_a_reader_opens_its_index_again(reader: ArchiveReader) -> None:
    """Sent to a process that runs already, or to another machine."""
    copy = pickle.loads(pickle.dumps(reader))
    assert copy.index.identity == reader.index.identity
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert pool.submit(told, reader).result()[0] == reader.index.identity


@needs_memory
def test_the_memory_can_be_neither_written_nor_cut(reader: ArchiveReader) -> None:
    memory = shared._memory_of(reader.index.table)
    fd = memory.fileno()
    with pytest.raises(PermissionError):
        os.pwrite(fd, b"x", 0)
    for size in (0, 1 << 20):
        with pytest.raises(PermissionError):
            os.ftruncate(fd, size)
    with pytest.raises(PermissionError):
        mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    with pytest.raises(PermissionError):
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    assert shared._memory_of(reader.index.table) is memory


@needs_memory
def test_the_memory_is_given_back_with_the_index(mini: Path) -> None:
    before = len(shared._made)
    index = open_index(FileSource(mini / TRAIN))
    fd = shared._memory_of(index.table).fileno()
    assert len(shared._made) == before + 1
    del index
    gc.collect()
    assert len(shared._made) == before
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
