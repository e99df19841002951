from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ilsvrc.testing.tarball import (
    MTIME,
    Entry,
    TarWriter,
    gnu_long_name,
    header,
    pax_header,
    pax_record,
    with_base256_size,
    with_checksum_too_high,
)
from tests.testing.helpers import files, members

NAME = "n01440764_18.JPEG"
names = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=90)


def tar(*entries: Entry) -> bytes:
    buffer = io.BytesIO()
    writer = TarWriter(buffer)
    for entry in entries:
        writer.add(entry, entry.payload())
    writer.close()
    return buffer.getvalue()


@given(st.dictionaries(names, st.binary(max_size=1500), max_size=5))
def test_what_goes_in_comes_out(contents: dict[str, bytes]) -> None:
    data = tar(*(Entry(name, lambda payload=payload: payload) for name, payload in contents.items()))  # type: ignore[misc]
    assert files(data) == contents
    assert len(data) % tarfile.RECORDSIZE == 0


@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=3))
def test_a_nested_tar_is_padded_on_its_own(payloads: list[bytes]) -> None:
    buffer = io.BytesIO(b"something before")
    buffer.seek(0, io.SEEK_END)
    outer = TarWriter(buffer)
    for place, payload in enumerate(payloads):
        with outer.nested(f"{place}.tar"):
            inner = TarWriter(buffer)
            inner.add(Entry(NAME), payload)
            inner.close()
    outer.close()
    found = files(buffer.getvalue()[len(b"something before") :])
    assert [files(data)[NAME] for data in found.values()] == payloads
    assert {len(data) % tarfile.RECORDSIZE for data in found.values()} == {0}


def test_gnu_tar_reads_it(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar(Entry("a/", kind=tarfile.DIRTYPE), Entry("a/b", lambda: b"data")))
    listed = subprocess.run(["tar", "tf", tmp_path / "a.tar"], capture_output=True, check=True, text=True)
    assert listed.stdout.split() == ["a/", "a/b"]
    assert listed.stderr == ""


@pytest.mark.parametrize("record", [gnu_long_name, pax_header])
def test_a_record_before_a_member_names_it(record: type[Entry]) -> None:
    [(member, data)] = members(tar(record("another_name.JPEG"), Entry(NAME, lambda: b"data")))
    assert (member.name, data) == ("another_name.JPEG", b"data")


def test_a_pax_record_tells_the_time_as_well() -> None:
    [(member, _)] = members(tar(pax_header(NAME), Entry(NAME)))
    assert member.mtime == MTIME + 0.25


@given(st.text(min_size=1, max_size=120).filter(lambda text: "\0" not in text))
def test_a_pax_record_counts_itself(value: str) -> None:
    record = pax_record("path", value)
    length, _, rest = record.partition(b" ")
    assert int(length) == len(record)
    assert rest == f"path={value}\n".encode()


@given(st.integers(0, 8**11 - 1))
def test_a_size_in_base_256_is_the_same_size(size: int) -> None:
    block = with_base256_size(header(Entry(NAME), size))
    assert block[124] == 0x80
    assert tarfile.TarInfo.frombuf(block, "utf-8", "strict").size == size


def test_a_wrong_checksum_is_the_only_thing_wrong() -> None:
    right = header(Entry(NAME), 5)
    wrong = with_checksum_too_high(right)
    assert int(wrong[148:154], 8) == int(right[148:154], 8) + 1
    assert wrong[:148] + wrong[156:] == right[:148] + right[156:]
    with pytest.raises(tarfile.HeaderError):
        tarfile.TarInfo.frombuf(wrong, "utf-8", "strict")
