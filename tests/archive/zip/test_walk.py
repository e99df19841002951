"""The list of members is what zipfile reads of it, whoever wrote the zip; what makes no sense is refused."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ilsvrc.archive.source import FileSource
from ilsvrc.archive.zip import walk as walking
from ilsvrc.archive.zip.directory import find_directory
from ilsvrc.archive.zip.walk import walk
from ilsvrc.errors import ArchiveError

from .zips import WRITERS, directory_of, patched, zipped

Listed = list[tuple[str, int, int, int, int, int]]
"""Name, place, bytes in the zip, bytes, CRC-32 and method of members."""


def listed(path: Path) -> Listed:
    """Return what our reader says of all members."""
    source = FileSource(path)
    found: Listed = []
    for some in walk(source, find_directory(source)):
        columns = (some.offsets, some.packed, some.sizes, some.crcs, some.methods)
        found += zip(some.paths().to_pylist(), *(column.tolist() for column in columns), strict=True)
    return found


def oracle(path: Path) -> Listed:
    """Return what zipfile says of them."""
    with zipfile.ZipFile(path) as archive:
        return [
            (info.filename, info.header_offset, info.compress_size, info.file_size, info.CRC, info.compress_type)
            for info in archive.infolist()
        ]


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("chunk", [1 << 22, 600])
def test_list_is_that_of_zipfile(
    writer: object, chunk: int, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(writer)
    writer(tmp_path / "tree.zip", tree)
    monkeypatch.setattr(walking, "_CHUNK", chunk)
    found = listed(tmp_path / "tree.zip")
    assert found == oracle(tmp_path / "tree.zip")
    assert len(found) >= 36


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0\\/", exclude_categories=["Cs"]), min_size=1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(NAMES, st.binary(max_size=300)), max_size=20, unique_by=lambda pair: pair[0]), st.binary())
def test_any_names_and_any_comment(tmp_path: Path, files: list[tuple[str, bytes]], comment: bytes) -> None:
    path = tmp_path / "any.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files:
            archive.writestr(name, data)
        archive.comment = comment.replace(b"PK", b"pk")
    assert listed(path) == oracle(path)


def test_extra_fields_come_in_any_order(tmp_path: Path) -> None:
    """A zip64 field after others, one of them longer than the record has room for."""
    path = tmp_path / "extra.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(5):
            info = zipfile.ZipInfo(f"a{number}")
            info.extra = struct.pack("<HH5s", 0x5455, 5, b"times") * number
            archive.writestr(info, b"x" * number)
    assert listed(path) == oracle(path)


def test_offsets_beyond_4_gib(tmp_path: Path) -> None:
    """The third member begins beyond 4 GiB: zipfile writes a zip64 field for its place, and the end record."""
    path = far_apart(tmp_path / "far.zip", 3 << 30)
    assert [member[1] for member in listed(path)] == [member[1] for member in oracle(path)]
    assert listed(path)[-1][1] > 6 << 30


def test_offsets_that_were_cut_to_32_bits(tmp_path: Path) -> None:
    """The Finder writes no zip64 whatever the size: what is beyond 4 GiB is stated modulo 2**32."""
    path = far_apart(tmp_path / "far.zip", 3 << 30)
    with zipfile.ZipFile(path) as archive:
        infos, start = archive.infolist(), archive.start_dir
    records = b""
    for info in infos:
        sizes = info.CRC, info.compress_size, info.file_size, len(info.filename), 0, 0, 0, 0, 0
        records += struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 0, *sizes, info.header_offset % (1 << 32))
        records += info.filename.encode()
    with path.open("r+b") as file:
        file.truncate(start)
        file.seek(start)
        file.write(records)
        file.write(struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 3, 3, len(records), start % (1 << 32), 0))
    assert [member[:2] for member in listed(path)] == [(info.filename, info.header_offset) for info in infos]


def far_apart(path: Path, gap: int) -> Path:
    """Write a zip with a hole after each of its first two members."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("first", b"1")
        archive.start_dir += gap  # where zipfile puts the next member
        archive.writestr("second", b"2")
        archive.start_dir += gap
        archive.writestr("third", b"3")
    return path


def test_damaged_list_is_refused_at_its_place(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {f"name{number}": b"data" for number in range(3)})
    start = directory_of(path.read_bytes())
    patched(path, start + 51, b"\0")  # the signature of the second record: the first has 46 bytes and its name
    with pytest.raises(ArchiveError, match="damaged here") as caught:
        listed(path)
    assert caught.value.offset == start + 51


@pytest.mark.parametrize("field", [28, 30, 32])
def test_record_that_is_longer_than_the_list_is_refused(field: int, tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"name": b"data"})
    patched(path, directory_of(path.read_bytes()) + field, b"\xff\xff")
    with pytest.raises(ArchiveError, match="damaged"):
        listed(path)


def test_wrong_number_of_members_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a": b"", "b": b""})
    patched(path, -14, struct.pack("<HH", 3, 3))
    with pytest.raises(ArchiveError, match="says that it has 3 members, and it lists 2"):
        listed(path)


def test_number_of_members_may_have_been_cut_to_16_bits(tmp_path: Path) -> None:
    path = tmp_path / "many.zip"
    count = (1 << 16) + 5
    names = [f"{number:06}".encode() for number in range(count)]
    record = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0)
    records = b"".join(record + name for name in names)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 5, 5, len(records), 36, 0)
    path.write_bytes(b"PK\3\4".ljust(36, b"\0") + records + end)
    assert len(listed(path)) == count


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_is_refused_or_read(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever is in the list and the end record, there is no other error, and no number is beyond its type."""
    path = zipped(tmp_path / "a.zip", {f"name{number}": b"data" for number in range(4)}, zipfile.ZIP_DEFLATED)
    size = path.stat().st_size
    start = directory_of(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        patched(path, data.draw(st.integers(start, size - 1)), data.draw(st.binary(min_size=1, max_size=1)))
    try:
        source = FileSource(path)
        found = [some.offsets for some in walk(source, find_directory(source))]
    except ArchiveError:
        return
    assert all(column.dtype == np.int64 for column in found)
