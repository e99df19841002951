from __future__ import annotations

import itertools
import subprocess
import tarfile
from pathlib import Path

import pytest

from ilsvrc.facts import DEVKIT, TEST, TRAIN, VAL, classes
from ilsvrc.testing import Form, State
from tests.oracles import torchvision_datasets, unpack
from tests.testing.conftest import Written
from tests.testing.helpers import files, images_of, tree, untar

WNIDS = [synset.wnid for synset in classes()[:12]]


def test_inner_is_what_tar_leaves_of_the_train_archive(written: Written, tmp_path: Path) -> None:
    inner, archives = written(Form.INNER), written()
    assert tree(inner / "train") == tree(untar(archives / TRAIN, tmp_path))
    for name in (DEVKIT, VAL, TEST):
        assert (inner / name).read_bytes() == (archives / name).read_bytes()
    subprocess.run(["md5sum", "--check", "--strict", "MD5SUMS"], cwd=inner, capture_output=True, check=True)
    assert sorted(path.name for path in inner.iterdir()) == [DEVKIT, TEST, VAL, "MD5SUMS", "train"]


def test_a_tree_is_what_unpacking_makes(written: Written, tmp_path: Path) -> None:
    ours, theirs = written(Form.TREE), unpack(written(), tmp_path)
    for split in ("train", "val"):
        assert tree(ours / split) == tree(theirs / split)
    assert tree(ours / "test") == images_of(written())["test"]
    assert sorted(path.name for path in ours.iterdir()) == ["test", "train", "val"]


def test_torchvision_reads_the_tree_with_the_same_labels(written: Written) -> None:
    for split in ("train", "val"):
        folder = torchvision_datasets().ImageFolder(written(Form.TREE) / split)
        assert folder.classes == WNIDS
        assert {Path(path).name: folder.classes[label] for path, label in folder.samples} == labels(written(), split)


@pytest.mark.parametrize(
    ("layout", "folder"),
    [("index", "11"), ("padded", "0011"), ("flat", ""), ("{split}/{word}/{name}", "goldfinch")],
)
def test_a_tree_has_any_layout(written: Written, layout: str, folder: str) -> None:
    ours = written(Form.TREE, layout=layout)
    images = images_of(written())
    for split in ("train", "val"):
        found = tree(ours / split)
        assert {path.rpartition("/")[2]: data for path, data in found.items()} == images[split]
        assert all(path.count("/") == bool(folder) for path in found)
        goldfinch = [path for path in found if labels(written(), split)[path.rpartition("/")[2]] == WNIDS[11]]
        assert {path.rpartition("/")[0] for path in goldfinch} == {folder}


def test_a_heap_is_what_tar_leaves_of_the_val_archive(written: Written, tmp_path: Path) -> None:
    heap = written(Form.HEAP)
    assert tree(heap / "val") == tree(untar(written() / VAL, tmp_path))
    assert tree(heap / "train") == tree(written(Form.TREE) / "train")
    assert sorted(path.name for path in heap.iterdir()) == ["test", "train", "val"]


@pytest.mark.parametrize("compressed", [False, True])
def test_tars_of_a_tree_unpack_to_the_tree(written: Written, tmp_path: Path, compressed: bool) -> None:
    tars = written(Form.TREE_TAR, compressed=compressed)
    ending = ".tar.gz" if compressed else ".tar"
    assert sorted(path.name for path in tars.iterdir()) == [f"{split}{ending}" for split in ("test", "train", "val")]
    for path in tars.iterdir():
        if compressed:
            subprocess.run(["gzip", "--test", str(path)], check=True)
        untar(path, tmp_path)
    assert tree(tmp_path) == tree(written(Form.TREE))


def test_a_tar_of_a_tree_has_its_folders_first(written: Written) -> None:
    with tarfile.open(written(Form.TREE_TAR) / "train.tar") as archive:
        members = archive.getmembers()
    assert [member.name for member in members if member.isdir()] == ["train", *(f"train/{wnid}" for wnid in WNIDS)]
    made = {"."}
    for member in members:
        assert str(Path(member.name).parent) in made, "a member comes before its folder"
        made.add(member.name)


def test_without_test_images_there_is_no_test(written: Written) -> None:
    for form in (Form.INNER, Form.HEAP, Form.TREE, Form.TREE_TAR):
        names = [path.name for path in written(form, test_images=0).iterdir()]
        assert not [name for name in names if "test" in name]


def test_valprep_stopped_half_way(written: Written) -> None:
    val = written(Form.HEAP, state=State.HALF_VALPREP) / "val"
    assert sorted(path.name for path in val.iterdir() if path.is_dir()) == WNIDS
    found, truth = tree(val), labels(written(), "val")
    assert {path.rpartition("/")[2]: data for path, data in found.items()} == images_of(written())["val"]
    moved = [path for path in found if "/" in path]
    assert len(moved) == len(found) / 2 == 12
    assert all(truth[name] == wnid for wnid, name in (path.split("/") for path in moved))
    assert {path.split("/")[0] for path in moved} == set(WNIDS[:6]), "it moves class by class"


def test_unpacking_stopped_at_one_inner_tar(written: Written) -> None:
    train = written(Form.INNER, state=State.HALF_INNER) / "train"
    images = by_class(written())
    assert sorted(path.stem for path in train.glob("*.tar")) == WNIDS[6:]
    for wnid in WNIDS[:6]:
        assert tree(train / wnid) == images[wnid]
    assert sorted(path.name for path in train.iterdir() if path.is_dir()) == WNIDS[:7]
    *whole, last = tree_in_order(train / f"{WNIDS[6]}.tar", train / WNIDS[6])
    assert [data for _, data in whole] == [images[WNIDS[6]][name] for name, _ in whole]
    name, data = last
    assert 0 < len(data) < len(images[WNIDS[6]][name])
    assert images[WNIDS[6]][name].startswith(data)
    assert files((train / f"{WNIDS[6]}.tar").read_bytes()) == images[WNIDS[6]]


def test_some_inner_tars_are_gone(written: Written) -> None:
    whole, left = (tree(written(Form.INNER, state=s) / "train") for s in (State.COMPLETE, State.SOME_REMOVED))
    assert len(whole) - len(left) == 3
    assert left.items() < whole.items()


def by_class(archives: Path) -> dict[str, dict[str, bytes]]:
    images = sorted(images_of(archives)["train"].items())
    return {wnid: dict(group) for wnid, group in itertools.groupby(images, key=lambda image: image[0][:9])}


def tree_in_order(archive: Path, folder: Path) -> list[tuple[str, bytes]]:
    """Return the files of a folder in the order in which an archive has them."""
    found = tree(folder)
    return [(name, found[name]) for name in files(archive.read_bytes()) if name in found]


def labels(archives: Path, split: str) -> dict[str, str]:
    """Return the wnid of each image: of train from the inner tar, of val from the devkit's ground truth."""
    if split == "train":
        inner = files((archives / TRAIN).read_bytes())
        return {name: tar.removesuffix(".tar") for tar, data in inner.items() for name in files(data)}
    with tarfile.open(archives / DEVKIT) as devkit:
        member = devkit.extractfile("ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt")
        assert member is not None
        truth = member.read().split()
    wnids = {synset.devkit_id: synset.wnid for synset in classes()}
    return {name: wnids[int(truth[int(name[15:23]) - 1])] for name in files((archives / VAL).read_bytes())}
