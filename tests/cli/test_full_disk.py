"""`ilsvrc prepare` when the disk fills up, or one of the system's limits is reached, while it writes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ilsvrc.testing.mini import MiniSpec, write_mini

from .helpers import ilsvrc, ilsvrc_json

ROOM = 12 << 20
"""Bytes of the small file system: the classes below take about 3 MB of it, in blocks."""

BLOCK = 1 << 16


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of ROOM bytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(words, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small file system can't be mounted: this needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def digests(folder: Path) -> dict[str, str]:
    """Digests of a folder's files, without those that ilsvrc keeps for itself."""
    files = (p for p in sorted(folder.rglob("*")) if p.is_file() and ".ilsvrc" not in p.parts)
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def finished_units(tree: Path) -> set[str]:
    """The classes that the journal of a tree calls done."""
    lines = (tree / ".ilsvrc/journal.jsonl").read_text().split("\n")[:-1]
    return {json.loads(line)["unit"] for line in lines if '"unit"' in line}


def times(folder: Path, units: set[str]) -> dict[str, int]:
    """When each image of these classes was last written."""
    return {p.name: p.stat().st_mtime_ns for unit in units for p in (folder / unit).iterdir()}


def fill(disk: Path, process: subprocess.Popen[str]) -> None:
    """Take all room that is left, again and again, until the process has ended."""
    with open(disk / "filler", "wb", buffering=0) as file:
        while process.poll() is None:
            with contextlib.suppress(OSError):
                file.write(bytes(BLOCK))


def test_a_disk_that_fills_while_writing_ends_with_3_and_the_next_run_resumes(
    small_disk: Path, tmp_path: Path
) -> None:
    source, tree = tmp_path / "source", small_disk / "tree"
    write_mini(source, MiniSpec(classes=150, per_class=3, mean_bytes=2_500))
    before = digests(source)
    command = [sys.executable, "-m", "ilsvrc", "prepare", str(source), str(tree), "--split", "train", "--jobs", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    journal = tree / ".ilsvrc/journal.jsonl"
    end = time.monotonic() + 60
    while not (journal.exists() and len(finished_units(tree)) > 10):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "no class was finished in a minute"
        time.sleep(0.005)
    fill(small_disk, process)
    _, errors = process.communicate()

    assert process.returncode == 3, errors
    assert "No space left on device" in errors
    assert "hint: free some space and run the same command again: it resumes" in errors
    assert "Traceback" not in errors
    assert not (tree / "train").exists()
    assert not (tree / ".ilsvrc/train.arrow").exists()
    assert digests(source) == before

    (small_disk / "filler").unlink()
    done = finished_units(tree)
    assert 10 < len(done) < 150
    written = times(tree / ".ilsvrc/staging/train", done)
    report = ilsvrc_json("prepare", source, tree, "--split", "train")
    assert [(s["split"], s["images"]) for s in report["splits"]] == [("train", 450)]
    assert times(tree / "train", done) == written, "finished classes are not written again"
    ilsvrc("check", "--deep", tree)


def test_a_limit_on_file_sizes_ends_with_3_and_the_next_run_resumes(mini: Path, tmp_path: Path) -> None:
    """The system refuses one image in the middle of the run; this needs no root."""
    source, tree = Path(shutil.copytree(mini, tmp_path / "source")), tmp_path / "tree"
    ilsvrc("prepare", source, tmp_path / "whole")
    sizes = sorted(p.stat().st_size for p in (tmp_path / "whole/train").glob("*/*.JPEG"))
    limit = sizes[-1] - 1
    before = digests(source)
    done = subprocess.run(
        [sys.executable, "-m", "ilsvrc", "prepare", str(source), str(tree), "--split", "train", "--jobs", "1"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert "File too large" in done.stderr
    assert ".JPEG" in done.stderr
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tree / "train").exists()
    assert digests(source) == before

    ilsvrc("prepare", source, tree)
    assert digests(tree) == digests(tmp_path / "whole")


@pytest.fixture(scope="module")
def sixty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty classes: the validation images of all of them are one unit, which writes to sixty folders."""
    folder = tmp_path_factory.mktemp("sixty")
    write_mini(folder, MiniSpec(classes=60, per_class=1, mean_bytes=2_500))
    return folder


def with_open_files(limit: int, *words: object) -> subprocess.CompletedProcess[str]:
    """Run the program where no process may have more than so many files open."""
    return subprocess.run(
        [sys.executable, "-m", "ilsvrc", *map(str, words)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)),
        capture_output=True,
        text=True,
        check=False,
    )


def test_folders_of_a_unit_are_not_all_open_at_once(sixty: Path, tmp_path: Path) -> None:
    done = with_open_files(48, "prepare", sixty, tmp_path / "tree", "--jobs", 1)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "tree/val").glob("*/*.JPEG"))) == 60


def test_too_many_open_files_ends_with_3_and_says_which_limit_to_raise(sixty: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    done = with_open_files(12, "prepare", sixty, tree, "--split", "val", "--jobs", 1)
    assert done.returncode == 3, done.stderr
    assert "Too many open files" in done.stderr
    assert "hint: raise the limit on open files (ulimit -n)" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tree / "val").exists()
    ilsvrc("prepare", sixty, tree, "--split", "val")
    ilsvrc("check", "--deep", tree)
