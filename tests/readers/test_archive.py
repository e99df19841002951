"""An archive under the contract of readers, and what it announces to the system."""

from __future__ import annotations

import os
import pickle
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ilsvrc.archive.source import FileSource
from ilsvrc.errors import ArchiveError, UsageError
from ilsvrc.facts import TRAIN, VAL
from ilsvrc.readers import ahead
from ilsvrc.readers.archive import ArchiveReader
from ilsvrc.readers.locate import open_reader
from ilsvrc.readers.reader import Reader
from ilsvrc.testing.contracts import ReaderContract
from tests.cli.helpers import ilsvrc


def test_what_is_announced_is_what_will_be_read(mini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = ArchiveReader.open(FileSource(mini / TRAIN))
    told: list[tuple[int, int, int]] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda _, *words: told.append(words))
    reader.will_need(np.array([len(reader) - 1, 0]))
    reader.will_need(np.empty(0, np.int64))
    assert all(advice == os.POSIX_FADV_WILLNEED for _, _, advice in told)
    for row in (0, len(reader) - 1):
        start, stop = reader._offsets.item(row), reader._offsets.item(row) + reader.sizes.item(row)
        assert any(at <= start and stop <= at + length for at, length, _ in told)


class TestArchiveReader(ReaderContract):
    @pytest.fixture
    def reader(self, mini: Path, split: str) -> Reader:
        return open_reader(mini, split)


@pytest.fixture
def own(mini: Path, tmp_path: Path) -> Path:
    """Archives that a test may change."""
    return Path(shutil.copytree(mini, tmp_path / "own archives", ignore=shutil.ignore_patterns(".ilsvrc")))


def test_archive_without_digests_can_not_be_verified(own: Path) -> None:
    with pytest.raises(UsageError, match="no digests") as caught:
        open_reader(own, "val", verify=True)
    ilsvrc(*shlex.split(caught.value.hint)[1:])
    assert len(open_reader(own, "val", verify=True)) == 12


def test_memory_of_what_was_taken_is_given_back(mini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "BATCH", 8_000)
    reader = ArchiveReader.open(FileSource(mini / TRAIN))
    rows = reader.storage_order()
    spans = reader.spans(rows).tolist()
    told: list[tuple[int, int, int]] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda _, *words: told.append(words))
    for place, _ in enumerate(reader.take(rows)):
        start, stop = spans[place]
        announced = [(at, at + n) for at, n, advice in told if advice == os.POSIX_FADV_WILLNEED]
        assert any(at <= start and stop <= end for at, end in announced)
        let_go = [(at, at + n) for at, n, advice in told if advice == os.POSIX_FADV_DONTNEED]
        assert not any(at < stop and start < end for at, end in let_go)
    let_go = [(at, at + n) for at, n, advice in told if advice == os.POSIX_FADV_DONTNEED]
    assert len(let_go) > 3
    assert all(any(at <= start and stop <= end for at, end in let_go) for start, stop in spans)


def test_digest_that_is_known_goes_with_the_container(own: Path) -> None:
    (own / "MD5SUMS").unlink()
    [container] = open_reader(own, "val").containers()
    assert container.expected == ()
    (own / "MD5SUMS").write_text(f"{'0' * 32}  {VAL}\n")
    [container] = open_reader(own, "val").containers()
    assert container.path == own / VAL
    assert [str(found.digest) for found in container.expected] == [f"md5:{'0' * 32}"]


def rewrite(archive: Path) -> None:
    """Put other bytes into the file and restore the time of its last change."""
    before = archive.stat()
    with archive.open("r+b") as file:
        file.seek(2_000)
        file.write(b"other bytes")
    os.utime(archive, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(archive: Path) -> None:
    """Put another file of the same size and time in its place, and keep the first one."""
    os.link(archive, archive.with_suffix(".old"))
    shutil.copy2(archive, archive.with_suffix(".new"))
    archive.with_suffix(".new").replace(archive)


def move(archive: Path) -> None:
    archive.rename(archive.with_suffix(".moved"))


@pytest.mark.parametrize("change", [rewrite, replace, move, Path.unlink])
def test_archive_that_changes_is_told(own: Path, change: Callable[[Path], None]) -> None:
    reader = open_reader(own, "train")
    data = pickle.dumps(reader)
    reader.require_unchanged()
    change(own / TRAIN)
    with pytest.raises(ArchiveError):
        reader.require_unchanged()
    with pytest.raises(ArchiveError):
        pickle.loads(data)


def test_identity_survives_a_copy(own: Path, mini: Path) -> None:
    assert open_reader(own, "val").identity == open_reader(mini, "val").identity
    assert open_reader(own, "val").identity != open_reader(mini, "train").identity
