"""A zip under the contract of readers: Kaggle's, and those that people make of a tree; nothing is unpacked."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ilsvrc import facts
from ilsvrc.archive.source import FileSource
from ilsvrc.archive.zip.build import SOLUTION
from ilsvrc.archive.zip.entry import FIXED
from ilsvrc.errors import ArchiveError, DamageError, IlsvrcError, UsageError
from ilsvrc.issues import Code
from ilsvrc.readers import ahead
from ilsvrc.readers import zip as zipreader
from ilsvrc.readers.reader import Reader
from ilsvrc.readers.zip import ZipReader, recognise
from ilsvrc.testing.contracts import ReaderContract, Truth
from tests.archive.zip.zips import WRITERS, patched, zipped
from tests.readers.conftest import truth_of

DATA = "ILSVRC/Data/CLS-LOC"


def opened(path: Path) -> dict[str, Reader]:
    """Return the readers of all splits in a zip, or in the zips of a folder."""
    return {found.split: found.open() for found in recognise(path)}


class TestZipReader(ReaderContract):
    @pytest.fixture(params=["zipfile, stored", "zipfile, deflated", "zipfile, zip64", "zip, piped", "7zz"])
    def reader(self, request: pytest.FixtureRequest, tree: Path, split: str, tmp_path: Path) -> Reader:
        WRITERS[request.param](tmp_path / "tree.zip", tree)
        return opened(tmp_path)[split]


@pytest.fixture
def kaggle(tree: Path, tmp_path: Path) -> Path:
    """A zip as Kaggle serves it: validation images in one heap, test images, boxes, and a file of the labels."""
    home = tmp_path / "unpacked"
    shutil.copytree(tree / "train", home / DATA / "train")
    for folder in ("val", "test"):
        (home / DATA / folder).mkdir()
    lines = ["ImageId,PredictionString"]
    for number, image in enumerate(sorted((tree / "val").glob("*/*")), 1):
        shutil.copy(image, home / DATA / "val")
        shutil.copy(image, home / DATA / "test" / f"ILSVRC2012_test_{number:08}.JPEG")
        lines.append(f"{image.stem},{image.parent.name} 1 2 3 4 ")
        boxes = home / "ILSVRC/Annotations/CLS-LOC/val" / f"{image.stem}.xml"
        boxes.parent.mkdir(parents=True, exist_ok=True)
        boxes.write_text("<annotation/>")
    (home / SOLUTION).write_text("\n".join(lines))
    (home / "LOC_synset_mapping.txt").write_text("n01440764 tench, Tinca tinca\n")
    path = tmp_path / "imagenet-object-localization-challenge.zip"
    subprocess.run(["zip", "-q", "-r", path, "."], cwd=home, check=True)
    return path


def read_all(reader: Reader) -> Truth:
    keys = zip(reader.labels.tolist(), reader.names.to_pylist(), strict=True)
    return {key: reader.read(row) for row, key in enumerate(keys)}


def test_kaggles_zip_has_three_splits_that_share_one_index(kaggle: Path, tree: Path) -> None:
    readers = opened(kaggle.parent)
    assert {split: len(reader) for split, reader in readers.items()} == {"train": 24, "val": 12, "test": 12}
    for split in ("train", "val"):
        assert read_all(readers[split]) == truth_of(tree, split)
    images = [image.read_bytes() for image in sorted((tree / "val").glob("*/*"))]
    names = [f"ILSVRC2012_test_{number:08}.JPEG" for number in range(1, 13)]
    assert list(read_all(readers["test"]).items()) == [((-1, n), i) for n, i in zip(names, images, strict=True)]
    assert [file.name for file in kaggle.parent.glob(".ilsvrc/*.arrow")] == [f"{kaggle.name}.arrow"]
    assert len({reader.identity for reader in readers.values()}) == 3


def heap(name: str, label: int) -> str:
    return name


def index_folders(name: str, label: int) -> str:
    return f"{label}/{name}"


def padded(name: str, label: int) -> str:
    return f"my data/{label:03}/{name}"


def windows(name: str, label: int) -> str:
    return f"{facts.classes()[label].wnid}\\{name.replace('.JPEG', '.jpg')}"


@pytest.mark.parametrize("layout", [heap, index_folders, padded, windows])
def test_trees_of_any_layout(
    layout: Callable[[str, int], str], tree: Path, split: str, truth: Truth, tmp_path: Path
) -> None:
    """One split alone; labels come from the names of the images."""
    path = zipped(tmp_path / "data.zip", {layout(name, label): data for (label, name), data in truth.items()})
    readers = opened(path)
    assert list(readers) == [split]
    assert read_all(readers[split]) == truth


@pytest.mark.parametrize("name", ["trän", "日本"])
def test_folders_of_any_name(name: str, truth: Truth, split: str, tmp_path: Path) -> None:
    path = zipped(tmp_path / "data.zip", {f"{name}/{key[1]}": data for key, data in truth.items()})
    reader = opened(path)[split]
    assert read_all(reader) == truth
    assert reader.where(0).member.startswith(f"{name}/")


def test_names_that_are_no_utf_8(tmp_path: Path) -> None:
    """An old program under Windows: names in code page 850, and no word of it."""
    path = zipped(tmp_path / "data.zip", {"tr_n/n01440764_18.JPEG": b"fish"})
    path.write_bytes(path.read_bytes().replace(b"tr_n", b"tr\x84n"))
    assert read_all(opened(path)["train"]) == {(0, "n01440764_18.JPEG"): b"fish"}


def test_what_macos_adds_is_left_out(tmp_path: Path) -> None:
    files = {"train/n01440764_18.JPEG": b"fish", "train/.DS_Store": b"", "train/._n01440764_18.JPEG": b"resource"}
    files |= {f"__MACOSX/{name}": b"resource" for name in list(files)}
    assert read_all(opened(zipped(tmp_path / "a.zip", files))["train"]) == {(0, "n01440764_18.JPEG"): b"fish"}


def test_places_are_those_of_the_bytes(kaggle: Path) -> None:
    """The offset is where the packed bytes begin; the member is its name in the zip."""
    reader = opened(kaggle)["val"]
    with zipfile.ZipFile(kaggle) as archive:
        for row in range(len(reader)):
            place = reader.where(row)
            info = archive.getinfo(place.member)
            assert place.member == f"{DATA}/val/{reader.name(row)}"
            extra = int.from_bytes(kaggle.read_bytes()[info.header_offset + 28 :][:2], "little")
            assert place.offset == info.header_offset + FIXED + len(info.filename) + extra


def test_spans_reach_from_header_to_header(kaggle: Path) -> None:
    reader = opened(kaggle)["train"]
    with zipfile.ZipFile(kaggle) as archive:
        ends = [*sorted(info.header_offset for info in archive.infolist()), archive.start_dir]
        infos = {Path(info.filename).name: info for info in archive.infolist() if f"{DATA}/train/" in info.filename}
    for row, (start, stop) in enumerate(np.asarray(reader.spans(np.arange(len(reader)))).tolist()):
        info = infos[reader.name(row)]
        assert start == info.header_offset
        assert stop == ends[ends.index(start) + 1] >= start + FIXED + len(info.filename) + info.compress_size


def test_damaged_image_names_its_place(kaggle: Path) -> None:
    readers = opened(kaggle)
    place = readers["train"].where(3)
    patched(kaggle, place.offset + 50, bytes(20))
    with pytest.raises(ArchiveError) as caught:
        opened(kaggle)["train"].read(3)
    assert caught.value.code == Code.CHANGED_IMAGE
    assert caught.value.member == place.member
    assert caught.value.offset == place.offset
    assert len(opened(kaggle)["train"].read(4)) == readers["train"].sizes[4]


def test_damaged_header_names_the_image(kaggle: Path) -> None:
    at = int(np.asarray(opened(kaggle)["val"].spans(np.array([5])))[0, 0])
    patched(kaggle, at, b"XX")
    reader = opened(kaggle)["val"]
    with pytest.raises(ArchiveError, match="not where the zip's list of members says") as caught:
        reader.read(5)
    assert (caught.value.member, caught.value.offset) == (reader.name(5), at)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_memory_of_what_was_taken_is_given_back(
    method: int, truth: Truth, split: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "BATCH", 8_000)
    path = zipped(tmp_path / "a.zip", {name: data for (_, name), data in truth.items()}, method)
    reader = opened(path)[split]
    rows = reader.storage_order()
    spans = np.asarray(reader.spans(rows)).tolist()
    told: list[tuple[int, int, int]] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda _, *words: told.append(words))
    for place, _ in enumerate(reader.take(rows)):
        start, stop = spans[place]
        announced = [(at, at + n) for at, n, advice in told if advice == os.POSIX_FADV_WILLNEED]
        assert any(at <= start and stop <= end for at, end in announced)
        let_go = [(at, at + n) for at, n, advice in told if advice == os.POSIX_FADV_DONTNEED]
        assert not any(at < stop and start < end for at, end in let_go)
    let_go = [(at, at + n) for at, n, advice in told if advice == os.POSIX_FADV_DONTNEED]
    assert len(let_go) > 3
    assert all(any(at <= start and stop <= end for at, end in let_go) for start, stop in spans)


def test_part_takes_little_and_opens_nothing_again(thousand_tree: Path, tmp_path: Path) -> None:
    WRITERS["zipfile, stored"](tmp_path / "a.zip", thousand_tree / "train")
    reader = opened(tmp_path / "a.zip")["train"]
    data = pickle.dumps(reader.part(np.arange(10)))
    assert len(data) < 4_000
    shutil.rmtree(tmp_path / ".ilsvrc")
    part = pickle.loads(data)
    assert part.read(9) == reader.read(9)
    assert not (tmp_path / ".ilsvrc").exists()


def rewrite(path: Path) -> None:
    before = path.stat()
    patched(path, 2_000, b"other bytes")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    os.link(path, path.with_suffix(".old"))
    shutil.copy2(path, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def move(path: Path) -> None:
    path.rename(path.with_suffix(".moved"))


@pytest.mark.parametrize("change", [rewrite, replace, move, Path.unlink])
def test_zip_that_changes_is_told(kaggle: Path, change: Callable[[Path], None]) -> None:
    reader = opened(kaggle)["train"]
    data = pickle.dumps(reader)
    part = pickle.dumps(reader.part(np.arange(3)))
    reader.require_unchanged()
    change(kaggle)
    with pytest.raises(ArchiveError):
        reader.require_unchanged()
    for copy in (data, part):
        with pytest.raises(IlsvrcError):
            pickle.loads(copy).read(0)


def test_digest_that_is_known_goes_with_the_container(kaggle: Path) -> None:
    [container] = opened(kaggle)["val"].containers()
    assert container.expected == ()
    (kaggle.parent / "MD5SUMS").write_text(f"{'0' * 32}  {kaggle.name}\n")
    [container] = opened(kaggle)["val"].containers()
    assert [str(found.digest) for found in container.expected] == [f"md5:{'0' * 32}"]


def test_split_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"n01440764_18.JPEG": b"fish"})
    source = opened(path)["train"].source  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="holds no val image") as caught:
        ZipReader.open(source, "val")
    assert caught.value.hint == "it has train"


def test_zip_that_is_being_fetched_is_refused(kaggle: Path) -> None:
    """aria2 fetches many pieces at once: the list of members may be there before the rest."""
    found = recognise(kaggle)
    kaggle.with_name(f"{kaggle.name}.aria2").touch()
    with pytest.raises(UsageError, match="still being fetched"):
        found[0].open()


def test_zip_that_is_cut_short_is_refused_by_itself_and_found_by_its_name_in_a_folder(kaggle: Path) -> None:
    kaggle.write_bytes(kaggle.read_bytes()[:5_000])
    with pytest.raises(ArchiveError, match="still being fetched, or was cut short"):
        recognise(kaggle)
    found = recognise(kaggle.parent)
    assert [(split.split, split.damaged) for split in found] == [("train", True), ("val", True)]
    with pytest.raises(ArchiveError, match="still being fetched, or was cut short"):
        found[0].open()
    kaggle.rename(kaggle.with_name("other.zip"))
    assert recognise(kaggle.parent) == []


def test_part_of_a_zip_is_refused_by_itself(kaggle: Path, tmp_path: Path) -> None:
    subprocess.run(["zip", "-q", "-s", "64k", "parts.zip", kaggle.name], cwd=tmp_path, check=True)
    for part in ("parts.z01", "parts.zip"):
        with pytest.raises(ArchiveError, match="one part of a zip"):
            recognise(tmp_path / part)


def test_contradiction_is_told_when_it_is_opened(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"n01443537/n01440764_18.JPEG": b"fish"})
    [found] = recognise(path)
    with pytest.raises(DamageError, match="its folder says n01443537"):
        found.open()


def test_nothing_of_ours_is_recognised_in_other_files(tmp_path: Path, mini: Path) -> None:
    zipped(tmp_path / "other.zip", {"cat.jpg": b"", "n01440764.txt": b""})
    np.savez(tmp_path / "arrays.zip", [1, 2])
    shutil.copy(mini / facts.VAL, tmp_path / "a tar.zip")
    (tmp_path / "empty.zip").touch()
    (tmp_path / "folder.zip").mkdir()
    (tmp_path / "nowhere.zip").symlink_to("nothing")
    assert recognise(tmp_path) == []
    for path in tmp_path.iterdir():
        assert recognise(path) == []
    assert recognise(tmp_path / "absent") == []


def test_nothing_is_indexed_to_recognise(kaggle: Path) -> None:
    assert [(found.split, found.form, found.path) for found in recognise(kaggle)] == [
        (split, "zip", kaggle) for split in ("train", "val", "test")
    ]
    assert not (kaggle.parent / ".ilsvrc").exists()


def test_long_list_is_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A split with a fiftieth of the members is seen, wherever it is; little of the list is read."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(20_000):
            name = (
                f"val/ILSVRC2012_val_{number:08}.JPEG" if 700 < number <= 1100 else f"train/n01440764_{number}.JPEG"
            )
            archive.writestr(name, b"")
    monkeypatch.setattr(zipreader, "_WHOLE", 1 << 16)
    monkeypatch.setattr(zipreader, "_SAMPLE", 1 << 10)
    read: list[int] = []
    actual = FileSource.read

    def counted(source: FileSource, offset: int, length: int) -> bytes:
        read.append(length)
        return actual(source, offset, length)

    monkeypatch.setattr(FileSource, "read", counted)
    assert [found.split for found in recognise(path)] == ["train", "val"]
    assert sum(read) < 400_000
