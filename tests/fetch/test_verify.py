from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ilsvrc import facts
from ilsvrc.archive.expected import expected_digest
from ilsvrc.archive.sidecar import recorded
from ilsvrc.errors import ArchiveError
from ilsvrc.fetch.verify import check_size, known_digest
from ilsvrc.issues import Code
from tests.fetch.conftest import Heard

VAL = facts.official(facts.VAL)
assert VAL
assert VAL.size


def test_the_official_digest_counts_where_the_size_is_official(tmp_path: Path) -> None:
    (tmp_path / "MD5SUMS").write_text(f"{'0' * 32}  {facts.VAL}\n")
    assert VAL
    assert VAL.size
    official = expected_digest(tmp_path / facts.VAL, VAL.size, "md5")
    assert official
    assert (official.digest.hex, official.against) == ("29b22e2961454d5413ddabcf34fc5622", "official")
    listed = expected_digest(tmp_path / facts.VAL, 5, "md5")
    assert listed
    assert (listed.digest.hex, listed.against) == ("0" * 32, "MD5SUMS")


def test_of_another_archive_nobody_knows_anything(tmp_path: Path) -> None:
    assert expected_digest(tmp_path / "other.tar", 5, "md5") is None


@pytest.mark.parametrize(
    ("size", "code", "text"),
    [
        (1_310_000_000_000, Code.WRONG_FILE, "Fall 2011"),
        (762_460_160, Code.WRONG_FILE, "dog images of task 3"),
        (6_744_924_160, Code.WRONG_FILE, "ILSVRC2012_img_val.tar"),
        (147_897_477_119, Code.WRONG_SIZE, "another file, or a part of it"),
    ],
)
def test_a_wrong_file_is_named_by_its_size(tmp_path: Path, size: int, code: Code, text: str) -> None:
    with pytest.raises(ArchiveError, match=text) as caught:
        check_size(tmp_path / facts.TRAIN, size)
    assert caught.value.code is code


def test_a_listed_archive_may_have_any_size(tmp_path: Path) -> None:
    (tmp_path / "MD5SUMS").write_text(f"{'0' * 32}  {facts.TRAIN}\n")
    check_size(tmp_path / facts.TRAIN, 5)
    check_size(tmp_path / "other.tar", 5)


def test_a_right_archive_is_hashed_once(tmp_path: Path, heard: Heard) -> None:
    archive = tmp_path / "a.tar"
    archive.write_bytes(b"abc")
    (tmp_path / "MD5SUMS").write_text(f"{hashlib.md5(b'abc').hexdigest()}  a.tar\n")
    wanted = expected_digest(archive, 3, "md5")
    first = known_digest(archive, wanted, heard)
    assert heard.bytes("a.tar: md5") == 3
    record = recorded(archive)
    assert record
    assert (record.digest, record.against) == (str(first), "MD5SUMS")
    again = Heard()
    assert known_digest(archive, wanted, again) == first
    assert not again.events
