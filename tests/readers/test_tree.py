"""Trees under the contract of readers, and what a tree reader refuses or leaves out."""

from __future__ import annotations

import os
import pickle
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ilsvrc import prepare
from ilsvrc.errors import DamageError, UsageError
from ilsvrc.events import Event, Note
from ilsvrc.issues import Code
from ilsvrc.readers.locate import open_reader
from ilsvrc.readers.reader import LARGEST_IMAGE, Reader
from ilsvrc.readers.tree import TreeReader
from ilsvrc.testing.contracts import ReaderContract
from ilsvrc.testing.mini import MiniSpec, write_mini
from tests.cli.helpers import ilsvrc
from tests.readers.conftest import truth_of


class TestForeignTree(ReaderContract):
    @pytest.fixture
    def reader(self, tree: Path, split: str) -> Reader:
        return open_reader(tree, split)


class TestSplitFolder(ReaderContract):
    @pytest.fixture
    def reader(self, tree: Path, split: str) -> Reader:
        return open_reader(tree / split, split)


@pytest.fixture(scope="session", params=["wnid", "index", "padded", "flat", "{split}/{word}/{name}"])
def prepared(request: pytest.FixtureRequest, mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("prepared")
    prepare(mini, target, layout=str(request.param), jobs=1)
    return target


class TestPreparedTree(ReaderContract):
    @pytest.fixture
    def reader(self, prepared: Path, split: str) -> Reader:
        return open_reader(prepared, split, verify=True)


class TestPreparedTreeWithoutManifest(ReaderContract):
    @pytest.fixture
    def reader(self, prepared: Path, split: str, tmp_path: Path) -> Reader:
        shutil.copytree(prepared / split, tmp_path / split)
        return open_reader(tmp_path, split)


@pytest.mark.parametrize("verify", [False, True])
def test_changed_file_is_never_an_image(own_tree: Path, verify: bool) -> None:
    reader = open_reader(own_tree, "train", verify=verify)
    path = Path(reader.where(2).file)
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(DamageError, match="when it was recorded") as caught:
        reader.read(2)
    assert [issue.code for issue in caught.value.issues] == [Code.CHANGED_IMAGE]
    assert str(path) in caught.value.message


def test_only_verifying_finds_changed_bytes(own_tree: Path) -> None:
    path = Path(open_reader(own_tree, "val").where(3).file)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert len(open_reader(own_tree, "val").read(3)) == len(data)
    with pytest.raises(DamageError, match="digest"):
        open_reader(own_tree, "val", verify=True).read(3)


@pytest.mark.parametrize("name", ["n01440764/n01440764_99.JPEG", "n01440764_99.JPEG"])
def test_file_too_large_for_an_image_is_not_read(foreign: Path, name: str) -> None:
    path = foreign / "train" / name
    with path.open("wb") as file:
        file.truncate(LARGEST_IMAGE + 1)  # a hole: it takes no room
    reader = open_reader(foreign, "train")
    (row,) = [row for row in range(len(reader)) if reader.name(row) == path.name]
    with pytest.raises(DamageError, match="268,435,457 bytes: too many for an image") as caught:
        reader.read(row)
    assert caught.value.issues[0].code is Code.NOT_AN_IMAGE


def test_removed_file_says_so(own_tree: Path) -> None:
    reader = open_reader(own_tree, "val")
    Path(reader.where(0).file).unlink()
    with pytest.raises(DamageError, match="gone"):
        reader.read(0)


def test_tree_prepared_anew_is_refused_by_copies(own_tree: Path) -> None:
    data = pickle.dumps(open_reader(own_tree, "val"))
    os.utime(own_tree / ".ilsvrc/val.arrow", ns=(1, 1))
    with pytest.raises(DamageError, match=r"val\.arrow is not as it was"):
        pickle.loads(data)


def test_damaged_manifest_is_not_believed(own_tree: Path) -> None:
    (own_tree / ".ilsvrc/val.arrow").write_bytes(b"ARROW1\0\0 not really")
    reader = open_reader(own_tree, "val")
    assert isinstance(reader, TreeReader)
    assert len(reader.read(0)) == reader.sizes[0]
    with pytest.raises(UsageError, match="no digests"):
        open_reader(own_tree, "val", verify=True)


@pytest.fixture
def foreign(tree: Path, tmp_path: Path) -> Path:
    """A tree without manifest whose validation images have names of train images, as imagenette's have."""
    shutil.copytree(tree / "train", tmp_path / "nette/train")
    shutil.copytree(tree / "train", tmp_path / "nette/val")
    return tmp_path / "nette"


@pytest.mark.parametrize("below", ["", "val", "validation"])
def test_images_belong_to_the_split_whose_folder_they_lie_in(foreign: Path, tree: Path, below: str) -> None:
    if below == "validation":
        (foreign / "val").rename(foreign / "validation")
    reader, truth = open_reader(foreign / below, "val"), truth_of(tree, "train")
    assert reader.split == "val"
    assert list(zip(reader.labels.tolist(), reader.names.to_pylist(), strict=True)) == sorted(truth)
    assert [data for _, data in reader.take(np.arange(len(reader)))] == [truth[key] for key in sorted(truth)]


def test_one_image_of_another_split_is_not_dropped(foreign: Path, tree: Path) -> None:
    image = next((tree / "val/n01443537").iterdir())
    shutil.copy(image, foreign / "train/n01443537")
    reader = open_reader(foreign, "train")
    assert len(reader) == 25
    assert reader.labels[reader.names.to_pylist().index(image.name)] == 1


def test_test_images_have_no_label_whatever_their_names(foreign: Path) -> None:
    (foreign / "val").rename(foreign / "test")
    assert set(open_reader(foreign, "test").labels.tolist()) == {-1}


def test_what_is_left_out_is_counted_in_a_warning(foreign: Path) -> None:
    val = foreign / "val"
    image = next((val / "n01440764").iterdir())
    (val / ".hidden").mkdir()
    (val / "n01440764/deeper").mkdir()
    (val / "n01440764/Thumbs.db").write_bytes(b"")
    shutil.copy(image, val / "n01440764/ILSVRC2012_test_00000001.JPEG")  # its name tells no class
    bad = os.fsencode(val) + b"/caf\xe9"
    os.mkdir(bad)
    shutil.copy(os.fsencode(image), bad)
    shutil.copy(os.fsencode(image), os.fsencode(image.parent) + b"/\xff.JPEG")
    with pytest.warns(
        UserWarning, match=r"6 entries are left out.*: 3 stray-file, 2 stray-folder, 1 hidden-folder"
    ) as caught:
        assert len(open_reader(foreign, "val")) == 24
    command = str(caught[0].message).split("`")[1]
    listed = ilsvrc(*shlex.split(command)[1:], status=1).stdout
    for name in (".hidden", "deeper", "Thumbs.db", "test_00000001", "caf\\udce9", "\\udcff.JPEG"):
        assert name in listed


def test_folder_without_any_image_is_an_error_and_no_warning(tmp_path: Path) -> None:
    (tmp_path / "val/cats").mkdir(parents=True)
    (tmp_path / "val/cats/tom.jpg").write_bytes(b"")
    with pytest.raises(UsageError, match="no val image"):
        open_reader(tmp_path, "val")


def test_foreign_tree_that_changes_is_told(foreign: Path) -> None:
    image = next((foreign / "val/n01440764").iterdir())
    changes: list[Callable[[], object]] = [
        lambda: image.rename(image.with_name("n01440764_777.JPEG")),
        lambda: shutil.copy(foreign / "val/n01440764/n01440764_777.JPEG", foreign / "val/n01440764_778.JPEG"),
        lambda: (foreign / "val/n01443537").rename(foreign / "val/goldfish"),
        lambda: (foreign / "val").rename(foreign / "validation"),
    ]
    for change in changes:
        reader = open_reader(foreign, "val")
        copy = pickle.loads(pickle.dumps(reader))
        reader.require_unchanged()
        change()
        for opened in (reader, copy):
            with pytest.raises(DamageError, match="the tree changed while it was in use"):
                opened.require_unchanged()


def test_manifest_that_is_rewritten_with_its_old_time_is_told(own_tree: Path) -> None:
    reader = open_reader(own_tree, "val", verify=True)
    data = pickle.dumps(reader)
    manifest = own_tree / ".ilsvrc/val.arrow"
    before = manifest.stat()
    with manifest.open("r+b") as file:
        file.write(b"ARROW1")
    os.utime(manifest, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(DamageError, match=r"val\.arrow is not as it was"):
        reader.require_unchanged()
    with pytest.raises(DamageError, match=r"val\.arrow is not as it was"):
        pickle.loads(data)


def test_file_that_is_rewritten_with_its_old_time_fails_its_digest(own_tree: Path) -> None:
    reader = open_reader(own_tree, "val", verify=True)
    copy = pickle.loads(pickle.dumps(reader))
    path = Path(reader.where(3).file)
    before = path.stat()
    path.write_bytes(bytes(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    for opened in (reader, copy, open_reader(own_tree, "val", verify=True)):
        assert len(opened.read(2)) == opened.sizes[2]
        with pytest.raises(DamageError, match="digest") as caught:
            opened.read(3)
        with pytest.raises(DamageError, match="digest"):
            list(opened.take(np.arange(len(opened))))
    found = ilsvrc(*shlex.split(caught.value.hint)[1:], status=1).stdout
    assert path.name in found


def test_identity_is_of_the_content(own_tree: Path, foreign: Path, tmp_path: Path) -> None:
    whole = open_reader(own_tree, "val", verify=True).identity
    shutil.copytree(own_tree, tmp_path / "copy")
    assert open_reader(tmp_path / "copy", "val").identity == whole
    folders = open_reader(foreign, "train").identity
    heap = tmp_path / "heap/train"
    heap.mkdir(parents=True)
    for image in foreign.glob("train/*/*"):
        shutil.copy(image, heap)
    assert open_reader(tmp_path / "heap", "train").identity == folders
    assert open_reader(foreign, "val").identity != folders
    with image.open("ab") as file:
        file.write(b"x")
    assert open_reader(foreign, "train").identity != folders


@pytest.fixture
def heap(tree: Path, tmp_path: Path) -> Path:
    """Validation images in one folder, as the archive unpacks, beside a train tree."""
    shutil.copytree(tree / "train", tmp_path / "heap/train")
    (tmp_path / "heap/val").mkdir()
    for image in tree.glob("val/*/*"):
        shutil.copy(image, tmp_path / "heap/val")
    return tmp_path / "heap"


@pytest.mark.parametrize("named", ["val", "ILSVRC2012_img_val"])
@pytest.mark.parametrize("half", [False, True])
def test_a_heap_has_the_labels_of_its_names(heap: Path, tree: Path, half: bool, named: str) -> None:
    for image in sorted((heap / "val").iterdir())[::2] if half else []:
        [place] = tree.glob(f"val/*/{image.name}")
        (heap / "val" / place.parent.name).mkdir(exist_ok=True)
        image.rename(heap / "val" / place.parent.name / image.name)
    (heap / "val").rename(heap / named)
    reader, truth = open_reader(heap if named == "val" else heap / named, "val"), truth_of(tree, "val")
    assert list(zip(reader.labels.tolist(), reader.names.to_pylist(), strict=True)) == sorted(truth)
    assert [data for _, data in reader.take(np.arange(len(reader)))] == [truth[key] for key in sorted(truth)]


def test_an_image_in_the_heap_and_in_a_folder_is_counted_once(heap: Path, tree: Path) -> None:
    shutil.copytree(tree / "val/n01440764", heap / "val/n01440764")
    shutil.copytree(tree / "val/n01440764", heap / "val/again")
    with pytest.warns(UserWarning, match=r"4 images are there twice with the same bytes, and counted once"):
        reader = open_reader(heap, "val")
    truth = truth_of(tree, "val")
    assert list(zip(reader.labels.tolist(), reader.names.to_pylist(), strict=True)) == sorted(truth)
    heard: list[Event] = []
    prepare(heap, heap.parent / "out", verify="none", jobs=1, listener=heard.append)
    assert any("counted once" in event.text for event in heard if isinstance(event, Note))
    assert truth_of(heap.parent / "out", "val") == truth


def test_two_different_files_of_one_name_are_refused_with_both_paths(heap: Path, tree: Path) -> None:
    shutil.copytree(tree / "val/n01440764", heap / "val/n01440764")
    image = next((heap / "val/n01440764").iterdir())
    image.write_bytes(image.read_bytes()[:-1])
    with pytest.raises(DamageError) as caught:
        open_reader(heap, "val")
    assert f"n01440764/{image.name}" in caught.value.message
    assert f" {image.name}" in caught.value.message
    assert [issue.code for issue in caught.value.issues] == [Code.DUPLICATE_IMAGE]
    told = ilsvrc("prepare", heap, heap.parent / "out", "--verify", "none", status=1).stderr
    assert image.name in told
    assert not (heap.parent / "out").exists()
    image.unlink()
    with pytest.warns(UserWarning, match="1 image is there twice"):
        assert len(open_reader(heap, "val")) == 12


def test_two_files_of_one_image_with_other_endings_are_refused(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree / "train", tmp_path / "train")
    image = next((tmp_path / "train/n01440764").iterdir())
    image.with_suffix(".jpeg").write_bytes(b"another image")
    with pytest.raises(DamageError, match="have one name and different bytes"):
        open_reader(tmp_path, "train")


@pytest.fixture(scope="module")
def kaggle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kaggle")
    write_mini(
        folder, MiniSpec(classes=6, per_class=2, val_per_class=2, mean_bytes=2_500, form="kaggle", test_images=3)
    )
    return folder


@pytest.mark.parametrize("level", ["", "ILSVRC", "ILSVRC/Data", "ILSVRC/Data/CLS-LOC"])
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_kaggles_tree_is_found_from_every_level(kaggle: Path, level: str, split: str) -> None:
    files = {path.name: path.read_bytes() for path in (kaggle / "ILSVRC/Data/CLS-LOC" / split).rglob("*.JPEG")}
    for root in (kaggle / level, kaggle / "ILSVRC/Data/CLS-LOC" / split):
        reader = open_reader(root, split)
        assert {reader.name(row): reader.read(row) for row in range(len(reader))} == files
        assert (set(reader.labels.tolist()) == {-1}) is (split == "test")


@pytest.mark.parametrize("level", ["ILSVRC/ImageSets", "ILSVRC/Annotations", "ILSVRC/ImageSets/CLS-LOC"])
def test_kaggles_lists_and_boxes_are_no_images(kaggle: Path, level: str) -> None:
    assert (kaggle / level).is_dir()
    with pytest.raises(UsageError):
        open_reader(kaggle / level, "train")


def test_kaggles_tree_is_prepared_with_its_test_split(kaggle: Path, tmp_path: Path) -> None:
    prepare(kaggle, tmp_path / "out", splits=("train", "val", "test"), verify="none", jobs=1)
    made = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("t*/**/*.JPEG")}
    assert len(made) == 12 + 3
    assert made == {p.name: p.read_bytes() for p in kaggle.glob("ILSVRC/Data/CLS-LOC/t*/**/*.JPEG")}
    assert len((tmp_path / "out/test.txt").read_text().splitlines()) == 3
