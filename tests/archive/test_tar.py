"""The walk against the standard library's tarfile, and what it refuses."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ilsvrc.archive.source import FileSource
from ilsvrc.archive.tar import Extent, Members, walk
from ilsvrc.errors import ArchiveError
from ilsvrc.issues import Code

FORMATS: tuple[Literal[0, 1, 2], ...] = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)

names = st.lists(
    st.text("abcdefghijklmnopqrstuvwxyz0123456789_.-\u00e9\u65e5 ", min_size=1, max_size=60).filter(
        lambda s: s.strip(". ")
    ),
    min_size=1,
    max_size=4,
).map("/".join)
entries = st.lists(
    st.tuples(names, st.binary(max_size=1500), st.sampled_from(["file", "folder"])),
    max_size=12,
    unique_by=lambda e: e[0],
)


def tar_bytes(entries: list[tuple[str, bytes, str]], form: Literal[0, 1, 2] = tarfile.GNU_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, data, kind in entries:
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE if kind == "folder" else tarfile.REGTYPE
            info.size = 0 if kind == "folder" else len(data)
            try:
                archive.addfile(info, io.BytesIO(data))
            except ValueError:  # ustar can't hold every long name
                continue
    return out.getvalue()


def walked(data: bytes, folder: Path, start: int = 0) -> Members:
    path = folder / "a.tar"
    path.write_bytes(data)
    return walk(FileSource(path), Extent(start, len(data)))


def plain(name: str) -> str:
    return "/".join(part for part in name.split("/") if part not in ("", "."))


@given(entries, st.sampled_from(FORMATS), st.integers(0, 3))
def test_walk_finds_what_tarfile_finds(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, bytes, str]], form: Literal[0, 1, 2], lead: int
) -> None:
    data = tar_bytes(entries, form)
    found = walked(bytes(512 * lead) + data, tmp_path_factory.mktemp("walk"), 512 * lead)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        files = [member for member in archive if member.isreg()]
    files = [m for m in files if not plain(m.name).rpartition("/")[2].startswith("._")]
    assert found.names == [plain(member.name) for member in files]
    assert found.offsets.tolist() == [member.offset_data + 512 * lead for member in files]
    assert found.sizes.tolist() == [member.size for member in files]


@given(st.integers(0, 2**63 - 1), st.sampled_from(FORMATS[1:]))
def test_sizes_of_any_magnitude_are_read_as_tarfile_reads_them(size: int, form: Literal[0, 1, 2]) -> None:
    from ilsvrc.archive.header import size_field

    info = tarfile.TarInfo("a")
    info.size = size if form == tarfile.GNU_FORMAT else size % 8**11
    header = info.tobuf(form)[-512:]
    assert size_field(header) == tarfile.TarInfo.frombuf(header, "utf-8", "strict").size


@given(entries.filter(bool), st.data())
def test_a_cut_archive_is_refused_wherever_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, bytes, str]], data: st.DataObject
) -> None:
    whole = tar_bytes(entries)
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        members = archive.getmembers()
    if not members:
        return
    last = members[-1]
    end = last.offset_data + (last.size + 511) // 512 * 512 if last.isreg() else last.offset_data
    cut = data.draw(st.integers(0, end + 1023))
    with pytest.raises(ArchiveError):
        walked(whole[:cut], tmp_path_factory.mktemp("cut"))


@given(entries.filter(bool), st.data())
def test_a_flipped_bit_in_any_header_is_refused(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, bytes, str]], data: st.DataObject
) -> None:
    whole = bytearray(tar_bytes(entries))
    with tarfile.open(fileobj=io.BytesIO(bytes(whole))) as archive:
        offsets = [member.offset for member in archive]
    if not offsets:
        return
    at = data.draw(st.sampled_from(offsets)) + data.draw(st.integers(0, 511).filter(lambda i: not 148 <= i < 156))
    whole[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ArchiveError):
        walked(bytes(whole), tmp_path_factory.mktemp("flip"))


LINKS = {
    tarfile.SYMTYPE: Code.SYMLINK,
    tarfile.LNKTYPE: Code.HARD_LINK,
    tarfile.CHRTYPE: Code.DEVICE,
    tarfile.BLKTYPE: Code.DEVICE,
    tarfile.FIFOTYPE: Code.DEVICE,
    tarfile.GNUTYPE_SPARSE: Code.SPARSE,
    b"V": Code.UNKNOWN_MEMBER,
}


@pytest.mark.parametrize(("kind", "code"), LINKS.items(), ids=[str(code) for code in LINKS.values()])
def test_members_that_are_no_files_are_refused(tmp_path: Path, kind: bytes, code: Code) -> None:
    info = tarfile.TarInfo("n01440764_1.JPEG")
    info.type, info.linkname = kind, "../../etc/passwd"
    data = tar_bytes([("a", b"x", "file")])[:1024] + info.tobuf(tarfile.GNU_FORMAT) + bytes(1024)
    with pytest.raises(ArchiveError) as caught:
        walked(data, tmp_path)
    assert caught.value.code is code
    assert caught.value.offset == 1024
    assert caught.value.member == "n01440764_1.JPEG"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("../evil", Code.PATH_TRAVERSAL),
        ("a/../../evil", Code.PATH_TRAVERSAL),
        ("..", Code.PATH_TRAVERSAL),
        ("/evil", Code.ABSOLUTE_PATH),
        ("//evil", Code.ABSOLUTE_PATH),
    ],
)
def test_paths_that_leave_their_folder_are_refused(tmp_path: Path, name: str, code: Code) -> None:
    with pytest.raises(ArchiveError) as caught:
        walked(tar_bytes([(name, b"x", "file")]), tmp_path)
    assert caught.value.code is code


@pytest.mark.parametrize("name", ["/", "./", "val/", "/val/", "val/train/"])
@pytest.mark.parametrize("form", FORMATS)
def test_a_folder_is_skipped_wherever_it_says_that_it_lies(tmp_path: Path, name: str, form: Literal[0, 1, 2]) -> None:
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE
    old = tarfile.TarInfo(name)
    old.type = tarfile.AREGTYPE  # a writer before POSIX: the slash alone says that it is a folder
    for header in (info.tobuf(form), old.tobuf(form)):
        found = walked(header + tar_bytes([("a.JPEG", b"x", "file")], form), tmp_path)
        assert (found.names, found.sizes.tolist()) == (["a.JPEG"], [1])


def test_a_folder_that_leads_out_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError) as caught:
        walked(tar_bytes([("../evil", b"", "folder"), ("a.JPEG", b"x", "file")]), tmp_path)
    assert caught.value.code is Code.PATH_TRAVERSAL


@pytest.mark.parametrize("name", ["._a.JPEG", "./._a.JPEG", "val/._a.JPEG", "._"])
def test_what_macos_adds_of_its_own_is_skipped(tmp_path: Path, name: str) -> None:
    found = walked(tar_bytes([(name, b"Mac OS X", "file"), ("a.JPEG", b"x", "file")]), tmp_path)
    assert (found.names, found.offsets.tolist()) == (["a.JPEG"], [3 * 512])


def test_a_link_is_refused_under_a_name_of_macos_too(tmp_path: Path) -> None:
    info = tarfile.TarInfo("._a.JPEG")
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with pytest.raises(ArchiveError) as caught:
        walked(info.tobuf() + tar_bytes([("a.JPEG", b"x", "file")]), tmp_path)
    assert caught.value.code is Code.SYMLINK


def test_a_global_pax_header_is_skipped(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "by git"}) as archive:
        info = tarfile.TarInfo("a.JPEG")
        info.size = 1
        archive.addfile(info, io.BytesIO(b"x"))
    assert out.getvalue()[156:157] == tarfile.XGLTYPE
    assert walked(out.getvalue(), tmp_path).names == ["a.JPEG"]


def test_two_dots_within_a_name_are_no_way_out(tmp_path: Path) -> None:
    assert walked(tar_bytes([("a..b", b"x", "file")]), tmp_path).names == ["a..b"]


def test_a_member_must_end_within_its_archive_even_if_the_file_goes_on(tmp_path: Path) -> None:
    data = tar_bytes([("a", bytes(2000), "file")])
    (tmp_path / "a.tar").write_bytes(data + data)
    with pytest.raises(ArchiveError) as caught:
        walk(FileSource(tmp_path / "a.tar"), Extent(0, 1024))
    assert caught.value.code is Code.TRUNCATED_ARCHIVE


def test_a_negative_size_is_refused(tmp_path: Path) -> None:
    header = bytearray(tarfile.TarInfo("a").tobuf())
    header[124:136] = b"-0000000512\0"
    total = sum(header[:148]) + sum(header[156:]) + 8 * 32
    header[148:156] = b"%06o\0 " % total
    with pytest.raises(ArchiveError) as caught:
        walked(bytes(header) + bytes(1024), tmp_path)
    assert caught.value.code is Code.BAD_HEADER


def test_old_writers_signed_checksums_are_accepted(tmp_path: Path) -> None:
    header = bytearray(tarfile.TarInfo("\u00e9").tobuf(tarfile.USTAR_FORMAT, "latin-1"))
    signed = sum(b - 256 if b > 127 else b for i, b in enumerate(header) if not 148 <= i < 156) + 8 * 32
    header[148:156] = b"%06o\0 " % signed
    assert tarfile.TarInfo.frombuf(bytes(header), "latin-1", "strict").name == "\u00e9"
    assert len(walked(bytes(header) + bytes(1024), tmp_path).names) == 1


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", Code.NOT_TAR),
        (b"hello" * 300, Code.NOT_TAR),
        (b"<!DOCTYPE html><html>login</html>", Code.HTML_PAGE),
        (b"\n <html>" + b"x" * 2000, Code.HTML_PAGE),
        (gzip.compress(bytes(9000)) + bytes(2000), Code.COMPRESSED),
        (b"PK\x03\x04" + bytes(2000), Code.COMPRESSED),
        (tar_bytes([("a", b"x", "file")]) * 2, Code.TRAILING_DATA),
        (tar_bytes([("a", b"x", "file")])[:1024], Code.TRUNCATED_ARCHIVE),
        (tar_bytes([("a", b"x", "file")])[: 1024 + 512], Code.TRUNCATED_ARCHIVE),
    ],
    ids=["empty", "text", "page", "page after space", "gzip", "zip", "twice", "no marker", "half a marker"],
)
def test_what_is_no_whole_tar_is_named(tmp_path: Path, data: bytes, code: Code) -> None:
    with pytest.raises(ArchiveError) as caught:
        walked(data, tmp_path)
    assert caught.value.code is code
    assert caught.value.hint


def test_a_pax_header_that_lies_about_its_length_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("./PaxHeaders/a")
    info.type, info.size = tarfile.XHDTYPE, 20
    data = info.tobuf() + b"999 path=b\n".ljust(512, b"\0") + tar_bytes([("a", b"x", "file")])
    with pytest.raises(ArchiveError) as caught:
        walked(data, tmp_path)
    assert caught.value.code is Code.BAD_HEADER


def test_an_extension_header_as_large_as_an_image_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2 << 20
    with pytest.raises(ArchiveError) as caught:
        walked(info.tobuf() + bytes(2 << 20) + tar_bytes([("a", b"x", "file")]), tmp_path)
    assert caught.value.code is Code.BAD_HEADER


@pytest.mark.parametrize("size", ["9" * 5000, "-1", "1e3", "\u0663", ""])
def test_a_pax_size_that_is_no_number_is_refused(tmp_path: Path, size: str) -> None:
    body = f"size={size}\n".encode()
    record = next(r for n in range(len(body) + 2, len(body) + 9) if len(r := b"%d %s" % (n, body)) == n)
    info = tarfile.TarInfo("./PaxHeaders/a")
    info.type, info.size = tarfile.XHDTYPE, len(record)
    padded = record + bytes(-len(record) % 512)
    with pytest.raises(ArchiveError) as caught:
        walked(info.tobuf() + padded + tar_bytes([("a", b"x", "file")]), tmp_path)
    assert caught.value.code is Code.BAD_HEADER
