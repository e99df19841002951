"""What a zip says of its images is compared; what contradicts itself or the facts is refused with the place."""

from __future__ import annotations

import stat
import struct
import subprocess
import zipfile
from pathlib import Path

import pytest

from ilsvrc import facts
from ilsvrc.archive.source import FileSource
from ilsvrc.archive.zip.build import SOLUTION, build_splits
from ilsvrc.errors import ArchiveError, DamageError
from ilsvrc.events import Advanced, Event, Finished, Started
from ilsvrc.facts.names import val_name
from ilsvrc.issues import Code

from .zips import directory_of, patched, zipped

TENCH = "train/n01440764/n01440764_18.JPEG"


def refused(path: Path, code: Code) -> ArchiveError:
    with pytest.raises(ArchiveError) as caught:
        build_splits(FileSource(path))
    assert caught.value.code == code
    assert caught.value.hint
    return caught.value


def record_of(path: Path) -> int:
    """Return where the record of the only member is."""
    return directory_of(path.read_bytes())


def test_progress_is_told(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {TENCH: b"x", "readme": b""})
    events: list[Event] = []
    build_splits(FileSource(path), events.append)
    assert events == [Started("index", total_images=2), Advanced("index", images=2), Finished("index")]


@pytest.mark.parametrize(
    "names",
    [
        (TENCH, "n01440764_18.JPEG"),
        ("val/ILSVRC2012_val_00000001.JPEG", "val/n01751748/ILSVRC2012_val_1.JPEG"),
        (TENCH, TENCH.replace("JPEG", "jpg")),
    ],
)
def test_image_that_is_there_twice_is_refused(names: tuple[str, str], tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", dict.fromkeys(names, b"x"))
    fault = refused(path, Code.DUPLICATE_MEMBER)
    assert "first at byte 0" in fault.message
    with zipfile.ZipFile(path) as archive:
        assert fault.offset == archive.infolist()[1].header_offset


@pytest.mark.parametrize(
    ("name", "code"),
    [
        (f"../{TENCH}", Code.PATH_TRAVERSAL),
        (f"/{TENCH}", Code.PATH_TRAVERSAL),
        ("train\\..\\n01440764_18.JPEG", Code.PATH_TRAVERSAL),
        ("train/n99999999/n99999999_1.JPEG", Code.UNKNOWN_CLASS),
        ("val/ILSVRC2012_val_00050001.JPEG", Code.UNKNOWN_CLASS),
    ],
)
def test_names_that_can_not_be_are_refused(name: str, code: Code, tmp_path: Path) -> None:
    fault = refused(zipped(tmp_path / "a.zip", {"readme": b"", name: b"x"}), code)
    assert fault.member == name.replace("\\", "/")


@pytest.mark.parametrize(("kind", "code"), [(stat.S_IFLNK, Code.SYMLINK), (stat.S_IFIFO, Code.DEVICE)])
def test_what_is_no_regular_file_is_refused(kind: int, code: Code, tmp_path: Path) -> None:
    info = zipfile.ZipInfo(TENCH)
    info.create_system, info.external_attr = 3, (kind | 0o644) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, b"elsewhere")
    refused(tmp_path / "a.zip", code)


def test_link_by_info_zip_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "n01440764_18.JPEG"
    link.symlink_to("elsewhere")
    subprocess.run(["zip", "-q", "-y", "a.zip", link.name], cwd=tmp_path, check=True)
    refused(tmp_path / "a.zip", Code.SYMLINK)


@pytest.mark.parametrize(
    ("method", "name"), [(zipfile.ZIP_BZIP2, "method 12 (bzip2)"), (zipfile.ZIP_LZMA, "method 14 (lzma)")]
)
def test_other_methods_are_named(method: int, name: str, tmp_path: Path) -> None:
    fault = refused(zipped(tmp_path / "a.zip", {TENCH: b"x" * 99}, method), Code.COMPRESSED)
    assert name in fault.message
    assert "7z" in fault.hint


@pytest.mark.parametrize(("method", "name"), [(9, "deflate64"), (93, "zstandard"), (77, "not a known one")])
def test_methods_that_zipfile_does_not_write_are_named(method: int, name: str, tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {TENCH: b"x" * 99})
    patched(path, record_of(path) + 10, struct.pack("<H", method))
    assert f"method {method} ({name})" in refused(path, Code.COMPRESSED).message


def test_other_methods_of_other_members_do_no_harm(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {TENCH: b"x"})
    with zipfile.ZipFile(path, "a", zipfile.ZIP_LZMA) as archive:
        archive.writestr("readme", b"y" * 99)
    assert list(build_splits(FileSource(path))) == ["train"]


def test_encrypted_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "n01440764_18.JPEG").write_bytes(b"x")
    subprocess.run(["zip", "-q", "-P", "secret", "a.zip", "n01440764_18.JPEG"], cwd=tmp_path, check=True)
    assert "password" in refused(tmp_path / "a.zip", Code.ENCRYPTED).hint


@pytest.mark.parametrize(
    ("packed", "size"), [(100, 100_000_000), (10, 1_000_000), (1_000_000_000, 100), (100, 0xFFFFFFFF)]
)
def test_sizes_that_can_not_be_are_refused(packed: int, size: int, tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {TENCH: bytes(100)}, zipfile.ZIP_DEFLATED)
    patched(path, record_of(path) + 20, struct.pack("<II", packed, size))
    refused(path, Code.BAD_HEADER)


def test_members_that_share_bytes_are_refused(tmp_path: Path) -> None:
    """Two records of one member, as in a bomb of overlapping files (David Fifield, 2019)."""
    path = zipped(tmp_path / "a.zip", {TENCH: b"x" * 50, TENCH.replace("18", "19"): b"x" * 50})
    data = path.read_bytes()
    second = data.index(b"PK\1\2", record_of(path) + 4)
    patched(path, second + 42, struct.pack("<I", 10))
    fault = refused(path, Code.BAD_HEADER)
    assert "share bytes" in fault.message
    assert fault.offset == 0


def test_member_beyond_the_others_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {TENCH: b"x" * 50})
    patched(path, record_of(path) + 42, struct.pack("<I", record_of(path) - 10))
    refused(path, Code.BAD_HEADER)


def contradicted(path: Path) -> DamageError:
    with pytest.raises(DamageError) as caught:
        build_splits(FileSource(path))
    assert caught.value.hint
    return caught.value


def test_folders_that_contradict_names_are_refused(tmp_path: Path) -> None:
    wrong = [f"train/n01443537/n01440764_{number}.JPEG" for number in range(3)]
    fault = contradicted(zipped(tmp_path / "a.zip", dict.fromkeys([TENCH, *wrong], b"x")))
    assert "its folder says n01443537 (index 1), its name n01440764 (index 0)" in fault.message
    assert "3 images in all" in fault.message
    assert [issue.key for issue in fault.issues] == wrong
    assert {issue.code for issue in fault.issues} == {Code.WRONG_LABEL}


@pytest.mark.parametrize(
    "name", ["val/n01440764/ILSVRC2012_val_00000001.JPEG", "val/n99999999/ILSVRC2012_val_00000001.JPEG"]
)
def test_validation_image_in_the_folder_of_another_class_is_refused(name: str, tmp_path: Path) -> None:
    fault = contradicted(zipped(tmp_path / "a.zip", {name: b"x"}))
    assert "its name n01751748 (index 65)" in fault.message


def test_image_in_the_folder_of_another_split_is_refused(tmp_path: Path) -> None:
    fault = contradicted(zipped(tmp_path / "a.zip", {"train/ILSVRC2012_val_00000001.JPEG": b"x"}))
    assert "its folder says train, its name val" in fault.message


def test_validation_images_may_have_names_of_train_images(tmp_path: Path) -> None:
    """As in imagenette; in catalog order, which is that of labels."""
    names = ["val/n01440764/n01440764_18.JPEG", "val/n01443537/n01443537_1.JPEG", "val/ILSVRC2012_val_00000001.JPEG"]
    splits = build_splits(FileSource(zipped(tmp_path / "a.zip", dict.fromkeys(names, b"x"))))
    assert splits["val"].labels.tolist() == [0, 1, 65]


def solution(path: Path, *lines: str) -> Path:
    text = "ImageId,PredictionString\n" + "".join(f"{line}\n" for line in lines)
    files = {SOLUTION: text.encode(), "ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000001.JPEG": b"x"}
    return zipped(path, files, zipfile.ZIP_DEFLATED)


def said(number: int, label: int) -> str:
    wnid = facts.classes()[label].wnid
    return f"{val_name(number).removesuffix('.JPEG')},{wnid} 85 1 499 272 {wnid} 1 2 3 4 "


def test_validation_labels_in_the_zip_are_compared(tmp_path: Path) -> None:
    truth = facts.val_labels()
    right = [said(number, int(truth[number - 1])) for number in (48_981, 1, 2)]
    assert len(build_splits(FileSource(solution(tmp_path / "right.zip", *right)))["val"]) == 1
    wrong = [said(number, int(truth[number - 1] + 1) % 1000) for number in (7, 9)]
    fault = contradicted(solution(tmp_path / "wrong.zip", right[0], *wrong))
    assert [issue.key for issue in fault.issues] == [val_name(7), val_name(9)]
    assert "2 labels differ" in fault.message
    assert facts.classes()[int(truth[6])].wnid in fault.message


def test_damaged_file_of_validation_labels_is_refused(tmp_path: Path) -> None:
    path = solution(tmp_path / "a.zip", said(1, 65))
    patched(path, 60, bytes(8))
    assert refused(path, Code.CHANGED_IMAGE).member == SOLUTION
