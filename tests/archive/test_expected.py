"""Which digest an archive should have, by the facts or by a list beside it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ilsvrc import ImageNet, check, facts, prepare
from ilsvrc.archive.expected import Expected, expected, expected_digest, is_official, listed_digest
from ilsvrc.archive.source import FileSource
from ilsvrc.errors import ArchiveError
from ilsvrc.facts import Digest
from ilsvrc.issues import Code
from ilsvrc.testing import MiniSpec, write_mini

T3 = "ccaf1013018ac1037801578038d370da"
TRAIN = "1d675b47d978889d74fa0da5fadfb00e"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    (tmp_path / facts.TRAIN).write_bytes(b"abc")
    return tmp_path / facts.TRAIN


def sums(archive: Path, text: str, name: str = "MD5SUMS") -> FileSource:
    (archive.parent / name).write_text(text)
    return FileSource(archive)


@pytest.mark.parametrize("options", [[], ["-b"], ["--tag"], ["-z"]])
@pytest.mark.parametrize(
    ("program", "algorithm", "name"), [("md5sum", "md5", "MD5SUMS"), ("sha256sum", "sha256", "SHA256SUMS")]
)
def test_what_the_program_writes_is_read(
    archive: Path, program: str, algorithm: str, name: str, options: list[str]
) -> None:
    printed = subprocess.run(
        [program, *options, archive.name], cwd=archive.parent, capture_output=True, check=True
    ).stdout
    (archive.parent / name).write_bytes(printed.replace(b"\0", b"\n"))
    found = listed_digest(archive, algorithm)
    assert found is not None
    plain = subprocess.run([program, archive], capture_output=True, text=True, check=True).stdout
    assert found.hex == plain.split()[0]


def test_digests_of_another_length_are_not_taken_for_md5(archive: Path) -> None:
    assert listed_digest(sums(archive, f"{'0' * 64}  {archive.name}\n").path, "md5") is None


def test_a_list_with_folders_and_other_files_is_read(archive: Path) -> None:
    source = sums(archive, f"{'1' * 32}  other.tar\n\n{'A' * 32} *./data/{archive.name}\n")
    assert expected(source, "md5") == Expected(Digest("md5", "a" * 32), "MD5SUMS")


def test_official_size_asks_for_the_official_digest(tmp_path: Path) -> None:
    path = tmp_path / facts.VAL
    with path.open("wb") as file:
        file.truncate(6_744_924_160)
    source = sums(path, f"{'0' * 32}  {path.name}\n")
    assert is_official(source.path, source.size)
    assert expected(source, "md5") == Expected(Digest("md5", "29b22e2961454d5413ddabcf34fc5622"), "official")
    assert expected(source, "sha256") is not None


def test_nothing_is_expected_where_nothing_is_listed(archive: Path) -> None:
    assert expected(FileSource(archive), "md5") is None


def test_the_md5_of_task_3_in_the_list_is_called_so(archive: Path) -> None:
    with pytest.raises(ArchiveError, match=r"ILSVRC2012_img_train_t3\.tar") as caught:
        expected(sums(archive, f"{T3}  {archive.name}\n"), "md5")
    assert caught.value.code is Code.WRONG_FILE
    assert TRAIN in caught.value.hint


def test_the_official_md5_for_another_size_is_a_download_cut_short(archive: Path) -> None:
    with pytest.raises(ArchiveError, match="147,897,477,117 bytes are missing") as caught:
        expected(sums(archive, f"{TRAIN}  {archive.name}\n"), "md5")
    assert caught.value.code is Code.WRONG_SIZE


OFFICIAL_TEST = Digest("md5", "e1b8681fff3d63731c599df9b4b6fc02")


def test_an_official_archive_of_unpublished_size_has_its_official_digest(tmp_path: Path) -> None:
    path = tmp_path / facts.TEST
    path.write_bytes(b"abc")
    assert expected(FileSource(path), "md5") == Expected(OFFICIAL_TEST, "official")
    assert expected_digest(path, 13, "md5") == Expected(OFFICIAL_TEST, "official")
    assert expected_digest(path, 13, "sha256") is None


def test_a_list_beside_it_speaks_of_an_archive_of_unpublished_size(tmp_path: Path) -> None:
    path = tmp_path / facts.TEST
    path.write_bytes(b"abc")
    assert expected(sums(path, f"{'0' * 32}  {path.name}\n"), "md5") == Expected(Digest("md5", "0" * 32), "MD5SUMS")
    assert expected(sums(path, f"{OFFICIAL_TEST.hex}  {path.name}\n"), "md5") == Expected(OFFICIAL_TEST, "official")


@pytest.fixture
def with_test(tmp_path: Path) -> Path:
    """A miniature with a test archive, and nothing beside it that lists a digest."""
    folder = tmp_path / "mini"
    spec = MiniSpec(classes=2, per_class=1, val_per_class=1, mean_bytes=2_000, test_images=5)
    assert write_mini(folder, spec).images == 9
    (folder / "MD5SUMS").rename(folder / "kept")
    return folder


def test_the_test_split_is_prepared_checked_and_read(
    with_test: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the genuine one is: its md5 is published, its size is not."""
    md5 = Digest("md5", hashlib.md5((with_test / facts.TEST).read_bytes()).hexdigest())
    spec = facts.official(facts.TEST)
    assert spec
    assert spec.size is None
    published = tuple(replace(a, digests=(md5,)) if a.name == facts.TEST else a for a in facts.archives())
    monkeypatch.setattr(sys.modules["ilsvrc.facts.archives"], "archives", lambda: published)

    report = prepare(with_test, tmp_path / "tree", splits=("test",), jobs=1)
    assert [(s.split, s.images, s.against) for s in report.splits] == [("test", 5, "official")]
    checked = check(with_test / facts.TEST, deep=True, jobs=1)
    assert checked.ok
    for place in (with_test, tmp_path / "tree"):
        dataset = ImageNet(place, "test")
        assert [label for _, label in dataset] == [-1] * 5
    assert {p.name for p in (tmp_path / "tree" / "test").rglob("*.JPEG")} == {
        f"ILSVRC2012_test_{k:08}.JPEG" for k in range(1, 6)
    }


def test_another_archive_under_the_name_of_the_test_archive_is_refused(with_test: Path, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=OFFICIAL_TEST.hex) as caught:
        prepare(with_test, tmp_path / "tree", splits=("test",), jobs=1)
    assert caught.value.code is Code.WRONG_DIGEST
    (with_test / "kept").rename(with_test / "MD5SUMS")
    report = prepare(with_test, tmp_path / "tree", splits=("test",), jobs=1)
    assert report.splits[0].against == "MD5SUMS"
