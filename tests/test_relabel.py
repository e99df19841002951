"""Folders renamed by the images in them, also when interrupted at every step."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from ilsvrc import facts
from ilsvrc.check.check import check
from ilsvrc.errors import DataError, MachineError, UsageError
from ilsvrc.events import Event, Note
from ilsvrc.files import locked, rename_new
from ilsvrc.prepare.prepare import prepare
from ilsvrc.relabel import relabel
from ilsvrc.tree.layout import Layout

module = sys.modules["ilsvrc.relabel"]  # the package's name for it is the function


@pytest.fixture
def tree(mini: Path, tmp_path: Path) -> Path:
    prepare(mini, tmp_path / "tree", jobs=1)
    return tmp_path / "tree"


def folders(tree: Path) -> dict[str, set[str]]:
    """The images of every folder."""
    return {f"{p.parent.name}/{p.name}": {i.name for i in p.iterdir()} for p in tree.glob("[tv]*/*") if p.is_dir()}


def by_class(tree: Path) -> dict[tuple[str, int], set[str]]:
    """The images of every split and class, in a tree with folders named by wnid."""
    index = {wnid: i for i, wnid in enumerate(facts.classes().wnids)}
    return {(split, index[wnid]): images for key, images in folders(tree).items() for split, wnid in [key.split("/")]}


def shift(tree: Path, by: int) -> None:
    """Name folders by index plus something, so that new and old names overlap."""
    for split in ("train", "val"):
        for i in range(6):
            (tree / split / facts.classes()[i].wnid).rename(tree / split / f"tmp{i}")
        for i in range(6):
            (tree / split / f"tmp{i}").rename(tree / split / str(i + by))


@pytest.mark.parametrize("layout", ["index", "padded", "{split}/{word}/{name}", "{split}/{devkit_id}/{name}"])
def test_prepared_tree_becomes_what_prepare_would_have_made(
    tree: Path, mini: Path, tmp_path: Path, layout: str
) -> None:
    assert relabel(tree, layout=layout, apply=True).applied
    prepare(mini, tmp_path / "other", layout=layout, jobs=1)
    assert folders(tree) == folders(tmp_path / "other")
    for split in ("train", "val"):
        assert (tree / f"{split}.txt").read_text() == (tmp_path / f"other/{split}.txt").read_text()
    assert check(tree, deep=True, jobs=1).ok
    again = prepare(mini, tree, layout=layout, jobs=1)
    assert [s.seconds for s in again.splits] == [0.0, 0.0], "prepare knows it again"


@pytest.mark.parametrize("by", [1, -0, 3])
def test_shifted_numbers_become_right(tree: Path, mini: Path, by: int) -> None:
    wanted = folders(tree)
    shutil.rmtree(tree / ".ilsvrc")
    shift(tree, by)
    assert check(tree, against=mini).ok is (by == 0)
    relabel(tree, layout="wnid", apply=True)
    assert folders(tree) == wanted
    assert check(tree, against=mini).ok
    assert relabel(tree, layout="wnid", apply=True).renames == ()


class Stop(Exception):
    """An interruption."""


STEPS = ("rename_new", "sync_path", "write_labels", "write_manifest")


def interrupted(tree: Path, layout: str, stop_at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relabel, and stop before one of the steps that change something."""
    count = 0

    def counting(name: str) -> object:
        real = getattr(module, name)

        def call(*arguments: object) -> object:
            nonlocal count
            count += 1
            if count == stop_at:
                raise Stop
            return real(*arguments)

        return call

    with monkeypatch.context() as patch:
        for name in STEPS:
            patch.setattr(module, name, counting(name))
        with pytest.raises(Stop):
            relabel(tree, layout=layout, apply=True)


@pytest.mark.parametrize("then", ["index", "wnid"])
@pytest.mark.parametrize("stop_at", range(1, 31))
def test_interrupted_anywhere_any_run_finishes_the_work(
    tree: Path, monkeypatch: pytest.MonkeyPatch, stop_at: int, then: str
) -> None:
    wanted = {Layout.parse(then).path(*key, "x")[:-2]: images for key, images in by_class(tree).items()}
    shift(tree, 1)  # folders 1 to 6 are to become 0 to 5
    interrupted(tree, "index", stop_at, monkeypatch)
    moved = tree.rename(tree.with_name("moved"))
    relabel(moved, layout=then, apply=True)
    assert folders(moved) == wanted
    assert check(moved, deep=True, jobs=1).ok
    for split in ("train", "val"):
        lines = (moved / f"{split}.txt").read_text().splitlines()
        assert all((moved / split / line.partition(" ")[0]).is_file() for line in lines)
    assert relabel(moved, layout=then).applied


def test_mixed_folders_are_refused(tree: Path) -> None:
    image = next((tree / "train/n01440764").iterdir())
    image.rename(tree / "train/n01443537" / image.name)
    before = folders(tree)
    with pytest.raises(DataError, match="several classes"):
        relabel(tree, layout="index", apply=True)
    assert folders(tree) == before


def test_two_folders_of_one_class_are_refused(tree: Path) -> None:
    (tree / "train/copy").mkdir()
    image = next((tree / "train/n01440764").iterdir())
    shutil.copy(image, tree / "train/copy/n01440764_99999.JPEG")
    with pytest.raises(DataError, match="copy and n01440764 would both be n01440764"):
        relabel(tree, layout="wnid", apply=True)


@pytest.mark.parametrize("layout", ["{split}/{wnid}/{word}/{name}", "{split}/{wnid}/x_{name}"])
def test_layouts_without_a_folder_a_class_are_refused(tree: Path, layout: str) -> None:
    with pytest.raises(UsageError, match="no folder for each class"):
        relabel(tree, layout=layout)


def test_the_tree_below_a_path_is_found(tree: Path, tmp_path: Path) -> None:
    kaggle = tmp_path / "kaggle/ILSVRC/Data/CLS-LOC"
    kaggle.parent.mkdir(parents=True)
    tree.rename(kaggle)
    assert relabel(tmp_path / "kaggle", layout="index").tree == str(kaggle)
    assert relabel(tmp_path / "kaggle", layout="index", apply=True).applied
    assert {path.name for path in (kaggle / "val").iterdir()} == set(map(str, range(6)))


def test_of_two_trees_below_a_path_the_first_is_taken(tree: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copytree(tree / "val", tmp_path / f"both/{name}/val")
    assert relabel(tmp_path / "both", layout="index").tree == str(tmp_path / "both/one")


def test_a_heap_beside_another_split_stays(tree: Path) -> None:
    for image in (tree / "val").glob("*/*"):
        image.rename(tree / image.name)
    shutil.rmtree(tree / "val")
    (tree / ".ilsvrc/val.arrow").unlink()
    assert relabel(tree, layout="index", apply=True).applied
    assert len(list(tree.glob("*.JPEG"))) == 12


def test_no_tree_is_the_callers_fault(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no train or val"):
        relabel(tmp_path)


def state(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Mode, size and time of change of everything in a folder, and of the folder itself."""
    found = {str(path): path.lstat() for path in [folder, *folder.rglob("*")]}
    return {path: (s.st_mode, s.st_size, s.st_mtime_ns) for path, s in found.items()}


@pytest.mark.parametrize("part", ["", "train", "val"])
def test_dry_run_writes_nothing(tree: Path, part: str) -> None:
    for own in (True, False):
        if not own:
            shutil.rmtree(tree / ".ilsvrc")
        before = state(tree.parent)
        told = relabel(tree / part, layout="padded")
        assert not told.applied
        assert len(told.renames) == (6 if part else 12)
        assert state(tree.parent) == before


def test_nothing_of_ours_is_written_among_the_classes(tree: Path) -> None:
    shutil.rmtree(tree / ".ilsvrc")
    relabel(tree / "val", layout="padded", apply=True)
    assert sorted(path.name for path in (tree / "val").iterdir()) == [f"{i:04}" for i in range(6)]
    assert (tree / ".ilsvrc/lock").is_file()


def test_a_splits_folder_has_the_manifest_of_its_tree(tree: Path) -> None:
    relabel(tree / "val", layout="padded", apply=True)
    report = check(tree, deep=True, jobs=1)
    assert report.ok
    assert [part.layout for part in report.parts] == ["wnid", "padded"]


@pytest.mark.parametrize("part", ["", "train", "val", "train/..", "train/n01440764/.."])
def test_a_tree_and_its_splits_have_one_lock(tree: Path, part: str) -> None:
    before = folders(tree)
    with locked(tree / ".ilsvrc/lock", wait=False), pytest.raises(MachineError, match="in use by another run"):
        relabel(tree / part, layout="padded", apply=True)
    assert folders(tree) == before


@pytest.mark.parametrize("kind", ["link", "dangling", "pipe", "folder"])
def test_a_lock_that_is_no_file_of_ours_is_refused(tree: Path, tmp_path: Path, kind: str) -> None:
    lock, other = tree / ".ilsvrc/lock", tmp_path / "other"
    lock.unlink()
    if kind == "pipe":
        os.mkfifo(lock)
    elif kind == "folder":
        lock.mkdir()
    else:
        lock.symlink_to(other)
        if kind == "link":
            other.write_text("mine")
    before = folders(tree)
    with pytest.raises(MachineError, match="lock is no regular file"):
        relabel(tree, layout="padded", apply=True)
    assert folders(tree) == before
    assert other.exists() is (kind == "link")
    assert kind != "link" or other.read_text() == "mine"


def test_a_link_in_place_of_our_folder_is_refused(tree: Path, tmp_path: Path) -> None:
    shutil.rmtree(tree / ".ilsvrc")
    (tmp_path / "elsewhere").mkdir()
    (tree / ".ilsvrc").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MachineError, match=r"\.ilsvrc is not a folder of ilsvrc's own"):
        relabel(tree, layout="padded", apply=True)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def forged(tree: Path, outside: Path) -> str:
    """A note as an earlier version left it, with folders that are none of its business."""
    renames = [[str(outside), "mine", "theirs"], [str(tree / "train"), "n01440764", "../moved"]]
    return json.dumps({"phase": 1, "renames": renames})


@pytest.mark.parametrize(
    "content", ["forged", "", "{", "7", "[1]", '{"phase": 2}', '{"phase": [], "renames": [[1]]}']
)
def test_no_file_says_what_to_rename(tree: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "outside/mine").mkdir(parents=True)
    note = forged(tree, tmp_path / "outside") if content == "forged" else content
    (tree / ".ilsvrc/relabel.json").write_text(note)
    relabel(tree, layout="padded", apply=True)
    assert (tmp_path / "outside/mine").is_dir()
    assert check(tree).ok
    assert {name.partition("/")[2] for name in folders(tree)} == {f"{i:04}" for i in range(6)}


def test_folders_left_aside_are_of_the_class_of_their_images(tree: Path) -> None:
    wanted = folders(tree)
    shift(tree, 0)
    for split in ("train", "val"):
        (tree / split / "2").rename(tree / split / ".relabel-5")
    relabel(tree, layout="wnid", apply=True)
    assert folders(tree) == wanted


def test_a_folder_left_aside_with_images_of_two_classes_is_refused(tree: Path) -> None:
    (tree / "train/n01440764").rename(tree / "train/.relabel-0")
    image = next((tree / "train/n01443537").iterdir())
    image.rename(tree / "train/.relabel-0" / image.name)
    with pytest.raises(DataError, match=r"\.relabel-0 holds images of 2 classes"):
        relabel(tree, apply=True)


def test_where_no_image_is_recognised_it_says_so(tree: Path) -> None:
    for image in tree.glob("*/*/*.JPEG"):
        image.rename(image.with_suffix(".jpeg.bak"))
    for part in ("", "train", "val"):
        with pytest.raises(DataError, match="no image of ILSVRC 2012 was recognised") as caught:
            relabel(tree / part, apply=True)
        assert "ilsvrc check" in caught.value.hint


def test_folders_without_recognised_images_are_named(tree: Path) -> None:
    for image in (tree / "train/n01440764").iterdir():
        image.rename(image.with_name(f"my_{image.name}.bak"))
    shutil.rmtree(tree / "val")
    (tree / "val/dogs").mkdir(parents=True)
    told = relabel(tree, layout="wnid")
    assert told.unrecognised == ("train/n01440764", "val")
    assert told.renames == ()


def test_a_file_that_has_a_new_name_is_refused_before_anything(tree: Path) -> None:
    (tree / "train/0003").write_text("mine")
    before = folders(tree)
    with pytest.raises(DataError, match="would both be 0003"):
        relabel(tree, layout="padded", apply=True)
    assert folders(tree) == before


def test_a_name_that_is_taken_meanwhile_is_not_replaced(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = folders(tree)

    def late(source: Path, target: Path) -> None:
        if target.name == "0003" and not target.exists():
            target.mkdir()  # empty: a plain rename would replace it
            (target.parent / "0003").chmod(0o711)
        rename_new(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(module, "rename_new", late)
        with pytest.raises(DataError, match="0003 appeared"):
            relabel(tree, layout="padded", apply=True)
    assert (tree / "train/0003").stat().st_mode & 0o777 == 0o711
    (tree / "train/0003").rmdir()
    relabel(tree, layout="wnid", apply=True)
    assert folders(tree) == wanted
    assert check(tree).ok


def test_a_list_of_someone_else_is_left_as_it_is(tree: Path, tmp_path: Path) -> None:
    (tree / "train.txt").write_text("my own list\n")
    (tmp_path / "val.txt").write_text("mine too\n")
    (tree / "val.txt").unlink()
    (tree / "val.txt").symlink_to(tmp_path / "val.txt")
    heard: list[Event] = []
    relabel(tree, layout="padded", apply=True, listener=heard.append)
    assert (tree / "train.txt").read_text() == "my own list\n"
    assert (tmp_path / "val.txt").read_text() == "mine too\n"
    assert ["was left as it is" in event.text for event in heard if isinstance(event, Note)] == [True, True]


def test_a_damaged_manifest_is_refused_before_anything(tree: Path) -> None:
    (tree / ".ilsvrc/train.arrow").write_bytes(b"ARROW1\0\0")
    before = folders(tree)
    with pytest.raises(DataError, match=r"train\.arrow is damaged") as caught:
        relabel(tree, layout="padded", apply=True)
    assert "remove it" in caught.value.hint
    assert folders(tree) == before


def test_an_empty_path_is_not_the_current_folder(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    with pytest.raises(UsageError, match="is empty"):
        relabel("")


def test_a_name_too_long_is_refused_before_anything(tree: Path) -> None:
    before = folders(tree)
    with pytest.raises(UsageError, match="more than 255 bytes"):
        relabel(tree, layout=f"{{split}}/{'a' * 250}{{wnid}}/{{name}}", apply=True)
    assert folders(tree) == before
