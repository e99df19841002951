"""The index of miniatures against tarfile; what archives of other things are called."""

from __future__ import annotations

import dataclasses
import io
import shutil
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from ilsvrc import facts
from ilsvrc.archive.build import build_index
from ilsvrc.archive.index import Index
from ilsvrc.archive.source import FileSource
from ilsvrc.errors import ArchiveError
from ilsvrc.events import Event, Started
from ilsvrc.issues import Code


def built(path: Path) -> Index:
    return build_index(FileSource(path))


def nested(path: Path) -> dict[str, tuple[int, int]]:
    """Every image of a train archive by tarfile alone: name to offset and size in the outer file."""
    found: dict[str, tuple[int, int]] = {}
    with tarfile.open(path) as outer:
        for inner in outer:
            file = outer.extractfile(inner)
            assert file is not None
            with tarfile.open(fileobj=file) as archive:
                found |= {
                    m.name.rpartition("/")[2]: (inner.offset_data + m.offset_data, m.size)
                    for m in archive
                    if m.isreg()
                }
    return found


def test_train_index_is_what_tarfile_finds(thousand: Path) -> None:
    index = built(thousand / facts.TRAIN)
    expected = nested(thousand / facts.TRAIN)
    assert {m.name: (m.offset, m.size) for m in index} == expected
    assert [m.name for m in index] == sorted(expected), "sorted by wnid, then by name"
    assert index.labels.tolist() == [facts.classes().by_wnid(m.name[:9]).index for m in index]


def test_val_index_is_what_tarfile_finds(thousand: Path) -> None:
    index = built(thousand / facts.VAL)
    with tarfile.open(thousand / facts.VAL) as archive:
        expected = {m.name: (m.offset_data, m.size) for m in archive}
    assert {m.name: (m.offset, m.size) for m in index} == expected
    truth = facts.val_labels()
    assert index.labels.tolist() == [truth[int(m.name[15:23]) - 1] for m in index]
    keys = [(label, m.name) for label, m in zip(index.labels.tolist(), index, strict=True)]
    assert keys == sorted(keys)


def test_offsets_lead_to_the_images(mini: Path) -> None:
    source = FileSource(mini / facts.VAL)
    with tarfile.open(mini / facts.VAL) as archive:
        for member in build_index(source):
            file = archive.extractfile(member.name)
            assert file is not None
            assert source.read(member.offset, member.size) == file.read()


def test_archive_order_is_a_permutation_in_rising_offsets(mini: Path) -> None:
    index = built(mini / facts.TRAIN)
    assert np.array_equal(np.sort(index.archive_order), np.arange(len(index)))
    assert (np.diff(index.offsets[index.archive_order]) > 0).all()


def test_index_is_a_sequence(mini: Path) -> None:
    index = built(mini / facts.VAL)
    assert len(index) == 12
    assert index[-1] == index[11] == list(index)[11]
    assert [m.name for m in index[2:5]] == [index.name(i) for i in (2, 3, 4)]
    with pytest.raises(IndexError):
        index[12]


def flat(path: Path, names: list[str]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 3
            archive.addfile(info, io.BytesIO(b"abc"))
    return path


def test_other_digit_counts_and_folders_are_accepted(tmp_path: Path) -> None:
    index = built(flat(tmp_path / "v.tar", ["./ILSVRC2012_val_00000001.JPEG", "val/ILSVRC2012_val_2.JPEG"]))
    assert index.split == "val"
    assert {m.name: int(label) for m, label in zip(index, index.labels, strict=True)} == {
        "ILSVRC2012_val_00000001.JPEG": 65,
        "ILSVRC2012_val_2.JPEG": 970,
    }


def with_extras(path: Path, name: str, data: bytes) -> bytes:
    """A tar as macOS's archiver writes it: a global pax header, folders, and a `._` file before the file itself."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "extra"}) as archive:
        for extra in ("/", "./", "val/"):
            folder = tarfile.TarInfo(extra)
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder)
        for member, content in ((f"./._{name}", b"Mac OS X"), (f"./{name}", data)):
            info = tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path.read_bytes()


def test_folders_and_what_macos_adds_are_skipped_in_outer_and_inner_tars(tmp_path: Path) -> None:
    inner = with_extras(tmp_path / "inner.tar", "n01440764_1.JPEG", b"image")
    with_extras(tmp_path / "outer.tar", "n01440764.tar", inner)
    source = FileSource(tmp_path / "outer.tar")
    index = build_index(source)
    assert [(m.name, source.read(m.offset, m.size)) for m in index] == [("n01440764_1.JPEG", b"image")]
    with_extras(tmp_path / "v.tar", "ILSVRC2012_val_00000001.JPEG", b"image")
    assert [m.name for m in built(tmp_path / "v.tar")] == ["ILSVRC2012_val_00000001.JPEG"]


def test_digits_of_other_scripts_are_no_numbers(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError) as caught:
        built(flat(tmp_path / "v.tar", ["ILSVRC2012_val_1.JPEG", "ILSVRC2012_val_\u0662.JPEG"]))
    assert caught.value.code is Code.UNKNOWN_MEMBER


def test_test_images_have_no_label(tmp_path: Path) -> None:
    index = built(flat(tmp_path / "t.tar", ["ILSVRC2012_test_00000002.JPEG", "ILSVRC2012_test_00000001.JPEG"]))
    assert index.split == "test"
    assert index.labels.tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["ILSVRC2012_val_1.JPEG", "ILSVRC2012_val_00000001.JPEG"], Code.DUPLICATE_MEMBER),
        (["ILSVRC2012_val_00050001.JPEG"], Code.UNKNOWN_MEMBER),
        (["ILSVRC2012_val_00000000.JPEG"], Code.UNKNOWN_MEMBER),
        (["ILSVRC2012_val_1.JPEG", "ILSVRC2012_test_2.JPEG"], Code.UNKNOWN_MEMBER),
        (["ILSVRC2012_val_1.JPEG", "readme.txt"], Code.UNKNOWN_MEMBER),
        (["n99999999.tar"], Code.UNKNOWN_CLASS),
        (["photo.jpg"], Code.WRONG_FILE),
        ([], Code.WRONG_FILE),
    ],
)
def test_unknown_members_are_refused(tmp_path: Path, names: list[str], code: Code) -> None:
    with pytest.raises(ArchiveError) as caught:
        built(flat(tmp_path / "x.tar", names))
    assert caught.value.code is code


def test_a_train_archive_under_the_name_of_val_is_refused(tmp_path: Path, mini: Path) -> None:
    (tmp_path / facts.VAL).write_bytes((mini / facts.TRAIN).read_bytes())
    with pytest.raises(ArchiveError) as caught:
        built(tmp_path / facts.VAL)
    assert caught.value.code is Code.WRONG_FILE
    assert "train" in str(caught.value)


def test_an_image_in_the_archive_of_another_class_is_refused(tmp_path: Path) -> None:
    inner = flat(tmp_path / "i.tar", ["n01440764_1.JPEG", "n01443537_2.JPEG"]).read_bytes()
    path = tmp_path / "outer.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("n01440764.tar")
        info.size = len(inner)
        archive.addfile(info, io.BytesIO(inner))
    with pytest.raises(ArchiveError) as caught:
        built(path)
    assert caught.value.code is Code.WRONG_CLASS
    assert caught.value.member == "n01440764.tar/n01443537_2.JPEG"


@pytest.mark.parametrize(("official", "total"), [(False, 0), (True, 1_281_167)])
def test_the_number_of_images_is_announced_where_it_is_known(
    mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, official: bool, total: int
) -> None:
    """A share of the official number would promise a small archive weeks of work."""
    path = Path(shutil.copy(mini / facts.TRAIN, tmp_path))
    if official:
        spec = dataclasses.replace(
            next(a for a in facts.archives() if a.name == facts.TRAIN), size=path.stat().st_size
        )
        monkeypatch.setattr(sys.modules["ilsvrc.facts.archives"], "archives", lambda: (spec,))
    events: list[Event] = []
    build_index(FileSource(path), events.append)
    assert events[0] == Started("index", total_images=total)
