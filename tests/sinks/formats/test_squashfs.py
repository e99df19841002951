"""SquashFS images: equal to those of sqfstar, read by unsquashfs, mounted by the kernel and by squashfuse."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import random
import resource
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import ilsvrc
from ilsvrc.facts import classes
from ilsvrc.readers.locate import open_reader
from ilsvrc.readers.units import Sample
from ilsvrc.sinks.formats.base import ShardFile
from ilsvrc.sinks.formats.squashfs import SquashFs
from ilsvrc.sinks.formats.whole import framed
from ilsvrc.testing import MiniSpec, write_mini
from ilsvrc.tree import paths
from ilsvrc.tree.manifest import SHARDED, read_manifest
from tests.cli.helpers import ilsvrc as ilsvrc_command
from tests.oracles import torchvision_datasets
from tests.sinks.formats.laying import laid_out

SQUASHFS = SquashFs()
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


OPTIONS = """-noI -noId -noD -noF -noX -no-fragments -no-tailends -no-sparse -no-duplicates -no-xattrs -mkfs-time 0
    -all-time 0 -root-mode 0755 -root-uid 0 -root-gid 0 -processors 1 -quiet -no-progress -exit-on-error"""
WNIDS = [synset.wnid for synset in classes()]
Images = list[tuple[str, int, bytes]]


def by_sqfstar(path: Path, images: Images) -> bytes:
    """The file system that squashfs-tools make of a tar of these images."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for label in sorted({label for _, label, _ in images if label >= 0}):
            tar.addfile(member(WNIDS[label], 0o755, tarfile.DIRTYPE))
        for name, label, data in images:
            info = member(f"{WNIDS[label]}/{name}" if label >= 0 else name, 0o644)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    subprocess.run(["sqfstar", *OPTIONS.split(), path], input=stream.getvalue(), check=True, capture_output=True)
    return path.read_bytes()


def member(name: str, mode: int, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.mode, info.type = mode, kind
    return info


def of_classes(labels: range, count: int, most: int) -> Images:
    """Images of some classes, with names of many lengths, in random order."""
    rng = random.Random(count)
    images = [
        (f"{WNIDS[label]}_{rng.randrange(10 ** rng.randint(1, 6))}_{at}.JPEG", label, b"y" * rng.randint(1, most))
        for label in labels
        for at in range(count)
    ]
    rng.shuffle(images)
    return images


SHAPES: dict[str, Images] = {
    "one image": [("n01440764_1.JPEG", 0, b"abc")],
    "no bytes": [("n01440764_1.JPEG", 0, b""), ("n01440764_2.JPEG", 0, b"a"), ("n01440764_3.JPEG", 0, b"")],
    "around blocks": [
        (f"n01440764_{size}.JPEG", 0, b"z" * size) for size in (131_072, 131_071, 131_073, 262_144, 400_000, 1)
    ],
    "zeros and equal images": [(f"n01440764_{at}.JPEG", 0, ZEROS) for at in range(3)],
    "flat": [(f"ILSVRC2012_test_{at:08}.JPEG", -1, b"t" * (1 + at % 9)) for at in range(3_000)],
    "1000 classes": of_classes(range(1000), 3, 100),
    "large classes": of_classes(range(30), 1300, 9),
}
"""Listings of less and more than 8 KiB, with long and short names, of inodes in one block of metadata and in many."""


@pytest.mark.parametrize("shape", SHAPES)
def test_the_file_is_that_of_sqfstar(shape: str, tmp_path: Path) -> None:
    laid_out(SQUASHFS, tmp_path / "ours", SHAPES[shape])
    assert (tmp_path / "ours").read_bytes() == by_sqfstar(tmp_path / "theirs", SHAPES[shape])


def test_an_image_behind_4_gib_is_read(tmp_path: Path) -> None:
    """Its place takes more than 32 bits. Behind a hole in the file, which unsquashfs does not read."""
    path, sizes = tmp_path / "file", np.array([5 << 30, 3], np.int64)
    layout = SQUASHFS.layout(sizes)
    begins = layout.begins(sizes)
    file = ShardFile(os.open(path, os.O_RDWR | os.O_CREAT), path, int(begins[1]))
    framed(file, layout, 1, 0, b"end")
    columns = {"path": ["train/0.JPEG", "train/1.JPEG"], "label": pa.array([0, 0], pa.int16())}
    table = pa.table(columns | {"offset": begins[:-1], "size": sizes})
    layout.complete(file, table, b"", "train")
    file.close()
    found = subprocess.run(["unsquashfs", "-cat", path, "n01440764/1.JPEG"], check=True, capture_output=True)
    assert found.stdout == b"end"
    listed = subprocess.run(["unsquashfs", "-lls", path], check=True, capture_output=True, text=True).stdout
    assert f" {5 << 30} " in listed


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


def test_no_program_is_needed(mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    ilsvrc.prepare(mini, tmp_path / "out", format="squashfs", jobs=1, splits=("val",))
    assert ilsvrc_command("check", tmp_path / "out").returncode == 0


def test_write_lays_images_one_after_the_other(tmp_path: Path) -> None:
    path = tmp_path / "piece"
    file = ShardFile(os.open(path, os.O_RDWR | os.O_CREAT), path)
    samples = [Sample(f"train/n01440764_{n}.JPEG", f"n01440764_{n}.JPEG", 0, bytes([n]) * n) for n in (3, 5)]
    assert [placed.offset for placed in SQUASHFS.write(file, samples, "train")] == [0, 3]
    file.close()
    assert path.read_bytes() == b"\3\3\3\5\5\5\5\5"
