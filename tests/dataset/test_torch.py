"""The dataset beside torchvision's ImageFolder and timm's reader, and in every kind of torch's DataLoader."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ilsvrc import BlockShuffle, ImageNet, facts
from tests.oracles import package


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
