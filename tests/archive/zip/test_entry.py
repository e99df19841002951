"""The bytes of one member: what zipfile wrote, or an error that says what is wrong with it."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ilsvrc.archive.source import FileSource
from ilsvrc.archive.zip.entry import LONGEST_HEADER, BadMember, Entry, local_name, unpacked

from .zips import patched, zipped

METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]


def entry_of(path: Path, number: int = 0) -> Entry:
    """Return what zipfile says of a member."""
    with zipfile.ZipFile(path) as archive:
        info = archive.infolist()[number]
    room = min(info.compress_size + LONGEST_HEADER, path.stat().st_size - info.header_offset)
    return Entry(info.header_offset, room, info.compress_size, info.file_size, info.CRC, info.compress_type)


def read(path: Path, entry: Entry, name: bytes = b"name") -> bytes:
    return unpacked(FileSource(path), entry, lambda found: found == name)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=5000), st.sampled_from(METHODS))
def test_bytes_are_those_that_were_written(tmp_path: Path, data: bytes, method: int) -> None:
    path = zipped(tmp_path / "a.zip", {"name": data}, method)
    assert read(path, entry_of(path)) == data


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.sampled_from(METHODS))
def test_no_damage_goes_unnoticed(tmp_path: Path, data: st.DataObject, method: int) -> None:
    """Any byte of a member is changed: either it is refused, or the bytes are right all the same."""
    written = b"Some text that can be compressed, and can be compressed." * 3
    path = zipped(tmp_path / "a.zip", {"name": written}, method)
    entry = entry_of(path)
    at = data.draw(st.integers(0, 34 + entry.packed - 1))
    patched(path, at, bytes([path.read_bytes()[at] ^ data.draw(st.integers(1, 255))]))
    try:
        assert read(path, entry) == written
    except BadMember:
        return
    assert at < 30, "in a field of the header that does not matter, as the time"


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, b"PK\1\2", "not where"),
        (6, b"\1\0", "contradict"),  # encrypted
        (8, b"\x0c\0", "contradict"),  # bzip2
        (14, b"\0\0\0\0", "contradict"),  # CRC-32
        (22, b"\1\0\0\0", "contradict"),  # size
        (26, b"\xff\xff", "reach into"),  # length of the name
        (30, b"Name", "another name"),
        (40, b"\0", "CRC-32"),
    ],
)
def test_what_is_wrong_is_said(at: int, value: bytes, message: str, tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"name": b"the bytes of a member"})
    entry = entry_of(path)
    patched(path, at, value)
    with pytest.raises(BadMember, match=message):
        read(path, entry._replace(room=34 + entry.packed))


def test_sizes_that_follow_the_data_are_not_compared(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"name": b"data"})
    entry = entry_of(path)
    patched(path, 6, b"\x08\0")
    patched(path, 14, bytes(12))
    assert read(path, entry) == b"data"


def test_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """A member of 100 MB says that it has 1 kB: no more than these are unpacked."""
    path = zipped(tmp_path / "a.zip", {"name": bytes(100_000_000)}, zipfile.ZIP_DEFLATED)
    entry = entry_of(path)._replace(size=1000, crc=zlib.crc32(bytes(1000)))
    patched(path, 14, struct.pack("<I", entry.crc))
    patched(path, 22, struct.pack("<I", 1000))
    with pytest.raises(BadMember, match="more than the 1,000 bytes"):
        read(path, entry)


def test_too_few_bytes_are_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"name": b"data" * 10}, zipfile.ZIP_DEFLATED)
    patched(path, 22, struct.pack("<I", 1000))
    with pytest.raises(BadMember, match="fewer than the 1,000 bytes"):
        read(path, entry_of(path)._replace(size=1000))


def test_name_of_a_header_is_read(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"folder/näme": b""})
    assert local_name(path.read_bytes()) == "folder/näme"
    assert local_name(b"") == local_name(bytes(100)) == ""
