"""Loaders: of bytes, and those that take a path."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ilsvrc import ImageNet
from ilsvrc.dataset.loading import load
from ilsvrc.errors import DataError, UsageError
from ilsvrc.testing import Fault, MiniSpec, write_mini
from tests.oracles import package, torchvision_datasets


def theirs(name: str) -> Any:
    """Return a loader that takes a path: of torchvision, of OpenCV as users write it, and of a user's own."""
    if name.startswith("cv2"):
        cv2 = package("cv2")
        return cv2.imread if name == "cv2" else lambda path: cv2.imread(str(path))
    if name == "own":
        return lambda path: Image.open(Path(path)).convert("RGB")
    if name == "pillow":
        return Image.open
    return getattr(torchvision_datasets().folder, name)


@pytest.mark.parametrize("name", ["default_loader", "pil_loader", "cv2", "cv2 with str", "own", "pillow"])
def test_a_loader_that_takes_a_path_is_told_what_it_is_given(mini: Path, name: str) -> None:
    loader = theirs(name)
    with pytest.raises(UsageError, match="takes a path, but ImageNet gives it the bytes") as caught:
        ImageNet(mini, loader=loader)[0]
    assert getattr(loader, "__qualname__", "?") in caught.value.message
    assert "cv2.imdecode" in caught.value.hint


def test_what_the_hint_says_works(mini: Path) -> None:
    cv2 = package("cv2")
    rgb = np.asarray(ImageNet(mini)[0][0])
    bgr = ImageNet(mini, loader=lambda data: cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))[0][0]
    assert bgr.shape == rgb.shape
    assert np.abs(bgr[..., ::-1].astype(int) - rgb).mean() < 8  # OpenCV brings its own libjpeg
    opened = ImageNet(mini, loader=lambda data: Image.open(io.BytesIO(data)))[0][0]
    assert np.array_equal(np.asarray(opened), rgb)
    path = ImageNet(mini).path(0)
    assert np.array_equal(np.asarray(ImageNet(mini, loader=None).loader(path)), rgb)


def test_other_errors_of_a_loader_are_its_own(mini: Path) -> None:
    def broken(data: bytes) -> None:
        raise KeyError(len(data))

    dataset = ImageNet(mini, loader=broken)
    with pytest.raises(KeyError) as caught:
        dataset[0]
    assert caught.value.args == (len(dataset.bytes(0)),)


def test_without_room_for_a_temporary_file_the_first_error_stands(
    mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader = theirs("pil_loader")  # torch, when imported first, makes a folder there and keeps its name for children
    (tmp_path / "file").touch()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file/nowhere"))  # nobody can make it meanwhile
    with pytest.raises(ValueError, match="null byte"):
        ImageNet(mini, loader=loader)[0]


def test_a_loader_may_return_none() -> None:
    assert load(lambda data: None, b"x") is None


def test_damage_is_no_fault_of_the_loader(tmp_path: Path) -> None:
    spec = MiniSpec(4, 3, 1, mean_bytes=4000, faults=frozenset({Fault.TRUNCATED_IMAGE}))
    [planted] = write_mini(tmp_path, spec).planted
    dataset = ImageNet(tmp_path)
    [(path, label)] = [pair for pair in dataset.samples if planted.member.endswith(Path(pair[0]).name)]
    for read in (lambda: dataset[list(dataset.samples).index((path, label))], lambda: dataset.loader(path)):
        with pytest.raises(DataError, match="truncated"):
            read()


def test_a_loader_may_be_assigned(mini: Path) -> None:
    dataset = ImageNet(mini)
    dataset.loader = len
    assert dataset[2][0] == dataset.loader(dataset.bytes(2)) == len(dataset.bytes(2))
    dataset.loader = "simplejpeg"
    assert isinstance(dataset[2][0], np.ndarray)


@pytest.mark.parametrize("form", ["archives", "tree"])
def test_subclasses_may_load_by_path(mini: Path, tree: Path, form: str) -> None:
    class Paths(ImageNet):
        """The way in which most subclasses of torchvision's ImageFolder read."""

        def __getitem__(self, index: int) -> tuple[Any, Any]:
            path, target = self.samples[index]
            return self.loader(path), path if self.transform is None else target

    root = mini if form == "archives" else tree
    paths, dataset = Paths(root, "val"), ImageNet(root, "val")
    for index in range(len(dataset)):
        image, path = paths[index]
        assert image.tobytes() == dataset[index][0].tobytes()
        assert path == dataset.path(index)


def test_a_path_of_another_data_set_is_refused(mini: Path, tree: Path) -> None:
    dataset = ImageNet(mini)
    for path in (ImageNet(tree).path(0), ImageNet(mini, "val").path(0), "x.JPEG", Path("/etc/hostname")):
        with pytest.raises(UsageError, match="is no image of this data set") as caught:
            dataset.loader(path)
        assert "dataset.samples" in caught.value.hint
