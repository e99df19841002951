"""The dataset against an unpacked tree: same images, same labels, and clear errors when the archive changes."""

from __future__ import annotations

import io
import os
import pickle
import shlex
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ilsvrc import ImageNet, facts, prepare
from ilsvrc.errors import ArchiveError, DamageError, DataError, IlsvrcError, UsageError
from ilsvrc.issues import Code
from ilsvrc.testing import Fault, MiniSpec, write_mini
from tests.cli.helpers import ilsvrc
from tests.readers.conftest import truth_of

TEST_ARCHIVE = "ILSVRC2012_img_test_v10102019.tar"


@pytest.fixture
def own(mini: Path, tmp_path: Path) -> Path:
    """Archives that a test may change."""
    return Path(shutil.copytree(mini, tmp_path / "own", ignore=shutil.ignore_patterns(".ilsvrc")))


@pytest.mark.parametrize("split", ["train", "val"])
def test_has_every_image_at_its_place(mini: Path, tree: Path, split: str) -> None:
    dataset, truth = ImageNet(mini, split), truth_of(tree, split)
    assert len(dataset) == len(truth)
    for index, (label, name) in enumerate(sorted(truth)):
        assert dataset.bytes(index) == dataset.open(index).read() == truth[label, name]
        image, target = dataset[index]
        assert (target, image.mode) == (label, "RGB")
        path = dataset.path(index)
        assert path.endswith(f"{facts.classes()[label].wnid}/{name}")
        assert dataset.samples[index] == dataset.imgs[index] == (path, label)
    assert dataset.targets == [label for label, _ in sorted(truth)]
    assert np.asarray(dataset.targets).tolist() == list(dataset.targets)


@pytest.mark.parametrize("layout", ["wnid", "index", "padded", "flat"])
def test_labels_are_right_in_every_layout(mini: Path, tmp_path: Path, layout: str) -> None:
    prepare(mini, tmp_path, layout=layout, jobs=1)
    for split in ("train", "val"):
        packed, unpacked = ImageNet(mini, split), ImageNet(tmp_path, split)
        assert [packed.bytes(i) for i in range(len(packed))] == [unpacked.bytes(i) for i in range(len(unpacked))]
        assert packed.targets == unpacked.targets


def test_indices_count_from_both_ends(mini: Path) -> None:
    dataset = ImageNet(mini)
    assert dataset.bytes(-1) == dataset.bytes(len(dataset) - 1)
    assert dataset.bytes(np.int64(3)) == dataset.bytes(3)  # type: ignore[arg-type]
    for index in (len(dataset), -len(dataset) - 1):
        with pytest.raises(IndexError):
            dataset[index]
    assert [label for _, label in dataset] == list(dataset.targets)


def test_batches_are_the_single_images(mini: Path) -> None:
    dataset = ImageNet(mini, loader=len)
    indices = [5, 0, 23, 5]
    assert dataset.__getitems__(indices) == [dataset[index] for index in indices]


def test_transforms_are_applied(mini: Path) -> None:
    dataset = ImageNet(mini, transform=lambda image: image.size, target_transform=lambda label: -label)
    (width, height), target = dataset[20]
    assert (width, height) == Image.open(dataset.open(20)).size
    assert target == -dataset.targets[20] == -5


def test_attributes_are_torchvisions(mini: Path) -> None:
    dataset = ImageNet(mini)
    assert dataset.wnids == sorted(s.wnid for s in facts.classes())
    assert dataset.classes[0] == ("tench", "Tinca tinca")
    assert dataset.wnid_to_idx["n15075141"] == 999
    assert dataset.class_to_idx["Tinca tinca"] == 0


def test_no_two_classes_merge_by_name(mini: Path) -> None:
    named = ImageNet(mini).class_to_idx
    assert set(named.values()) == set(range(1000))
    assert "crane" not in named
    assert (named["crane (wading bird)"], named["crane (lifting device)"]) == (134, 517)


def test_relabel_numbers_the_classes_wanted(mini: Path) -> None:
    plain = ImageNet(mini, classes=["n01443537", "tiger shark", 5])
    assert sorted(set(plain.targets)) == [1, 3, 5]
    anew = ImageNet(mini, classes=["n01443537", "tiger shark", 5], relabel=True)
    assert list(anew.targets) == [label // 2 for label in plain.targets]
    assert [label for _, label in anew] == np.asarray(anew.targets).tolist() == list(anew.targets)
    assert anew.wnids == [facts.classes()[label].wnid for label in (1, 3, 5)]
    assert anew.classes[0] == ("goldfish", "Carassius auratus")
    assert anew.bytes(7) == plain.bytes(7)
    assert ImageNet(mini, relabel=True).wnids == list(facts.classes().wnids[:6])


def test_test_split_has_no_labels(mini: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / TEST_ARCHIVE, "w") as archive:
        for number in (2, 1):
            path = tmp_path / f"ILSVRC2012_test_{number:08}.JPEG"
            path.write_bytes(ImageNet(mini).bytes(number))
            archive.add(path, f"test/{path.name}")
    dataset = ImageNet(tmp_path, "test")
    assert [label for _, label in dataset] == list(dataset.targets) == [-1, -1]
    assert dataset.bytes(0) == ImageNet(mini).bytes(1)
    assert dataset.path(0) == f"{tmp_path / TEST_ARCHIVE}/ILSVRC2012_test_00000001.JPEG"
    assert len(ImageNet(tmp_path, "test", per_class=1)) == 1


@pytest.mark.parametrize("loader", ["pillow", "simplejpeg"])
def test_odd_images_come_out_as_rgb(tmp_path: Path, loader: str) -> None:
    spec = MiniSpec(6, 3, 1, mean_bytes=4000, faults=frozenset({Fault.CMYK, Fault.PNG_AS_JPEG}))
    planted = {p.fault: p.member.rpartition("/")[2] for p in write_mini(tmp_path, spec).planted}
    dataset = ImageNet(tmp_path, loader=loader)
    by_name = {Path(path).name: index for index, (path, _) in enumerate(dataset.samples)}
    for fault, mode in ((Fault.CMYK, "CMYK"), (Fault.PNG_AS_JPEG, "RGB")):
        index = by_name[planted[fault]]
        with Image.open(dataset.open(index)) as image:
            assert (image.mode, image.format) == (mode, "JPEG" if fault is Fault.CMYK else "PNG")
            expected = np.asarray(image.convert("RGB"))
        assert np.array_equal(np.asarray(dataset[index][0]), expected)


def test_damaged_image_names_its_place(tmp_path: Path) -> None:
    spec = MiniSpec(4, 3, 1, mean_bytes=4000, faults=frozenset({Fault.TRUNCATED_IMAGE}))
    [planted] = write_mini(tmp_path, spec).planted
    dataset = ImageNet(tmp_path)
    [index] = [i for i, (path, _) in enumerate(dataset.samples) if planted.member.endswith(Path(path).name)]
    with pytest.raises(ArchiveError, match="truncated") as caught:
        dataset[index]
    assert (caught.value.code, caught.value.member) == (Code.UNDECODABLE, planted.member)
    with tarfile.open(tmp_path / facts.TRAIN) as outer:
        file = outer.extractfile(planted.member.partition("/")[0])
        with tarfile.open(fileobj=file) as inner:
            place = inner.getmember(planted.member.partition("/")[2]).offset_data
        assert caught.value.offset == outer.getmember(planted.member.partition("/")[0]).offset_data + place


def cut(archive: Path) -> None:
    os.truncate(archive, archive.stat().st_size // 2)


def overwrite(archive: Path) -> None:
    with archive.open("r+b") as file:
        file.write(b"other bytes")


def replace(archive: Path) -> None:
    other = archive.with_suffix(".new")
    other.write_bytes(bytes(archive.stat().st_size))
    other.replace(archive)


def remove(archive: Path) -> None:
    archive.unlink()


@pytest.mark.parametrize("change", [cut, overwrite, replace, remove])
@pytest.mark.parametrize("reopen", [False, True])
def test_archive_that_changes_is_an_error(own: Path, change: Callable[[Path], None], reopen: bool) -> None:
    dataset = ImageNet(own)
    if not reopen:
        dataset.bytes(0)
    archive = own / facts.TRAIN
    change(archive)
    for index in range(len(dataset)):
        with pytest.raises(ArchiveError) as caught:
            dataset.bytes(index)
        assert caught.value.archive == str(archive)
        assert caught.value.code in {Code.WRONG_FILE, Code.TRUNCATED_ARCHIVE, Code.MISSING_FILE}


@pytest.mark.parametrize("change", [cut, overwrite, replace, remove])
def test_archive_that_changed_is_refused_by_copies(own: Path, change: Callable[[Path], None]) -> None:
    dataset = ImageNet(own)
    data = pickle.dumps(dataset)
    shutil.rmtree(own / ".ilsvrc")  # so that nothing but the archive itself can tell
    change(own / facts.TRAIN)
    with pytest.raises(ArchiveError):
        pickle.loads(data).bytes(0)


def test_pickle_holds_no_index(thousand: Path) -> None:
    dataset = ImageNet(thousand)
    assert len(pickle.dumps(dataset)) < 2_000
    assert pickle.loads(pickle.dumps(dataset)).bytes(2999) == dataset.bytes(2999)
    narrow = ImageNet(thousand, classes=["tench"], per_class=2)
    assert pickle.loads(pickle.dumps(narrow)).samples == narrow.samples


def test_threads_read_at_once(thousand: Path) -> None:
    dataset = ImageNet(thousand, "val")
    expected = [dataset.bytes(i) for i in range(200)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(dataset.bytes, list(range(200)) * 5)) == expected * 5


def test_forked_processes_open_the_archive_anew(mini: Path) -> None:
    dataset = ImageNet(mini)
    expected = [dataset.bytes(i) for i in range(len(dataset))]
    with get_context("fork").Pool(2) as pool:
        assert pool.map(dataset.bytes, range(len(dataset))) == expected


_COUNT_BUILDS = """
import sys
import ilsvrc.archive.sidecar as store
build, built = store.build_index, []
store.build_index = lambda *given: built.append(1) or build(*given)
dataset = store.__dict__ and __import__("ilsvrc").ImageNet(sys.argv[1])
print(len(built), len(dataset), len(dataset.bytes(7)))
"""


def test_eight_processes_build_the_index_once(own: Path) -> None:
    command = [sys.executable, "-c", _COUNT_BUILDS, str(own)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    told = [process.communicate()[0].split() for process in running]
    assert sum(int(built) for built, _, _ in told) == 1
    assert {tuple(rest) for _, *rest in told} == {("24", str(len(ImageNet(own).bytes(7))))}


def test_verified_reads_find_one_changed_bit(own: Path) -> None:
    from ilsvrc.archive.sidecar import open_index, store_digests, stored_digests
    from ilsvrc.archive.source import FileSource
    from ilsvrc.digests import record_digests

    record_digests(own, jobs=1)
    source = FileSource(own / facts.TRAIN)
    index = open_index(source)
    digests = stored_digests(source, index)
    assert digests is not None
    clean = [ImageNet(own, verify=True).bytes(i) for i in range(24)]
    changed = digests.copy()
    changed[9, 0] ^= 4  # as if the disk returned another bit, of which no time tells
    store_digests(source, index, changed)
    dataset = ImageNet(own, verify=True)
    assert [ImageNet(own).bytes(i) for i in range(24)] == clean
    for row in set(range(24)) - {9}:
        assert dataset.bytes(row) == clean[row]
    with pytest.raises(ArchiveError, match="digest") as caught:
        dataset[9]
    assert caught.value.code is Code.CHANGED_IMAGE
    assert Path(dataset.path(9)).name in caught.value.member
    assert caught.value.offset == source.path.read_bytes().index(clean[9])
    with pytest.raises(ArchiveError, match="digest"):
        pickle.loads(pickle.dumps(dataset)).bytes(9)


def test_an_archive_rewritten_under_its_old_time_gives_no_image(own: Path) -> None:
    archive = own / facts.TRAIN
    dataset = ImageNet(own)
    place = archive.read_bytes().index(dataset.bytes(9)) + 100
    before = archive.stat()
    while archive.stat().st_ctime_ns == before.st_ctime_ns:  # the system's clock goes by ticks
        with archive.open("r+b") as file:
            file.seek(place)
            file.write(b"other bytes")
        os.utime(archive, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ArchiveError, match="changed while it was in use"):
        dataset.bytes(9)


@pytest.mark.parametrize("root", ["~/archives", Path("~/archives"), os.path.join("~", "archives", "")])
def test_the_home_folder_is_expanded(mini: Path, monkeypatch: pytest.MonkeyPatch, root: str | Path) -> None:
    monkeypatch.setenv("HOME", str(mini.parent))
    (mini.parent / "archives").unlink(missing_ok=True)
    (mini.parent / "archives").symlink_to(mini)
    dataset = ImageNet(root)
    assert dataset.root == os.path.expanduser(root)
    assert dataset.bytes(0) == ImageNet(mini).bytes(0)


class Place:
    """An os.PathLike that is no pathlib.Path."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


def test_root_is_anything_that_the_system_takes_as_a_path(mini: Path) -> None:
    assert ImageNet(Place(mini)).root == str(mini)
    assert ImageNet(mini / facts.VAL, "val").bytes(0) == ImageNet(Place(mini), "val").bytes(0)


@pytest.mark.parametrize("root", ["", " ", "nowhere", "file", "folder"])
def test_a_root_without_the_data_set_is_a_wrong_call(tmp_path: Path, root: str) -> None:
    (tmp_path / "file").write_bytes(b"text")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IlsvrcError) as caught:
        ImageNet(tmp_path / root if root.strip() else root)
    assert caught.value.hint
    assert root.strip() in str(caught.value)


def test_wrong_calls_are_refused(mini: Path, tmp_path: Path) -> None:
    for options in ({"split": "dev"}, {"loader": "opencv"}, {"classes": ["unicorn"]}, {"classes": [999]}):
        with pytest.raises(UsageError):
            ImageNet(mini, **options)
    with pytest.raises(UsageError):
        ImageNet(tmp_path)
    assert not issubclass(UsageError, DamageError)


def repack_under_the_old_time(archive: Path) -> None:
    """Put the same images into the same file in another order, and restore the time of its last change."""
    before = archive.stat()
    with tarfile.open(archive) as packed:
        images = [(member, packed.extractfile(member)) for member in packed]
        members = [(member, file.read()) for member, file in reversed(images) if file]
    with archive.open("r+b") as file, tarfile.open(fileobj=file, mode="w") as packed:
        for member, data in members:
            packed.addfile(member, io.BytesIO(data))
    assert archive.stat().st_size == before.st_size
    os.utime(archive, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_an_archive_repacked_under_its_old_time_gives_right_images_or_none(own: Path) -> None:
    archive = own / facts.VAL
    dataset = ImageNet(own, "val")
    copy = pickle.dumps(dataset)
    right = {Path(path).name: dataset.bytes(i) for i, (path, _) in enumerate(dataset.samples)}
    repack_under_the_old_time(archive)
    for index in range(len(dataset)):
        with pytest.raises(ArchiveError, match="changed while it was in use"):
            dataset.bytes(index)
    with pytest.raises(ArchiveError):
        pickle.loads(copy)
    anew = ImageNet(own, "val")
    assert {Path(path).name: anew.bytes(i) for i, (path, _) in enumerate(anew.samples)} == right


def test_damaged_image_names_the_command_that_finds_it(tmp_path: Path) -> None:
    [planted] = write_mini(
        tmp_path, MiniSpec(4, 3, 1, mean_bytes=4000, faults=frozenset({Fault.TRUNCATED_IMAGE}))
    ).planted
    prepare(tmp_path, tmp_path / "tree", jobs=1)
    name = planted.member.rpartition("/")[2]
    for root in (tmp_path, tmp_path / "tree"):
        dataset = ImageNet(root)
        [index] = [i for i, (path, _) in enumerate(dataset.samples) if Path(path).name == name]
        with pytest.raises(DataError, match="truncated") as caught:
            dataset[index]
        assert name in ilsvrc(*shlex.split(caught.value.hint)[1:], status=1).stdout
