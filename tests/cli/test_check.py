"""`ilsvrc check` as a user runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ilsvrc import facts
from tests.cli.helpers import ilsvrc, ilsvrc_json


@pytest.fixture
def archives(mini: Path, tmp_path: Path) -> Path:
    """Archives that no run has looked at and nothing lies beside."""
    ignored = shutil.ignore_patterns(".ilsvrc", "MD5SUMS", "*.gz")
    return Path(shutil.copytree(mini, tmp_path / "archives", ignore=ignored))


@pytest.fixture(scope="module")
def prepared(mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("prepared") / "tree"
    ilsvrc("-q", "prepare", mini, tree, "--jobs", 1)
    return tree


@pytest.fixture
def tree(prepared: Path, tmp_path: Path) -> Path:
    """A prepared tree that a test may spoil."""
    return Path(shutil.copytree(prepared, tmp_path / "tree"))


def last_line(*arguments: object) -> str:
    """The verdict that is printed for people, which is the same in the document."""
    told = ilsvrc("check", "--jobs", 1, *arguments).stdout.splitlines()[-1]
    assert told.endswith(ilsvrc_json("check", "--jobs", 1, *arguments)["verdict"])
    return told


@pytest.mark.parametrize("deep", [[], ["--deep"]])
def test_archives_that_nothing_speaks_of_are_not_said_to_be_right(archives: Path, deep: list[str]) -> None:
    told = last_line(*deep, archives)
    assert "nothing is wrong" not in told
    assert f"{facts.TRAIN} and {facts.VAL} could be compared with nothing" in told
    assert "nothing says how many images its 6 classes should have" in told
    assert "put MD5SUMS or SHA256SUMS beside the archive" in told


def test_listed_digest_is_not_compared_before_the_check_is_deep(archives: Path, mini: Path) -> None:
    shutil.copy(mini / "MD5SUMS", archives)
    told = last_line(archives)
    assert "nothing is wrong" not in told
    assert "digest and pixels not compared: add --deep" in told
    told = last_line("--deep", archives)
    assert "nothing is wrong in 36 images, all of which were decoded" in told
    assert "digest compared with the md5 in MD5SUMS" in told
    told = last_line(archives)
    assert "could be compared with nothing" in told, "a record of an earlier run proves nothing"
    assert "add --deep to hash it again; an earlier run found it right" in told


def test_subset_that_imagefolder_numbers_otherwise_is_a_warning_in_the_one_verdict(
    mini: Path, tmp_path: Path
) -> None:
    ilsvrc("-q", "prepare", mini, tmp_path / "tree", "--classes", "n01443537,n01491361")
    done = ilsvrc("check", tmp_path / "tree")
    *before, told = done.stdout.splitlines()
    assert "nothing is wrong in 12 images: names and sizes compared with the manifest" in told
    assert "digests and pixels not compared: add --deep" in told
    assert "; warning: ImageFolder" in told
    assert "gives 2 of 2 folders another label than ILSVRC 2012: folder n01443537 gets label 0, is 1" in told
    assert all(line.startswith("  warning: ") for line in before if "another label" in line)


def test_deep_check_hashes_again_what_a_record_on_disk_calls_right(archives: Path, mini: Path) -> None:
    shutil.copy(mini / "MD5SUMS", archives)
    ilsvrc("-q", "check", "--deep", archives, "--jobs", 1)
    archive = archives / facts.VAL
    before = archive.stat()
    data = bytearray(archive.read_bytes())
    with tarfile.open(archive) as members:
        first = members.getmembers()[0]
    assert first.size % 512
    data[first.offset_data + first.size] ^= 1  # padding, where no header and no image is
    archive.write_bytes(data)
    os.utime(archive, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "wrong-digest" in ilsvrc("check", "--deep", archives, "--jobs", 1, status=1).stdout


def pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def loop(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(path.name)


def folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def junk(path: Path) -> None:
    path.write_bytes(b'{"a": [[[[\xff\x00')


SPOILERS = [pipe, loop, folder, junk]


@pytest.mark.parametrize("spoil", SPOILERS)
def test_anything_in_the_place_of_a_manifest_is_an_issue(tree: Path, spoil: Callable[[Path], None]) -> None:
    spoil(tree / ".ilsvrc/val.arrow")
    command = [sys.executable, "-m", "ilsvrc", "check", str(tree / "val")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    assert "unreadable: .ilsvrc/val.arrow: the manifest can't be used" in done.stdout
    assert "Traceback" not in done.stderr


OTHERS = ("report.json", "journal.jsonl", "lock", "staging", "../classes.json", "../val.txt")


@pytest.mark.parametrize("spoil", SPOILERS)
def test_nothing_else_of_ours_is_believed_or_waited_for(tree: Path, spoil: Callable[[Path], None]) -> None:
    for name in OTHERS:
        spoil(tree / ".ilsvrc" / name)
    command = [sys.executable, "-m", "ilsvrc", "check", str(tree)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "nothing is wrong" in done.stdout


def test_document_about_a_folder_whose_name_is_no_text_is_valid(tree: Path, tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/\xff-tree"
    os.rename(tree, odd)
    told = ilsvrc_json("check", os.fsdecode(odd))
    assert told["path"].endswith("\\udcff-tree")
    for text in (told["path"], told["verdict"], *(part["where"] for part in told["parts"])):
        text.encode()
