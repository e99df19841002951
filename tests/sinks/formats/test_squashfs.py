"""SquashFS images, read by unsquashfs; mounted by the kernel and by squashfuse, by torchvision's ImageFolder."""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

import ilsvrc
from ilsvrc.errors import MachineError, UsageError
from ilsvrc.readers.locate import open_reader
from ilsvrc.readers.units import Sample
from ilsvrc.sinks.formats.base import ShardFile
from ilsvrc.sinks.formats.registry import format_of
from ilsvrc.testing import MiniSpec, write_mini
from ilsvrc.tree import paths
from ilsvrc.tree.manifest import SHARDED, ShardedRow, read_manifest, table_of
from tests.cli.helpers import ilsvrc as ilsvrc_command
from tests.oracles import torchvision_datasets

SQUASHFS = format_of("squashfs")
ZEROS = bytes(300_000)


@pytest.fixture(autouse=True, scope="module")
def programs() -> None:
    for name in ("sqfstar", "unsquashfs", "squashfuse"):
        if not shutil.which(name):
            pytest.skip(f"{name} is not installed: apt-get install squashfs-tools squashfuse")


@pytest.fixture(scope="module")
def prepared(thousand: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train and val; read it, don't change it."""
    folder = tmp_path_factory.mktemp("squashfs") / "out"
    ilsvrc.prepare(thousand, folder, format="squashfs", shard_images=300, jobs=1)
    return folder


def contents(root: Path) -> dict[str, str]:
    """Sha256 of every file below a folder."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def unpacked(image: Path, folder: Path) -> Path:
    subprocess.run(["unsquashfs", "-quiet", "-no-progress", "-d", folder, image], check=True, capture_output=True)
    return folder


@contextlib.contextmanager
def by_the_kernel(image: Path, folder: Path) -> Iterator[Path]:
    folder.mkdir()
    done = subprocess.run(["mount", "-o", "loop,ro", image, folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("squashfs can't be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@contextlib.contextmanager
def by_squashfuse(image: Path, folder: Path) -> Iterator[Path]:
    folder.mkdir()
    process = subprocess.Popen(["squashfuse", "-f", image, folder], stderr=subprocess.DEVNULL)
    try:
        while not os.path.ismount(folder):
            if process.poll() is not None:
                pytest.skip("squashfs can't be mounted here")
            time.sleep(0.01)
        yield folder
    finally:
        process.terminate()
        process.wait()


@pytest.mark.parametrize("mounted", [by_the_kernel, by_squashfuse])
def test_imagefolder_reads_a_mounted_split_as_it_reads_folders(
    mounted: Callable[[Path, Path], contextlib.AbstractContextManager[Path]],
    prepared: Path,
    thousand_tree: Path,
    tmp_path: Path,
) -> None:
    image_folder = torchvision_datasets().ImageFolder
    with mounted(prepared / "val.squashfs", tmp_path / "val") as root:
        theirs, wanted = (image_folder(folder, loader=bytes_of) for folder in (root, thousand_tree / "val"))
        assert theirs.classes == wanted.classes
        assert theirs.targets == wanted.targets
        assert [theirs[i] for i in range(len(theirs))] == [wanted[i] for i in range(len(wanted))]


def bytes_of(path: str) -> bytes:
    return Path(path).read_bytes()


def test_unsquashfs_unpacks_the_tree(prepared: Path, thousand_tree: Path, tmp_path: Path) -> None:
    for split in ("train", "val"):
        folder = unpacked(prepared / f"{split}.squashfs", tmp_path / split)
        assert contents(folder) == contents(thousand_tree / split)
        assert {path.stat().st_mode & 0o777 for path in folder.rglob("*.JPEG")} == {0o644}
        assert {path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())} == {0o755}
        assert {path.stat().st_mtime for path in (folder, *folder.rglob("*"))} == {0}


def test_test_images_lie_flat(tmp_path: Path) -> None:
    write_mini(tmp_path, MiniSpec(classes=2, per_class=1, val_per_class=1, test_images=5))
    archive = next(tmp_path.glob("*test*.tar"))
    ilsvrc.prepare(archive, tmp_path / "out", format="squashfs", splits=("test",), jobs=1, verify="none")
    folder = unpacked(tmp_path / "out/test.squashfs", tmp_path / "test")
    reader = open_reader(archive, "test")
    assert contents(folder) == {
        name: hashlib.sha256(reader.read(row)).hexdigest() for row, name in enumerate(reader.names.to_pylist())
    }


def test_images_follow_each_other_in_the_shuffled_order(prepared: Path) -> None:
    """From the first byte after the superblock, without a gap; unsquashfs finds the same bytes by their names."""
    table = read_manifest(paths.manifest(prepared, "train"), SHARDED)
    rows, at = table.to_pylist(), 96
    for row in rows:
        assert row["offset"] == at
        at += row["size"]
    assert [row["label"] for row in rows] != sorted(row["label"] for row in rows)
    data = (prepared / "train.squashfs").read_bytes()
    for row in rows[::500]:
        name = row["path"].rpartition("/")[2]
        path = f"{name.partition('_')[0]}/{name}"
        found = subprocess.run(
            ["unsquashfs", "-cat", prepared / "train.squashfs", path], check=True, capture_output=True
        ).stdout
        assert found == data[row["offset"] : row["offset"] + row["size"]]


def test_the_same_images_give_the_same_bytes(
    prepared: Path, thousand: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In other pieces, by two processes, at another time, and with a variable that would give it other times."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    ilsvrc.prepare(thousand, tmp_path / "out", format="squashfs", splits=("val",), shard_images=77, jobs=2)
    assert (tmp_path / "out/val.squashfs").read_bytes() == (prepared / "val.squashfs").read_bytes()


def assembled(folder: Path, images: list[bytes]) -> tuple[list[int], Path, tuple[int, str]]:
    """Assemble images of the first class from two pieces; return offsets, the file, its size and digest."""
    pieces, rows = [folder / "000000", folder / "000001"], list[ShardedRow]()
    half = len(images) // 2
    for number, some in enumerate((images[:half], images[half:])):
        at = 0
        pieces[number].write_bytes(b"".join(some))
        for data in some:
            name = f"n01440764_{len(rows)}.JPEG"
            rows.append(ShardedRow(f"train/{name}", 0, len(data), bytes(16), number, at, bytes(16)))
            at += len(data)
    path = folder / "train.squashfs"
    file = ShardFile(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL), path)
    try:
        table: pa.Table = table_of(rows, SHARDED)
        offsets = SQUASHFS.assemble(file, pieces, table, "train")  # type: ignore[attr-defined]
        return offsets.tolist(), path, file.digest()
    finally:
        file.close()


def test_equal_images_and_blocks_of_zeros_are_stored_like_any_other(tmp_path: Path) -> None:
    """squashfs-tools would store equal files once, and a block of zeros not at all."""
    images = [b"a" * 200_000, ZEROS, b"a" * 200_000, b"b", b"b", ZEROS[:131_072], b"c" * 131_073]
    offsets, path, told = assembled(tmp_path, images)
    data = path.read_bytes()
    for offset, image in zip(offsets, images, strict=True):
        assert data[offset : offset + len(image)] == image
    folder = unpacked(path, tmp_path / "unpacked")
    assert [(folder / f"n01440764/n01440764_{n}.JPEG").read_bytes() for n in range(7)] == images
    assert told[0] == len(data)


def test_a_program_that_lays_images_out_otherwise_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here one that stores equal images once."""
    real = shutil.which("sqfstar")
    script = f'#!/bin/bash\nexec {real} "${{@/-no-duplicates/-quiet}}"\n'
    in_path(tmp_path, script, monkeypatch)
    with pytest.raises(MachineError, match="did not lay the images out"):
        assembled(tmp_path, [b"a" * 200_000, b"c" * 1000, b"a" * 200_000, b"b"])


def in_path(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program named sqfstar before the real one."""
    (folder / "bin").mkdir()
    (folder / "bin/sqfstar").write_text(script)
    (folder / "bin/sqfstar").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize("reading", ["", "cat > /dev/null; "])
def test_the_words_of_a_program_that_fails_are_passed_on(
    reading: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it reads all images or ends before."""
    in_path(tmp_path, f"#!/bin/sh\n{reading}echo 'FATAL ERROR: no luck' >&2; exit 1\n", monkeypatch)
    with pytest.raises(MachineError, match="no luck"):
        assembled(tmp_path, [b"a" * 2_000_000, b"b" * 2_000_000])


def test_a_limit_on_file_sizes_is_named_and_the_same_command_resumes(thousand: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ilsvrc", "prepare", thousand, tmp_path / "out", "--split", "val"]
    command += ["--format", "squashfs", "--shard-images", "50", "-j", "1"]
    limit = 1_000_000
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY)),
    )
    assert done.returncode == 3, done.stderr
    assert "File too large" in done.stderr
    assert "ulimit -f" in done.stderr
    assert not (tmp_path / "out/val.squashfs").exists()
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    assert (tmp_path / "out/val.squashfs").stat().st_size > limit


def test_a_missing_program_is_named_before_anything_is_written(
    mini: Path, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="sqfstar") as caught:
        ilsvrc.prepare(mini, tmp_path / "out", format="squashfs", jobs=1)
    assert "squashfs-tools" in caught.value.hint
    assert not (tmp_path / "out").exists()
    ilsvrc_command("check", prepared)  # reading needs no program


def test_write_lays_images_one_after_the_other(tmp_path: Path) -> None:
    path = tmp_path / "piece"
    file = ShardFile(os.open(path, os.O_RDWR | os.O_CREAT), path)
    samples = [Sample(f"train/n01440764_{n}.JPEG", f"n01440764_{n}.JPEG", 0, bytes([n]) * n) for n in (3, 5)]
    assert [placed.offset for placed in SQUASHFS.write(file, samples, "train")] == [0, 3]
    file.close()
    assert path.read_bytes() == b"\3\3\3\5\5\5\5\5"
