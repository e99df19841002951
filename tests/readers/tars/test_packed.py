"""Damage in compressed tars, and indexes that somebody else wrote."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ilsvrc.archive.source import FileSource
from ilsvrc.errors import ArchiveError, MissingExtraError
from ilsvrc.readers.tars import index as index_module
from ilsvrc.readers.tars.index import open_index, stored_index
from ilsvrc.readers.tars.packed import Unpacked, sweep
from ilsvrc.readers.tars.reader import Contents, TarReader
from ilsvrc.readers.tars.recognise import _tar, open_tar
from tests.readers.tars.writers import gnu, gzipped, in_members, zstd


def silent(event: object) -> None:
    """Listen to nothing."""


@pytest.fixture
def tar(tree: Path, tmp_path: Path) -> Path:
    return gnu(tmp_path / "i.tar", tree, "train")


@pytest.fixture
def packed(tar: Path) -> Path:
    return gzipped(tar, "-1")


@pytest.mark.parametrize("form", ["gzip", "gzip members", "zstd", "zstd frames"])
def test_any_range_is_that_of_the_program(tar: Path, form: str) -> None:
    wanted = tar.read_bytes()
    path = {
        "gzip": lambda: gzipped(tar),
        "gzip members": lambda: in_members(tar),
        "zstd": lambda: zstd(tar),
        "zstd frames": lambda: zstd(tar, 10_000),
    }[form]()
    source, kind = FileSource(path), "gzip" if "gzip" in form else "zstd"
    whole = sweep(source, kind)
    assert b"".join(whole.rest(0)) == wanted
    unpacked = Unpacked(source, kind, whole.points())
    whole.close()
    assert unpacked.fits()
    numbers = random.Random(0)
    for _ in range(30):
        start = numbers.randrange(len(wanted))
        length = numbers.randrange(min(9000, len(wanted) - start) + 1)
        assert unpacked.read(start, length) == wanted[start : start + length]
    with pytest.raises(ArchiveError, match="truncated-archive"):
        unpacked.read(len(wanted) - 5, 6)


@pytest.mark.parametrize("left", [30, 1000, -4_000, -300, -9, -5, -1])
def test_gzip_that_is_cut_short_is_told(packed: Path, left: int) -> None:
    data = packed.read_bytes()
    packed.write_bytes(data[:left])
    with pytest.raises(ArchiveError, match=r"truncated-archive|damaged-compression") as caught:
        open_tar(packed, "train")
    assert caught.value.hint
    assert "Thread" not in caught.value.message, "the reason, without the library's own state"
    if left == -4_000:
        assert "around byte" in caught.value.message
        assert "n0" in caught.value.member


def test_wrong_checksum_of_gzip_is_told(packed: Path) -> None:
    data = bytearray(packed.read_bytes())
    data[-8] ^= 1
    packed.write_bytes(data)
    with pytest.raises(ArchiveError, match=r"CRC32.*damaged-compression"):
        open_tar(packed, "train")


def test_damage_within_gzip_is_told(packed: Path) -> None:
    data = bytearray(packed.read_bytes())
    data[len(data) // 2] ^= 0x55
    packed.write_bytes(data)
    with pytest.raises(ArchiveError):
        open_tar(packed, "train")


@pytest.mark.parametrize("cut", [True, False])
def test_damage_within_zstd_is_told(tar: Path, cut: bool) -> None:
    path = zstd(tar)
    data = bytearray(path.read_bytes())
    if cut:
        path.write_bytes(data[:-7])
    else:
        data[len(data) // 2] ^= 0x55
        path.write_bytes(data)
    with pytest.raises(ArchiveError, match="truncated-archive" if cut else "damaged-compression"):
        open_tar(path, "train")


def test_tar_within_that_ends_early_is_told(tree: Path, tmp_path: Path) -> None:
    data = gnu(tmp_path / "i.tar", tree, "train").read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(gzip.compress(data[:-10_240].rstrip(b"\0")))
    with pytest.raises(ArchiveError, match="truncated-archive"):
        open_tar(tmp_path / "cut.tar.gz", "train")


def test_second_tar_within_is_told(tree: Path, tmp_path: Path) -> None:
    data = gnu(tmp_path / "i.tar", tree, "train").read_bytes()
    (tmp_path / "two.tar.gz").write_bytes(gzip.compress(data * 2))
    with pytest.raises(ArchiveError, match="trailing-data"):
        open_tar(tmp_path / "two.tar.gz", "train")


def test_image_of_absurd_size_is_refused_at_once(tmp_path: Path) -> None:
    import tarfile

    info = tarfile.TarInfo("train/n01440764/n01440764_1.JPEG")
    info.size = 1 << 40
    (tmp_path / "i.tar.gz").write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(10_240)))
    with pytest.raises(ArchiveError, match="bad-header"):
        open_tar(tmp_path / "i.tar.gz", "train")


def rewritten(path: Path, change: str) -> None:
    """Write the stored index of a tar as a forger would, who computes every digest of it too."""
    tar = _tar(path)
    index = stored_index(path, [tar])
    assert index is not None
    table, points, ends = index.table, index.points, index.ends
    column = {name: table.column(name).to_numpy().copy() for name in ("split", "label", "offset", "size", "tar")}
    if change == "points":
        data = bytearray(points[0])
        data[len(data) // 2] ^= 0xFF
        points = (bytes(data),)
    elif change == "ends":
        ends = (1 << 61,)
    elif change in ("offset", "size", "tar"):
        column[change][3] = {"offset": 1 << 50, "size": -5, "tar": 7}[change]
    elif change == "overlap":
        column["offset"][3] = column["offset"][2]
    elif change == "label":
        column["label"][3] += 1
    for name, values in column.items():
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    if change == "name":
        names = ["../../evil.JPEG", *table.column("name").to_pylist()[1:]]
        table = table.set_column(table.column_names.index("name"), "name", pa.array(names))
    forged = index_module.TarIndex(index.tars, ends, points, index.folders, table)
    index_module._write(forged, path.parent / ".ilsvrc" / f"{path.name}{index_module.SUFFIX}")


CHANGES = ["points", "ends", "offset", "size", "tar", "overlap", "label", "name"]


@pytest.mark.parametrize("change", CHANGES)
def test_forged_index_is_built_again(packed: Path, change: str) -> None:
    truth = open_tar(packed, "train")
    rewritten(packed, change)
    if change != "points":
        assert stored_index(packed, [_tar(packed)]) is None
    again = open_tar(packed, "train")
    try:
        images = [again.read(row) for row in range(len(again))]
    except ArchiveError:
        assert change == "points"  # only reading tells
    else:
        assert images == [truth.read(row) for row in range(len(truth))]


def test_bytes_of_an_index_at_random_never_give_a_wrong_image(packed: Path, tmp_path: Path) -> None:
    """In a process of its own: what a library in C++ does with wrong seek points might end it."""
    source = FileSource(packed)
    whole = sweep(source, "gzip")
    wanted = b"".join(whole.rest(0))
    (tmp_path / "points").write_bytes(whole.points())
    (tmp_path / "wanted").write_bytes(wanted)
    whole.close()
    script = f"""
import random, sys
from ilsvrc.archive.source import FileSource
from ilsvrc.errors import ArchiveError
from ilsvrc.readers.tars.packed import Unpacked
points, chance = open({str(tmp_path / "points")!r}, "rb").read(), random.Random(1)
for _ in range(300):
    data = bytearray(points)
    for _ in range(chance.randrange(1, 4)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    if chance.random() < 0.2:
        del data[chance.randrange(len(data)):]
    try:
        Unpacked(FileSource({str(packed)!r}), "gzip", bytes(data)).read(5000, 100)
    except ArchiveError:
        pass
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_wrong_bytes_are_never_given(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = open_index(packed, [_tar(packed)], silent)
    offsets = index.table.column("offset").to_numpy() - 1
    place = index.table.column_names.index("offset")
    moved = index_module.TarIndex(
        index.tars,
        index.ends,
        index.points,
        index.folders,
        index.table.set_column(place, "offset", pa.array(offsets)),
    )
    reader = TarReader("train", Contents.of(packed, "tar.gz", moved, "train"))
    with pytest.raises(ArchiveError, match="changed-image"):
        reader.read(0)
    with pytest.raises(ArchiveError, match="changed-image"):
        list(reader.take(np.array([0])))


def test_missing_libraries_are_named(packed: Path, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidgzip", None)
    with pytest.raises(MissingExtraError) as caught:
        open_tar(packed, "train")
    assert "ilsvrc[gzip]" in caught.value.hint
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(MissingExtraError) as caught:
        open_tar(zstd(gnu(packed.with_name("z.tar"), tree, "train")), "train")
    assert "ilsvrc[zstd]" in caught.value.hint


def test_index_says_what_it_is_of(packed: Path) -> None:
    open_tar(packed, "train")
    with pa.ipc.open_file(packed.parent / ".ilsvrc" / f"{packed.name}.members.arrow") as file:
        about = json.loads(file.schema.metadata[b"about"])
    assert about["tars"][0][:2] == [packed.name, "gzip"]
    assert about["tars"][0][3]["size"] == packed.stat().st_size
    assert about["ends"] == [len(zlib.decompress(packed.read_bytes(), 31))]


def test_end_of_python_is_quiet_with_readers_open(packed: Path) -> None:
    script = f"""
from pathlib import Path
from ilsvrc.readers.tars.recognise import open_tar
reader = open_tar(Path({str(packed)!r}), "train")
taken = reader.take(reader.storage_order())
next(taken)
reader.read(5)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
