"""Validation images in one heap, sorted in place and put back; compared with what the usual tools see."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ilsvrc import facts, prepare
from ilsvrc.check.check import check
from ilsvrc.dataset.imagenet import ImageNet
from ilsvrc.errors import DataError
from ilsvrc.relabel import relabel
from ilsvrc.testing.mini import MiniSpec, write_mini
from tests.cli.helpers import ilsvrc, ilsvrc_json
from tests.oracles import torchvision_datasets

module = sys.modules["ilsvrc.heap"]

Paths = dict[str, tuple[int, bytes]]


def found(folder: Path) -> Paths:
    """Inode and bytes of every file below a folder, by path."""
    files = [path for path in folder.rglob("*") if path.is_file() and ".ilsvrc" not in path.parts]
    return {str(path.relative_to(folder)): (path.stat().st_ino, path.read_bytes()) for path in files}


def by_name(files: Paths) -> Paths:
    return {path.rpartition("/")[2]: value for path, value in files.items()}


@pytest.fixture
def heap(tree: Path, tmp_path: Path) -> Path:
    """A train tree beside a heap, made with cp and mv from what the standard library unpacked."""
    subprocess.run(["cp", "-r", tree, tmp_path / "heap"], check=True)
    val = tmp_path / "heap/val"
    subprocess.run(f"mv {val}/*/* {val} && rmdir {val}/n*", shell=True, check=True)
    return tmp_path / "heap"


@pytest.fixture
def half(heap: Path) -> Path:
    """The heap after a part of valprep.sh: all folders are made, every other image is moved."""
    for synset in facts.classes()[:6]:
        (heap / "val" / synset.wnid).mkdir()
    for number, image in enumerate(sorted((heap / "val").glob("*.JPEG"))):
        if number % 2:
            label = facts.val_labels()[int(image.name[15:23]) - 1]
            image.rename(image.parent / facts.classes()[int(label)].wnid / image.name)
    return heap


@pytest.mark.parametrize("state", ["heap", "half"])
@pytest.mark.parametrize("part", ["", "val"])
def test_a_heap_becomes_the_class_folders_that_everybody_reads(
    state: str, part: str, tree: Path, request: pytest.FixtureRequest
) -> None:
    root = request.getfixturevalue(state)
    before = found(root)
    assert relabel(root / part, apply=True).applied
    after = found(root)
    assert after.keys() == found(tree).keys()
    assert by_name(after) == by_name(before), "no image was copied"
    folder = torchvision_datasets().ImageFolder(root / "val")
    for path, label in folder.samples:
        assert label == facts.val_labels()[int(Path(path).name[15:23]) - 1]
    assert len(folder) == 12
    assert relabel(root / part).applied


@pytest.mark.parametrize("layout", ["padded", "{split}/{wnid}_{word}/{name}"])
def test_a_half_sorted_heap_takes_another_layout_and_leaves_no_empty_folder(half: Path, layout: str) -> None:
    shutil.rmtree(half / "val/n01440764")  # its images are lost
    (half / "val/n01440764").mkdir()
    relabel(half / "val", layout=layout, apply=True)
    assert len(list((half / "val").iterdir())) == 6
    assert ImageNet(half, "val").targets == sorted(ImageNet(half, "val").targets)
    assert check(half / "val").parts[0].layout in ("padded", "unknown", "wnid")
    assert not [issue for issue in check(half / "val").parts[0].issues if issue.code == "wrong-label"]


def test_flat_undoes_it(heap: Path) -> None:
    before = found(heap)
    relabel(heap, apply=True)
    assert relabel(heap / "val", layout="flat", apply=True).sorted[0].into_heap
    assert found(heap) == before
    assert not [path for path in (heap / "val").iterdir() if path.is_dir()]


def test_manifest_and_list_follow_into_folders_and_back(mini: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    prepare(mini, tree, layout="flat", jobs=1)
    listed = (tree / "val.txt").read_text()
    relabel(tree, layout="wnid", apply=True)
    assert check(tree, deep=True, jobs=1).ok
    assert [one.seconds for one in prepare(mini, tree, layout="wnid", jobs=1).splits] == [0.0, 0.0]
    relabel(tree, layout="flat", apply=True)
    assert (tree / "val.txt").read_text() == listed
    assert [one.seconds for one in prepare(mini, tree, layout="flat", jobs=1).splits] == [0.0, 0.0]


@pytest.mark.parametrize("then", ["wnid", "padded", "flat"])
@pytest.mark.parametrize("first", ["wnid", "flat"])
@pytest.mark.parametrize("moves", [0, 1, 5])
def test_killed_at_any_point_a_run_with_any_layout_resumes(half: Path, moves: int, first: str, then: str) -> None:
    before = by_name(found(half))
    program = (
        "import os, signal, sys\n"
        "import ilsvrc.heap as heap\n"
        "from ilsvrc.relabel import relabel\n"
        f"real, left = heap.rename_new, [{moves}]\n"
        "def counting(old, new):\n"
        "    left[0] or os.kill(os.getpid(), signal.SIGKILL)\n"
        "    left[0] -= 1\n"
        "    real(old, new)\n"
        "heap.rename_new = counting\n"
        "relabel(sys.argv[1], layout=sys.argv[2], apply=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, half / "val", first], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert by_name(found(half)) == before
    relabel(half / "val", layout=then, apply=True)
    after = found(half / "val")
    assert by_name(found(half)) == before
    for path in after:
        synset = facts.classes()[int(facts.val_labels()[int(path[-13:-5]) - 1])]
        folder = {"wnid": f"{synset.wnid}/", "padded": f"{synset.index:04}/", "flat": ""}[then]
        assert path == folder + path.rpartition("/")[2]


def test_a_dry_run_moves_nothing(half: Path) -> None:
    before = found(half)
    told = relabel(half)
    assert not told.applied
    assert [(one.images, one.folders) for one in told.sorted] == [(6, 6)]
    assert found(half) == before
    assert not (half / ".ilsvrc").exists()


def _same(image: Path, wnid: str) -> None:
    shutil.copy(image, image.parent / wnid)


def _different(image: Path, wnid: str) -> None:
    (image.parent / wnid / image.name).write_bytes(b"another one")


def _file(image: Path, wnid: str) -> None:
    shutil.rmtree(image.parent / wnid)
    (image.parent / wnid).write_bytes(b"mine")


def _link(image: Path, wnid: str) -> None:
    shutil.rmtree(image.parent / wnid)
    image.parent.with_name("elsewhere").mkdir()
    (image.parent / wnid).symlink_to(image.parent.with_name("elsewhere"))


def _other(image: Path, wnid: str) -> None:
    shutil.rmtree(image.parent / wnid)
    (image.parent / wnid).mkdir()
    (image.parent / wnid / "notes.txt").write_text("mine")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_same, "there twice.* with the same bytes"),
        (_different, "there twice.* with different bytes"),
        (_file, "is no folder"),
        (_link, "is a link"),
        (_other, "holds none that is recognised"),
    ],
)
def test_what_is_in_the_way_is_refused_before_anything_moves(
    half: Path, spoil: Callable[[Path, str], None], message: str
) -> None:
    image = sorted((half / "val").glob("*.JPEG"))[0]
    wnid = facts.classes()[int(facts.val_labels()[int(image.name[15:23]) - 1])].wnid
    spoil(image, wnid)
    before = found(half)
    with pytest.raises(DataError, match=message) as caught:
        relabel(half, apply=True)
    assert "nothing was moved" in caught.value.hint
    assert found(half) == before


@pytest.mark.parametrize("where", ["heap", "folder"])
def test_two_images_that_would_have_one_name_stay_apart(half: Path, where: str) -> None:
    image = sorted((half / "val").glob("*/*.JPEG"))[0]
    other = half / "val" if where == "heap" else half / "val/copies"
    other.mkdir(exist_ok=True)
    shutil.copy(image, other)
    before = found(half)
    with pytest.raises(DataError, match="there twice"):
        relabel(half / "val", layout="flat", apply=True)
    assert found(half) == before


def test_a_name_that_is_taken_meanwhile_is_not_replaced(heap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, mine = module.rename_new, list[Path]()

    def late(old: Path, new: Path) -> None:
        if not mine:
            new.write_bytes(b"mine")
            mine.append(new)
        real(old, new)

    with monkeypatch.context() as patch:
        patch.setattr(module, "rename_new", late)
        with pytest.raises(DataError, match="appeared while"):
            relabel(heap / "val", apply=True)
    assert mine[0].read_bytes() == b"mine"
    mine[0].unlink()
    relabel(heap / "val", apply=True)
    assert len(list((heap / "val").glob("*/*.JPEG"))) == 12


def test_what_is_no_image_stays_and_is_named(heap: Path) -> None:
    (heap / "val/valprep.sh").write_text("mv ...\n")
    assert relabel(heap / "val").strays == ("val/valprep.sh",)
    told = ilsvrc("relabel", heap / "val", "--apply").stdout
    assert "12 images into 6 class folders, such as ILSVRC2012_val_" in told
    assert "files that are no image by their names stay where they are (1): val/valprep.sh" in told
    assert "12 images moved" in told
    assert (heap / "val/valprep.sh").read_text() == "mv ...\n"


@pytest.mark.parametrize("state", ["complete", "half-valprep"])
def test_forms_of_mini_are_read_prepared_and_sorted(state: str, tmp_path: Path) -> None:
    spec = MiniSpec(classes=6, per_class=2, val_per_class=4, mean_bytes=2_500, form="heap", state=state)
    write_mini(tmp_path / "heap", spec)
    files = found(tmp_path / "heap/val")
    images = ImageNet(tmp_path / "heap", "val")
    assert len(images) == len(files) == 24
    told = ilsvrc_json("relabel", tmp_path / "heap")
    assert told["sorted"][0]["images"] == (24 if state == "complete" else 12)
    if state != "complete":
        issues = [issue for part in check(tmp_path / "heap").parts for issue in part.issues]
        [loose] = [issue for issue in issues if issue.code == "wrong-label"]
        assert "12 images lie in no class folder" in loose.detail
        assert "ilsvrc relabel" in loose.detail
    prepare(tmp_path / "heap", tmp_path / "out", verify="none", jobs=1)
    relabel(tmp_path / "heap", apply=True)
    made = {path: data for path, (_, data) in found(tmp_path / "out/val").items()}
    assert made == {path: data for path, (_, data) in found(tmp_path / "heap/val").items()}
    assert by_name(found(tmp_path / "heap/val")) == by_name(files)


def test_a_heap_of_fifty_thousand_leaves_no_long_note(tmp_path: Path) -> None:
    """Empty files, named as the official ones: what is decided is a few lines, whatever the number of images."""
    (tmp_path / "val").mkdir()
    for number in range(1, 50_001):
        os.close(os.open(tmp_path / f"val/ILSVRC2012_val_{number:08}.JPEG", os.O_CREAT | os.O_WRONLY))
    told = ilsvrc("--json", "relabel", tmp_path / "val", "--apply").stdout
    assert len(told) < 1_500
    assert sum(path.stat().st_size for path in (tmp_path / ".ilsvrc").rglob("*") if path.is_file()) < 100
    counts = {folder.name: len(list(folder.iterdir())) for folder in (tmp_path / "val").iterdir()}
    assert set(counts) == set(facts.classes().wnids)
    assert set(counts.values()) == {50}
