"""`prepare` from what is no archive: a tree gives the same images as the archives that it came from."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ilsvrc.errors import ArchiveError, DamageError, UsageError
from ilsvrc.events import Event, Note
from ilsvrc.issues import Code
from ilsvrc.prepare.prepare import prepare
from ilsvrc.testing import Form, MiniSpec, State, write_mini
from tests.prepare.test_prepare import images, options, unpacked


def test_a_tree_is_prepared_under_another_layout(mini: Path, tree: Path, tmp_path: Path) -> None:
    report = prepare(tree, tmp_path / "out", **options(layout="flat"))
    assert report.ok
    assert [one["form"] for one in report.decisions] == ["class folders"] * 2
    by_name = {Path(path).name: data for path, data in unpacked(mini).items()}
    assert {Path(path).name: data for path, data in images(tmp_path / "out").items()} == by_name


def test_one_split_from_archives_and_the_other_from_a_tree(mini: Path, tree: Path, tmp_path: Path) -> None:
    prepare(mini, tmp_path / "out", **options(splits=("train",)))
    prepare(tree, tmp_path / "out", **options(splits=("val",)))
    assert images(tmp_path / "out") == unpacked(mini)


def test_a_tree_is_never_deleted(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no official archive"):
        prepare(tree, tmp_path / "out", **options(source="delete"))
    assert (tree / "train").is_dir()


def test_an_image_that_is_no_longer_the_recorded_one_is_refused(mini: Path, tmp_path: Path) -> None:
    prepare(mini, tmp_path / "tree", **options())
    image = next((tmp_path / "tree/val").glob("*/*.JPEG"))
    image.write_bytes(bytes(image.stat().st_size))
    with pytest.raises(DamageError, match=image.name):
        prepare(tmp_path / "tree", tmp_path / "out", **options(layout="flat", splits=("val",)))
    assert not (tmp_path / "out/val").exists()


def test_a_zip_is_never_deleted(tmp_path: Path) -> None:
    folder = write_mini(tmp_path / "kaggle", classes=3, mean_bytes=2_500, form=Form.KAGGLE_ZIP).folder
    with pytest.raises(UsageError, match="is no official archive"):
        prepare(folder, tmp_path / "out", **options(source="delete"))
    assert list(folder.glob("*.zip"))


def sums(folder: Path, pattern: str) -> None:
    """List the sha256 of files, as `fetch --hf` does."""
    found = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in sorted(folder.glob(pattern))]
    (folder / "SHA256SUMS").write_text("".join(found))


def test_listed_digests_of_every_file_are_proved(tmp_path: Path) -> None:
    data = write_mini(tmp_path / "hub", classes=3, mean_bytes=2_500, form=Form.HF_PARQUET).folder / "data"
    sums(data, "*.parquet")
    report = prepare(data, tmp_path / "out", **options())
    assert all(split.digest and split.digest.startswith("sha256:") for split in report.splits)
    assert {split.against for split in report.splits} == {"SHA256SUMS"}
    again = prepare(data, tmp_path / "again", **options(dry_run=True))
    assert all(one["proved_before"] for one in again.decisions)


def test_a_file_of_several_that_is_not_the_listed_one_is_refused(tmp_path: Path) -> None:
    data = write_mini(tmp_path / "hub", classes=3, mean_bytes=2_500, form=Form.HF_PARQUET).folder / "data"
    sums(data, "*.parquet")
    text = (data / "SHA256SUMS").read_text()
    (data / "SHA256SUMS").write_text(text.replace(text[:8], "0" * 8, 1))
    with pytest.raises(ArchiveError) as caught:
        prepare(data, tmp_path / "out", **options())
    assert caught.value.code is Code.WRONG_DIGEST
    assert not list(tmp_path.glob("out/train")) + list(tmp_path.glob("out/val"))


def warned(src: Path, dst: Path) -> str:
    heard: list[Event] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prepare(src, dst, **options(listener=heard.append))
    return "\n".join(event.text for event in heard if isinstance(event, Note) and event.warning)


def test_what_a_reader_warns_of_is_a_note(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree, tmp_path / "tree")
    (tmp_path / "tree/train/n01440764/notes.txt").write_text("a stray file")
    assert "1 entry is left out" in warned(tmp_path / "tree", tmp_path / "out")


def test_other_files_of_the_same_split_are_warned_of(tree: Path, tmp_path: Path) -> None:
    """Half of train in each of two zips: only one of them is prepared."""
    classes = sorted((tree / "train").iterdir())
    (tmp_path / "src").mkdir()
    for name, half in (("a.zip", classes[:3]), ("b.zip", classes[3:])):
        with zipfile.ZipFile(tmp_path / "src" / name, "w") as archive:
            for image in (image for folder in half for image in folder.iterdir()):
                archive.write(image, image.relative_to(tree))
    told = warned(tmp_path / "src", tmp_path / "out")
    assert f"train is prepared from {tmp_path / 'src/a.zip'} alone; it is also in {tmp_path / 'src/b.zip'}" in told


def test_damaged_file_of_a_split_is_not_left_out(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree / "train", tmp_path / "src/train")
    (tmp_path / "src/val.tar.gz").write_bytes(b"<html>Log in</html>")
    with pytest.raises(ArchiveError, match=r"val\.tar\.gz.* web page"):
        prepare(tmp_path / "src", tmp_path / "out", **options())
    assert not (tmp_path / "out").exists()
    assert prepare(tmp_path / "src", tmp_path / "out", **options(splits=("train",))).ok


def test_images_that_a_zip_lacks_are_warned_of(tmp_path: Path) -> None:
    """Nothing vouches for a zip: the facts of ILSVRC 2012 say how many images it should have."""
    folder = write_mini(tmp_path / "kaggle", classes=3, mean_bytes=2_500, form=Form.KAGGLE_ZIP).folder
    told = warned(folder, tmp_path / "out").splitlines()
    assert told[0].startswith("train: 9 of 1,281,167 images are there; 1,000 classes have another number of images")
    assert "(n01440764: 3 images of 1,300, by the facts of ILSVRC 2012)" in told[0]
    assert told[1].startswith("val: 3 of 50,000 images are there")
    assert told[1].endswith(f"`ilsvrc check {next(folder.glob('*.zip'))}` lists them")


def test_only_the_classes_asked_for_are_counted(tmp_path: Path) -> None:
    folder = write_mini(tmp_path / "hub", classes=3, val_per_class=50, mean_bytes=2_500, form=Form.HF_PARQUET).folder
    heard: list[Event] = []
    prepare(folder, tmp_path / "out", **options(classes=("0", "2"), listener=heard.append))
    told = [event.text for event in heard if isinstance(event, Note) and event.warning]
    assert len(told) == 1, "val has all images of both classes"
    assert told[0].startswith("train: 6 of 2,600 images are there; 2 classes have")


@pytest.mark.parametrize(("state", "warnings"), [(State.COMPLETE, 0), (State.SOME_REMOVED, 1)])
def test_class_tars_are_counted_by_the_devkit_beside_them(state: State, warnings: int, tmp_path: Path) -> None:
    spec = MiniSpec(classes=8, mean_bytes=2_500, form=Form.INNER, state=state)
    write_mini(tmp_path / "inner", spec)
    told = [line for line in warned(tmp_path / "inner", tmp_path / "out").splitlines() if "are there" in line]
    assert len(told) == warnings
    assert all(line.startswith("train: 18 of 24 images are there; 2 classes have") for line in told)


def test_images_that_a_manifest_lists_are_not_counted_again(mini: Path, tmp_path: Path) -> None:
    prepare(mini, tmp_path / "tree", **options())
    assert warned(tmp_path / "tree", tmp_path / "out") == ""


def warnings_of(source: Path, target: Path, **changes: Any) -> list[str]:
    """Prepare a split and return the warnings, but for those of a miniature's few images."""
    heard: list[Event] = []
    prepare(source, target, listener=heard.append, **options(**changes))
    told = [event.text for event in heard if isinstance(event, Note) and event.warning]
    return [text for text in told if " images are there; " not in text]


@pytest.mark.parametrize("layout", ["wnid", "padded", "{split}/{word}/{name}"])
def test_an_image_in_the_folder_of_another_class_is_told(mini: Path, tmp_path: Path, layout: str) -> None:
    prepare(mini, tmp_path / "tree", **options(layout=layout, splits=("train",)))
    shutil.rmtree(tmp_path / "tree/.ilsvrc")
    assert not warnings_of(tmp_path / "tree", tmp_path / "right", splits=("train",))
    folders = sorted((tmp_path / "tree/train").iterdir())
    image = sorted(folders[0].iterdir())[0]
    image.rename(folders[1] / image.name)
    (told,) = warnings_of(tmp_path / "tree", tmp_path / "out", splits=("train",))
    assert "1 image lies in the folder of another class" in told
    assert f"{folders[1].name}/{image.name}" in told
    assert images(tmp_path / "out") == images(tmp_path / "right")


def test_folders_that_have_changed_names_are_told_with_three_images(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree / "train", tmp_path / "tree/train")
    folders = sorted((tmp_path / "tree/train").iterdir())
    folders[0].rename(tmp_path / "aside")
    folders[1].rename(folders[0])
    (tmp_path / "aside").rename(folders[1])
    (told,) = warnings_of(tmp_path / "tree", tmp_path / "out", splits=("train",))
    assert "8 images lie in the folder of another class" in told
    assert told.count(".JPEG") == 3
    assert "and 5 more" in told


def test_a_train_image_in_a_heap_of_validation_images_is_told(tmp_path: Path) -> None:
    kaggle = write_mini(tmp_path / "kaggle", classes=3, mean_bytes=2_500, form=Form.KAGGLE).folder
    folder = kaggle / "ILSVRC/Data/CLS-LOC"
    image = next((folder / "train").glob("*/*"))
    shutil.copy(image, folder / "val")
    (told,) = warnings_of(kaggle, tmp_path / "out", splits=("val",))
    assert f"1 of {len(list((folder / 'val').iterdir()))} images have names of train images" in told
    assert image.name in told


def test_a_link_to_train_in_place_of_val_is_told(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree / "train", tmp_path / "tree/train")
    (tmp_path / "tree/val").symlink_to("train")
    (told,) = warnings_of(tmp_path / "tree", tmp_path / "out")
    assert "24 of 24 images have names of train images, and are prepared as val" in told
    assert f"leads to {tmp_path / 'tree/train'}" in told


def test_two_tars_of_a_split_are_told_with_what_to_do(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    folders = sorted((tree / "train").iterdir())
    for name, part in (("a.tar", folders[:3]), ("b.tar", folders[3:])):
        with tarfile.open(tmp_path / "src" / name, "w") as archive:
            for folder in part:
                archive.add(folder, folder.name)
    first, second = warnings_of(tmp_path / "src", tmp_path / "out")
    assert f"it is also in {tmp_path / 'src/b.tar'}. If they are parts of it, unpack all into one folder" in first
    assert "only train is prepared" in second
    assert "there is" not in second, "a tar of train is no candidate for val"


@pytest.mark.parametrize("form", ["kaggle-zip", "hf-parquet"])
def test_a_digest_that_was_asked_for_and_is_not_known_is_refused(tmp_path: Path, form: Form) -> None:
    """Nobody asked for the md5, which is the default."""
    spec = MiniSpec(classes=2, per_class=2, val_per_class=1, mean_bytes=2_000, form=form)
    source = write_mini(tmp_path / "source", spec).folder
    with pytest.raises(ArchiveError, match="no SHA256SUMS beside it") as caught:
        prepare(source, tmp_path / "out", **options(verify="sha256"))
    assert "leave --verify out" in caught.value.hint
    assert not (tmp_path / "out").exists()
    assert prepare(source, tmp_path / "out", **options()).ok
