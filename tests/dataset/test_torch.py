"""The dataset beside torchvision's ImageFolder and timm's reader, and in every kind of torch's DataLoader."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ilsvrc import BlockShuffle, ImageNet, facts, prepare
from ilsvrc.errors import MachineError, UsageError
from tests.oracles import package, torchvision_datasets


@pytest.fixture(scope="module")
def torch() -> Any:
    found = package("torch")
    found.set_num_threads(1)
    return found


def size_and_label(batch: list[tuple[bytes, int]]) -> list[tuple[bytes, int]]:
    """Leave a batch as it is; a function of this module, so that spawned workers find it."""
    return batch


def raw(data: bytes) -> bytes:
    """Leave the bytes as they are."""
    return data


@pytest.mark.parametrize("split", ["train", "val"])
def test_equals_imagefolder_at_every_index(thousand: Path, thousand_tree: Path, split: str) -> None:
    folder = package("torchvision.datasets").ImageFolder(thousand_tree / split)
    packed, unpacked = ImageNet(thousand, split), ImageNet(thousand_tree, split)
    assert len(folder) == len(packed) == len(unpacked) == {"train": 3000, "val": 1000}[split]
    for index, (path, label) in enumerate(folder.samples):
        data = Path(path).read_bytes()
        assert (packed.bytes(index), packed.targets[index]) == (data, label)
        assert (unpacked.bytes(index), unpacked.targets[index]) == (data, label)
    assert folder.targets == packed.targets
    assert folder.samples == unpacked.samples
    assert (folder.classes, folder.class_to_idx) == (packed.wnids, packed.wnid_to_idx)
    for index in range(0, len(folder), 97):
        (image, label), (other, target) = folder[index], packed[index]
        assert np.array_equal(np.asarray(image), np.asarray(other))
        assert label == target


def test_has_all_that_torchvisions_imagenet_has(
    shared: Path, thousand: Path, thousand_tree: Path, tmp_path: Path
) -> None:
    module = package("torchvision.datasets")
    shutil.copy(shared / facts.DEVKIT, tmp_path)
    (tmp_path / "val").symlink_to(thousand_tree / "val")
    theirs, ours = module.ImageNet(tmp_path, "val"), ImageNet(thousand, "val")
    for name in ("classes", "wnids", "wnid_to_idx", "targets"):
        assert getattr(theirs, name) == getattr(ours, name), name
    for name in ("class_to_idx", "samples", "imgs", "loader", "transform", "target_transform", "root", "split"):
        assert hasattr(theirs, name)
        assert hasattr(ours, name)
    merged = {word for word in theirs.class_to_idx if word not in ours.class_to_idx}
    assert merged == {word for word in merged if sum(word in words for words in ours.classes) > 1} > {"crane"}


@pytest.mark.parametrize("split", ["train", "val"])
def test_stands_for_torchvisions_imagenet_over_a_prepared_tree(
    shared: Path, mini: Path, tmp_path: Path, split: str
) -> None:
    prepare(mini, tmp_path, jobs=1)
    shutil.copy(shared / facts.DEVKIT, tmp_path)
    theirs, ours = torchvision_datasets().ImageNet(tmp_path, split), ImageNet(tmp_path, split, relabel=True)
    for name in ("root", "split", "wnids", "wnid_to_idx", "classes", "class_to_idx", "transform", "target_transform"):
        assert getattr(ours, name) == getattr(theirs, name), name
    for name in ("samples", "imgs", "targets"):
        assert list(getattr(ours, name)) == getattr(theirs, name), name
    assert ours.find_classes(tmp_path / split) == theirs.find_classes(tmp_path / split)
    assert (repr(ours), ours.extra_repr()) == (repr(theirs), theirs.extra_repr())
    assert len(ours) == len(theirs)
    packed = ImageNet(mini, split, relabel=True)
    for index in range(len(theirs)):
        image, label = theirs[index]
        for other, target in (ours[index], packed[index]):
            assert (target, other.mode, other.tobytes()) == (label, image.mode, image.tobytes())


def test_names_of_a_part_keep_their_places_among_the_thousand(mini: Path, tree: Path) -> None:
    folder = torchvision_datasets().ImageFolder(tree / "val")
    dataset = ImageNet(mini, "val")
    assert (len(dataset.wnids), len(folder.classes)) == (1000, 6)
    assert [dataset.wnids[label] for label in dataset.targets] == [folder.classes[label] for label in folder.targets]
    assert folder.class_to_idx.items() <= dataset.wnid_to_idx.items()  # the six are the first of the thousand


class Described:
    """A transform whose text has two lines."""

    def __call__(self, value: Any) -> Any:
        return value

    def __repr__(self) -> str:
        return "Described(\n    second line\n)"


@pytest.mark.parametrize("options", [{}, {"transform": Described()}, {"target_transform": Described()}])
def test_text_is_that_of_imagefolder_and_of_subclasses(tree: Path, options: dict[str, Any]) -> None:
    class Own(ImageNet):
        def extra_repr(self) -> str:
            return "One: 1\nTwo: 2"

    class Theirs(torchvision_datasets().ImageFolder):  # type: ignore[misc]
        def extra_repr(self) -> str:
            return "One: 1\nTwo: 2"

    ours, theirs = Own(tree, "val", **options), Theirs(tree / "val", **options)
    theirs.root = str(tree)
    assert repr(ours) == repr(theirs).replace("Theirs", "Own")


def test_expands_the_home_folder_as_torchvision_does(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tree))
    for root in ("~/val", Path("~/val"), "~/val/"):
        theirs = torchvision_datasets().ImageFolder(str(root))
        ours = ImageNet(root, "val", relabel=True)
        assert str(theirs.root).rstrip("/") == ours.root.rstrip("/")
        assert [label for _, label in theirs.samples] == list(ours.targets)


def test_sums_are_torchs_concatenations(mini: Path, torch: Any) -> None:
    train, val = ImageNet(mini, loader=raw), ImageNet(mini, "val", loader=raw)
    listed = torch.utils.data.TensorDataset(torch.arange(3))
    for joined, parts in ((train + val, [train, val]), (val + listed, [val, listed]), (listed + val, [listed, val])):
        assert isinstance(joined, torch.utils.data.ConcatDataset)
        assert list(joined) == [part[index] for part in parts for index in range(len(part))]
    loader = torch.utils.data.DataLoader(train + val, 5, num_workers=1, collate_fn=size_and_label)
    assert [sample for batch in loader for sample in batch] == [*train, *val]
    with pytest.raises(TypeError, match="unsupported operand"):
        train + 3


def test_sums_without_torch_say_so(mini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.data", None)
    with pytest.raises(MachineError, match="needs torch") as caught:
        ImageNet(mini) + ImageNet(mini)
    assert caught.value.hint == "pip install torch"


def pair(data: bytes, label: int) -> tuple[int, int]:
    """Return the length of a file and a label; a function of this module, so that spawned workers find it."""
    return len(data), -label


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_have_the_lists_and_transforms_that_were_assigned(mini: Path, torch: Any, method: str) -> None:
    dataset = ImageNet(mini, loader=raw)
    dataset.transforms = pair
    dataset.samples = [(path, label + 100) for path, label in reversed(dataset.samples)]
    dataset.targets = [label for _, label in dataset.samples]
    loader = torch.utils.data.DataLoader(
        dataset, 5, num_workers=2, collate_fn=size_and_label, multiprocessing_context=method
    )
    plain = ImageNet(mini)
    expected = [(len(plain.bytes(index)), -100 - plain.targets[index]) for index in reversed(range(len(plain)))]
    assert [sample for batch in loader for sample in batch] == expected


def opened(path: Any) -> bytes:
    """Load by path; a function of this module, so that spawned workers find it."""
    return Path(path).read_bytes()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_tell_what_a_loader_is_given(mini: Path, torch: Any, method: str) -> None:
    dataset = ImageNet(mini, loader=opened)
    loader = torch.utils.data.DataLoader(dataset, num_workers=1, multiprocessing_context=method)
    with pytest.raises(UsageError, match="takes a path, but ImageNet gives it the bytes"):
        next(iter(loader))


def test_equals_timms_reader(thousand: Path, thousand_tree: Path) -> None:
    reader = package("timm.data").create_dataset("", root=str(thousand_tree), split="val").reader
    theirs = {}
    for index in range(len(reader)):
        file, label = reader[index]
        with file:
            theirs[Path(reader.filename(index)).name] = (file.read(), label)
    dataset = ImageNet(thousand, "val")
    ours = {Path(dataset.path(i)).name: (dataset.bytes(i), dataset.targets[i]) for i in range(len(dataset))}
    assert ours == theirs


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_workers_of_every_kind_read_all(mini: Path, torch: Any, method: str) -> None:
    dataset = ImageNet(mini, loader=raw)
    loader = torch.utils.data.DataLoader(
        dataset,
        batch_size=5,
        num_workers=2,
        collate_fn=size_and_label,
        multiprocessing_context=method,
        persistent_workers=True,
    )
    expected = list(dataset)
    for _ in range(2):
        assert [sample for batch in loader for sample in batch] == expected


def test_errors_of_workers_name_the_archive(mini: Path, tmp_path: Path, torch: Any) -> None:
    archive = tmp_path / "ILSVRC2012_img_train.tar"
    archive.write_bytes((mini / archive.name).read_bytes())
    loader = torch.utils.data.DataLoader(ImageNet(tmp_path, loader=raw), num_workers=1, collate_fn=size_and_label)
    batches = iter(loader)
    archive.unlink()
    with pytest.raises(RuntimeError, match=str(archive)):
        list(batches)


@pytest.mark.parametrize("workers", [0, 2])
def test_shuffle_feeds_a_loader_and_resumes(mini: Path, torch: Any, workers: int) -> None:
    dataset = ImageNet(mini, loader=raw)

    def loader(shuffle: BlockShuffle) -> Any:
        return torch.utils.data.DataLoader(
            dataset, batch_size=4, sampler=shuffle, num_workers=workers, collate_fn=size_and_label
        )

    shuffle = BlockShuffle(dataset, 2, 3, seed=1)
    batches = list(loader(shuffle))
    assert sorted(sample for batch in batches for sample in batch) == sorted(dataset)
    running = iter(loader(shuffle))
    first = [next(running), next(running)]
    resumed = BlockShuffle(dataset, 2, 3, seed=1)
    resumed.load_state_dict(shuffle.state_dict(used=8))
    assert first + list(loader(resumed)) == batches


def test_targets_and_subsets_are_what_torch_takes(mini: Path, torch: Any) -> None:
    dataset = ImageNet(mini, loader=raw)
    targets = torch.as_tensor(np.asarray(dataset.targets))
    assert targets.dtype == torch.int64
    assert targets.tolist() == torch.tensor(dataset.targets).tolist() == list(dataset.targets)
    subset = torch.utils.data.Subset(dataset, [3, 1])
    assert subset.__getitems__([1, 0]) == [dataset[1], dataset[3]]


def test_torch_is_not_imported_by_us() -> None:

    command = [sys.executable, "-c", "import ilsvrc, sys; print(sorted({'torch', 'torchvision'} & set(sys.modules)))"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"
