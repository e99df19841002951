"""The fast walk says what the careful one says: of every tar, whole or damaged."""

from __future__ import annotations

import io
import tarfile
import time
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ilsvrc.archive.walk
from ilsvrc.archive.source import FileSource
from ilsvrc.archive.tar import Extent, Members
from ilsvrc.archive.tar import walk as walk_with_care
from ilsvrc.archive.walk import walk, walk_all
from ilsvrc.errors import ArchiveError
from tests.archive.test_tar import FORMATS, entries, tar_bytes

Outcome = tuple[list[str], list[int], list[int]] | str

plain_entries = st.lists(
    st.tuples(st.text("nab019_ -", min_size=1, max_size=99), st.binary(max_size=1500), st.just("file")),
    min_size=1,
    max_size=8,
    unique_by=lambda entry: entry[0],
)


def outcome(walk: object, path: Path, lead: int = 0) -> Outcome:
    assert callable(walk)
    try:
        found = walk(FileSource(path), Extent(512 * lead, path.stat().st_size, "inner.tar"))
    except ArchiveError as error:
        return f"{error.code} {error}"
    assert isinstance(found, Members)
    return found.names, found.offsets.tolist(), found.sizes.tolist()


def never(*_: object) -> Members:
    raise AssertionError("walked with care")


@given(plain_entries, st.sampled_from(FORMATS), st.integers(0, 2))
def test_plain_tars_are_not_walked_twice(
    tmp_path_factory: pytest.TempPathFactory,
    entries: list[tuple[str, bytes, str]],
    form: Literal[0, 1, 2],
    lead: int,
) -> None:
    path = tmp_path_factory.mktemp("plain") / "a.tar"
    path.write_bytes(bytes(512 * lead) + tar_bytes(entries, form))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ilsvrc.archive.walk, "walk_with_care", never)
        found = outcome(walk, path, lead)
    assert found == outcome(walk_with_care, path, lead)
    assert found[0] == [name for name, _, _ in entries]


@given(entries, st.sampled_from(FORMATS))
def test_any_tar_gives_what_the_careful_walk_gives(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, bytes, str]], form: Literal[0, 1, 2]
) -> None:
    path = tmp_path_factory.mktemp("any") / "a.tar"
    path.write_bytes(tar_bytes(entries, form))
    assert outcome(walk, path) == outcome(walk_with_care, path)


extra_entries = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["/", "./", "val/", "/val/", "../x/"]), st.just(b""), st.just("folder")),
        st.tuples(
            st.sampled_from(["._a", "./._b", "val/._c", ".d", "n1_1.JPEG"]), st.binary(max_size=600), st.just("file")
        ),
    ),
    max_size=6,
)


@given(extra_entries, st.sampled_from(FORMATS))
def test_folders_and_what_macos_adds_are_the_same_to_both_walks(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, bytes, str]], form: Literal[0, 1, 2]
) -> None:
    path = tmp_path_factory.mktemp("extra") / "a.tar"
    path.write_bytes(tar_bytes(entries, form))
    found = outcome(walk, path)
    assert found == outcome(walk_with_care, path)
    wanted = [name for name, _, kind in entries if kind == "file" and "._" not in name]
    leads_out = any(name.startswith("..") for name, _, _ in entries)
    assert isinstance(found, str) if leads_out else found[0] == wanted


@given(plain_entries, st.data())
def test_changed_bytes_give_what_the_careful_walk_gives(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, bytes, str]], data: st.DataObject
) -> None:
    """With and without a checksum that is right again, as a malicious writer would make it."""
    changed = bytearray(tar_bytes(entries))
    with tarfile.open(fileobj=io.BytesIO(changed)) as archive:
        place = data.draw(st.sampled_from([member.offset for member in archive]))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.one_of(st.integers(0, 511), st.sampled_from([0, 99, 124, 135, 148, 154, 155, 156, 345])))
        changed[place + at] = data.draw(st.one_of(st.integers(0, 255), st.sampled_from(b"\0 -_/.0185")))
    if data.draw(st.booleans()):
        header = changed[place : place + 512]
        changed[place + 148 : place + 156] = b"%06o\0 " % (sum(header) - sum(header[148:156]) + 256)
    path = tmp_path_factory.mktemp("changed") / "a.tar"
    path.write_bytes(changed)
    assert outcome(walk, path) == outcome(walk_with_care, path)


@given(plain_entries, st.data())
def test_a_cut_or_longer_tar_gives_what_the_careful_walk_gives(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, bytes, str]], data: st.DataObject
) -> None:
    whole = tar_bytes(entries)
    cut = data.draw(st.integers(0, len(whole)))
    path = tmp_path_factory.mktemp("cut") / "a.tar"
    path.write_bytes(whole[:cut] + data.draw(st.sampled_from([b"", bytes(3 << 20), b"x", bytes(512) + whole])))
    assert outcome(walk, path) == outcome(walk_with_care, path)


@pytest.mark.parametrize("size", [b"-0000001000", b"0000001_000", b"+0000001000", b"    0001000", b"00000010 00"])
def test_what_int_would_take_for_a_size_is_walked_with_care(size: bytes, tmp_path: Path) -> None:
    data = bytearray(tar_bytes([("a", bytes(512), "file"), ("b", b"", "file")]))
    data[124:135] = size
    data[148:156] = b"%06o\0 " % (sum(data[:512]) - sum(data[148:156]) + 256)
    path = tmp_path / "a.tar"
    path.write_bytes(data)
    assert outcome(walk, path) == outcome(walk_with_care, path)


@given(
    st.lists(st.tuples(entries, st.sampled_from(FORMATS)), min_size=1, max_size=7), st.booleans(), st.integers(1, 3)
)
def test_many_tars_at_once_are_what_each_is_alone(
    tmp_path_factory: pytest.TempPathFactory,
    tars: list[tuple[list[tuple[str, bytes, str]], Literal[0, 1, 2]]],
    slow: bool,
    together: int,
) -> None:
    path, data = tmp_path_factory.mktemp("many") / "outer", b""
    extents: list[Extent] = []
    for some, form in tars:
        inner = tar_bytes(some, form)
        extents.append(Extent(len(data), len(data) + len(inner), f"{len(extents)}.tar"))
        data += inner
    path.write_bytes(data)
    source = FileSource(path)
    found = list(walk_all(source, extents, together=together, slow=-1 if slow else 1))  # all are announced, or none
    alone = [walk_with_care(source, extent) for extent in extents]
    assert [(f.names, f.offsets.tolist(), f.sizes.tolist()) for f in found] == [
        (a.names, a.offsets.tolist(), a.sizes.tolist()) for a in alone
    ]


def test_reads_that_wait_are_announced_a_turn_at_a_time(tmp_path: Path) -> None:
    inner = tar_bytes([(f"{i}", b"x", "file") for i in range(5)])
    (tmp_path / "outer").write_bytes(inner * 3)
    heard: list[str] = []

    class Slow(FileSource):
        def read(self, offset: int, length: int) -> bytes:
            heard.append("read")
            time.sleep(0.001)
            return super().read(offset, length)

        def will_need(self, offset: int, length: int) -> None:
            heard.append("announce")

    extents = [Extent(i * len(inner), (i + 1) * len(inner)) for i in range(3)]
    assert [len(members.names) for members in walk_all(Slow(tmp_path / "outer"), extents)] == [5, 5, 5]
    assert heard[:9] == ["read"] * 3 + ["announce"] * 3 + ["read"] * 3
