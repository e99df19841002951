from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pytest

from ilsvrc.testing.images import REAL_MEAN_BYTES, Camera
from tests.testing.helpers import decode

Colour = npt.NDArray[np.float64]

NAMES = [f"n01440764_{k}.JPEG" for k in range(400)]


@pytest.fixture(scope="module")
def camera() -> Camera:
    return Camera(seed=0, mean_bytes=4000)


@pytest.fixture(scope="module")
def pictures(camera: Camera) -> list[bytes]:
    return [camera.jpeg(name, 7) for name in NAMES]


def test_every_picture_decodes_and_differs(pictures: list[bytes]) -> None:
    pixels = {decode(data).tobytes() for data in pictures}
    assert len(pixels) == len(pictures)


def test_a_few_are_grey_or_progressive_and_the_rest_plain(pictures: list[bytes]) -> None:
    images = [decode(data) for data in pictures]
    grey = sum(image.mode == "L" for image in images)
    progressive = sum("progressive" in image.info for image in images)
    assert 0 < grey < 30
    assert 0 < progressive < 20
    assert {image.mode for image in images} == {"L", "RGB"}
    assert {image.format for image in images} == {"JPEG"}


def test_order_and_threads_do_not_matter(pictures: list[bytes]) -> None:
    again = Camera(seed=0, mean_bytes=4000)
    with ThreadPoolExecutor(4) as pool:
        backwards = list(pool.map(lambda name: again.jpeg(name, 7), reversed(NAMES)))
    assert backwards[::-1] == pictures


def test_another_seed_takes_other_pictures(pictures: list[bytes]) -> None:
    other = Camera(seed=1, mean_bytes=4000)
    assert not {other.jpeg(name, 7) for name in NAMES[:50]} & set(pictures)


@pytest.mark.parametrize("mean_bytes", [2000, 8000, 30_000])
def test_files_have_the_mean_size_that_was_asked_for(mean_bytes: int) -> None:
    camera = Camera(seed=0, mean_bytes=mean_bytes)
    sizes = [len(camera.jpeg(name, 0)) for name in NAMES]
    assert np.mean(sizes) == pytest.approx(mean_bytes, rel=0.25)
    assert max(sizes) > 3 * min(sizes)


def test_pictures_of_the_real_weight_have_the_real_sizes() -> None:
    camera = Camera(seed=0)
    images = [decode(camera.jpeg(name, 0)) for name in NAMES[:60]]
    longer = [max(image.size) for image in images]
    assert np.median(longer) == 500
    assert np.mean([len(camera.jpeg(name, 0)) for name in NAMES]) == pytest.approx(REAL_MEAN_BYTES, rel=0.25)


def test_a_class_is_told_by_its_tint(camera: Camera) -> None:
    def colour(label: int, k: int) -> Colour:
        image = decode(camera.jpeg(f"{label}_{k}.JPEG", label)).convert("RGB")
        mean: Colour = np.asarray(image, np.float64).mean(axis=(0, 1))
        return mean

    far_apart = (0, 9, 90, 900, 999)
    known = {label: np.mean([colour(label, k) for k in range(20)], axis=0) for label in far_apart}
    for label in far_apart:
        seen = np.mean([colour(label, k) for k in range(20, 30)], axis=0)
        assert min(known, key=lambda other: float(np.abs(known[other] - seen).sum())) == label


def test_png_and_cmyk_are_what_they_say(camera: Camera) -> None:
    png, cmyk = decode(camera.png("a", 0)), decode(camera.cmyk("a", 0))
    assert (png.format, png.mode) == ("PNG", "RGB")
    assert (cmyk.format, cmyk.mode) == ("JPEG", "CMYK")
    assert png.size == cmyk.size == decode(camera.jpeg("a", 0)).size


def test_a_size_is_that_of_the_picture() -> None:
    camera = Camera(3, 20_000)
    for name in ("a.JPEG", "b.JPEG", "c.JPEG"):
        assert camera.size(name, 7) == decode(camera.jpeg(name, 7)).size
