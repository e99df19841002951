"""Walks that ask for many headers at a time find what the walk from header to header finds."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from ilsvrc.archive import apart
from ilsvrc.archive.build import build_index
from ilsvrc.archive.source import FileSource
from ilsvrc.archive.tar import Extent
from ilsvrc.archive.walk import inner_walks, walk
from ilsvrc.errors import ArchiveError
from ilsvrc.facts import TRAIN, VAL


class Far(FileSource):
    """A file that is read as an archive in a store: many reads at a time, each counted."""

    at_once = 16

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.reads: list[tuple[int, int]] = []

    def read(self, offset: int, length: int) -> bytes:
        self.reads.append((offset, length))
        return super().read(offset, length)


def tar_of(files: dict[str, bytes]) -> bytes:
    """Return a tar that the standard library writes."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return file.getvalue()


def images(count: int, longest: int, seed: int = 0) -> dict[str, bytes]:
    """Return validation images of random bytes and sizes."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, longest, count).tolist()
    return {f"ILSVRC2012_val_{n:08}.JPEG": rng.bytes(size) for n, size in enumerate(sizes, 1)}


def walked(path: Path) -> tuple[list[str], list[int], list[int], Far]:
    source = Far(path)
    with inner_walks(source) as inner:
        found = walk(source, Extent(0, source.size), inner)
    return found.names, found.offsets.tolist(), found.sizes.tolist(), source


def truth(path: Path) -> tuple[list[str], list[int], list[int]]:
    found = walk(FileSource(path), Extent(0, path.stat().st_size))
    return found.names, found.offsets.tolist(), found.sizes.tolist()


@pytest.mark.parametrize("longest", [50, 3_000, 60_000])
def test_segments_are_joined(longest: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "SEGMENT", 20_000)
    monkeypatch.setattr(apart, "WINDOW", 4096)
    path = tmp_path / VAL
    path.write_bytes(tar_of(images(200, longest)))
    *found, source = walked(path)
    assert found == [*truth(path)]
    assert any(offset > source.size // 2 for offset, _ in source.reads[:40]), "many places are read from the begin"


def test_a_tar_within_an_image_is_no_part_of_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments begin within images that hold whole tars: their headers look right, and no walk arrives at them."""
    monkeypatch.setattr(apart, "SEGMENT", 20_000)
    decoy = tar_of({f"ILSVRC2012_val_{n:08}.JPEG": b"decoy" * 50 for n in range(1, 60)})
    files = images(60, 3_000)
    for name in list(files)[::3]:
        files[name] = b"\xff\xd8\xff" + bytes(509) + decoy
    path = tmp_path / VAL
    path.write_bytes(tar_of(files))
    *found, _ = walked(path)
    assert found == [*truth(path)]
    assert found[0] == list(files)


def test_many_small_members_take_few_requests(tmp_path: Path) -> None:
    path = tmp_path / VAL
    path.write_bytes(tar_of(images(1000, 400)))
    *found, source = walked(path)
    assert found == [*truth(path)]
    assert len(source.reads) < 1000 / 20


def test_class_archives_are_walked_while_the_outer_is(mini: Path) -> None:
    source = Far(mini / TRAIN)
    assert build_index(source).table.equals(build_index(FileSource(mini / TRAIN)).table)


def test_a_fault_is_the_same(tmp_path: Path, mini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "SEGMENT", 4096)
    for name in (TRAIN, VAL):
        data = bytearray((mini / name).read_bytes())
        for cut in (len(data) // 2, len(data) // 3):
            (tmp_path / name).write_bytes(data[:cut])
            with pytest.raises(ArchiveError) as ours:
                build_index(Far(tmp_path / name))
            with pytest.raises(ArchiveError) as theirs:
                build_index(FileSource(tmp_path / name))
            assert (ours.value.code, ours.value.member, ours.value.offset) == (
                theirs.value.code,
                theirs.value.member,
                theirs.value.offset,
            )
