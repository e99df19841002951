"""Pieces of a long tar, against the standard library's tarfile."""

from __future__ import annotations

import io
import tarfile
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ilsvrc.archive.source import FileSource
from ilsvrc.archive.tar import Extent, Members, Walk
from ilsvrc.errors import ArchiveError
from ilsvrc.readers.tars import walk
from tests.readers.tars.writers import run

NAMES = st.one_of(
    st.sampled_from(["./train/n01440764/", "val/", "a/b/", ""]).flatmap(
        lambda folder: st.integers(1, 10**6).map(lambda number: f"{folder}n01440764_{number}.JPEG")
    ),
    st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=60).filter(
        lambda name: name not in (".", "..")
    ),
    st.just("x" * 140),
)
MEMBERS = st.lists(
    st.tuples(
        NAMES, st.sampled_from([tarfile.REGTYPE] * 6 + [tarfile.DIRTYPE, tarfile.SYMTYPE]), st.integers(0, 1500)
    ),
    max_size=40,
)
FORMATS = st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])


def written(members: list[tuple[str, bytes, int]], form: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, kind, size in members:
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, size if kind == tarfile.REGTYPE else 0
            info.mtime = size + 0.5 if size % 3 == 0 else size
            archive.addfile(info, io.BytesIO(bytes([size % 251]) * size))
    return out.getvalue()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(MEMBERS, FORMATS, st.sampled_from([1, 16, 64, 1 << 14]))
def test_finds_the_files_that_tarfile_finds(
    tmp_path: Path, members: list[tuple[str, bytes, int]], form: int, piece: int
) -> None:
    data = written(members, form)
    path = tmp_path / "x.tar"
    path.write_bytes(data)
    with tarfile.open(path) as archive:
        wanted = [
            (info.name, info.offset_data, info.size)
            for info in archive
            if info.isreg() and not info.name.rpartition("/")[2].startswith("._")
        ]
    links = {name for name, kind, _ in members if kind == tarfile.SYMTYPE and not walk.is_other(name)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walk, "PIECE", piece)
        if links:
            with pytest.raises(ArchiveError, match="symlink") as caught:
                list(walk.pieces(FileSource(path), Extent(0, len(data))))
            assert caught.value.member.rpartition("/")[2] in {name.rpartition("/")[2] for name in links}
            return
        found = list(walk.pieces(FileSource(path), Extent(0, len(data))))
    rows = [
        (name, offset, size)
        for some in found
        for name, offset, size in zip(some.paths.to_pylist(), some.offsets.tolist(), some.sizes.tolist(), strict=True)
    ]
    assert [(_plain(name), offset, size) for name, offset, size in rows] == [
        (_plain(name), offset, size) for name, offset, size in wanted
    ]


def _plain(name: str) -> str:
    return "/".join(part for part in name.split("/") if part not in ("", "."))


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Three thousand plain members with folders between them, enough for pieces."""
    path = tmp_path / "many.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        for number in range(3000):
            if number % 100 == 0:
                folder = tarfile.TarInfo(f"train/{number}")
                folder.type = tarfile.DIRTYPE
                archive.addfile(folder)
            info = tarfile.TarInfo(f"train/n01440764/{'._' if number % 500 == 7 else ''}n01440764_{number}.JPEG")
            info.size = number % 700
            archive.addfile(info, io.BytesIO(bytes(info.size)))
    return path


def test_plain_headers_are_read_as_arrays(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "PIECE", 1000)
    careful = walk._careful_piece
    walked: list[int] = []

    def _noted(way: Walk) -> Members:
        walked.append(way.position)
        return careful(way)

    monkeypatch.setattr(walk, "_careful_piece", _noted)
    found = list(walk.pieces(FileSource(many), Extent(0, many.stat().st_size)))
    with tarfile.open(many) as archive:
        wanted = [(i.name, i.offset_data, i.size) for i in archive if i.isreg() and "._" not in i.name]
    paths = [name for some in found for name in some.paths.to_pylist()]
    offsets, sizes = (np.concatenate([getattr(some, key) for some in found]) for key in ("offsets", "sizes"))
    assert list(zip(paths, offsets.tolist(), sizes.tolist(), strict=True)) == wanted
    assert len(walked) == 1  # the end alone


@pytest.mark.parametrize(
    ("at", "value", "code"),
    [
        (0, b"X", "bad-checksum"),
        (148, b"7777777", "bad-checksum"),
        (124, b"00000001000", "bad-"),
        (156, b"S", "bad-"),
    ],
)
def test_damage_in_the_middle_is_found_where_it_is(
    many: Path, at: int, value: bytes, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "PIECE", 500)
    with tarfile.open(many) as archive:
        place = archive.getmembers()[1700].offset
    with many.open("r+b") as file:
        file.seek(place + at)
        file.write(value)
    with pytest.raises(ArchiveError, match=code) as caught:
        list(walk.pieces(FileSource(many), Extent(0, many.stat().st_size)))
    assert caught.value.offset == place


def test_headers_are_read_ahead_where_the_disk_is_slow(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = list(walk.pieces(FileSource(many), Extent(0, many.stat().st_size)))
    monkeypatch.setattr(walk, "PIECE", 500)
    monkeypatch.setattr(walk, "AHEAD", 10_000)
    monkeypatch.setattr(walk, "_SLOW", 0)
    before = threading.active_count()
    read: dict[int, set[int]] = {}
    plain = FileSource.read

    def _noted(source: FileSource, offset: int, length: int) -> bytes:
        if length == 512:
            read.setdefault(threading.get_ident(), set()).add(offset)
        return plain(source, offset, length)

    monkeypatch.setattr(FileSource, "read", _noted)
    found = list(walk.pieces(FileSource(many), Extent(0, many.stat().st_size)))
    assert pa.concat_arrays([some.paths for some in found]).equals(pa.concat_arrays([some.paths for some in wanted]))
    assert threading.active_count() == before
    walked = read.pop(threading.get_ident())
    ahead = set().union(*read.values())
    assert ahead <= walked  # nothing but true headers
    assert len(ahead) > 500


@pytest.mark.parametrize("cut", [1, 700, 10_000, 400_000])
def test_cut_short(many: Path, cut: int) -> None:
    size = many.stat().st_size - 8000 - cut
    with many.open("r+b") as file:
        file.truncate(size)
    with pytest.raises(ArchiveError, match="truncated-archive"):
        list(walk.pieces(FileSource(many), Extent(0, size)))


def test_second_archive_behind_the_end_is_told(many: Path) -> None:
    with many.open("ab") as file:
        file.write(many.read_bytes())
    with pytest.raises(ArchiveError, match="trailing-data"):
        list(walk.pieces(FileSource(many), Extent(0, many.stat().st_size)))


def test_sparse_members_are_refused(tmp_path: Path) -> None:
    with (tmp_path / "n01440764_1.JPEG").open("wb") as file:
        file.truncate(1 << 20)
        file.seek(1 << 19)
        file.write(b"data")
    for form in ("gnu", "pax"):
        path = tmp_path / f"{form}.tar"
        run("tar", f"--format={form}", "-S", "-cf", path, "-C", tmp_path, "n01440764_1.JPEG")
        with pytest.raises(ArchiveError, match="sparse"):
            list(walk.pieces(FileSource(path), Extent(0, path.stat().st_size)))
