"""Files that are made anew: pixels and bytes are those of Pillow, sizes those of torchvision, FFCV, ADM and EDM."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from ilsvrc.images.encode import Encoding, UnencodableError
from ilsvrc.images.transform import FILTERS, Fit, Remaking, Size, UndecodableError, orientation

JPEG = Encoding("jpeg", 90)
SIDES = st.integers(1, 3000)


def pixels(width: int, height: int, seed: int = 0) -> Image.Image:
    """A picture with detail at several scales."""
    chance = np.random.default_rng(seed)
    coarse, fine = (Image.fromarray(chance.integers(0, 255, (cells, cells, 3), np.uint8)) for cells in (3, 40))
    return Image.blend(coarse.resize((width, height)), fine.resize((width, height)), 0.3)


def file_of(image: Image.Image, form: str = "JPEG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def array(image: Image.Image) -> npt.NDArray[np.int16]:
    return np.asarray(image.convert("RGB")).astype(np.int16)


def adm(image: Image.Image, side: int) -> npt.NDArray[np.int16]:
    """What ADM's image_datasets.py and EDM's dataset_tool.py do, told again: halve, resize, cut the middle out."""
    width, height = image.size
    while width // 2 >= side and height // 2 >= side:
        width, height = width // 2, height // 2
        image = image.resize((width, height), resample=Image.Resampling.BOX)
    factor = side / (width if width < height else height)
    image = image.resize((round(width * factor), round(height * factor)), resample=Image.Resampling.BICUBIC)
    found = array(image)
    down, right = (found.shape[0] - side) // 2, (found.shape[1] - side) // 2
    return found[down:, right:][:side, :side]


@pytest.mark.parametrize("shape", [(500, 375), (375, 500), (64, 64), (65, 64), (40, 90), (131, 300), (513, 1025)])
def test_the_crop_is_that_of_adm_and_edm(shape: tuple[int, int]) -> None:
    source = file_of(pixels(*shape), "PNG")
    data, ending = Remaking(Encoding("png"), Size(Fit.CROP, 64, 64))(source)
    assert (ending, opened(data).size) == ("png", (64, 64))
    assert np.abs(array(opened(data)) - adm(opened(source), 64)).max() <= 1


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"subsampling": 1}, {"progressive": True}])
def test_bytes_are_those_of_plain_pillow(name: str, options: dict[str, Any]) -> None:
    source = file_of(pixels(500, 375), quality=92, **options)
    found, ending = Remaking(JPEG, Size(Fit.SHORTER, 256, 256, name))(source)
    wanted = opened(source).resize((341, 256), FILTERS[name])
    assert (found, ending) == (file_of(wanted, quality=90), "jpg")


def test_a_squashed_image_has_exactly_the_size() -> None:
    source = file_of(pixels(50, 120), "PNG")
    found, _ = Remaking(Encoding("png"), Size(Fit.EXACT, 80, 60))(source)
    wanted = opened(source).resize((80, 60), Image.Resampling.BICUBIC)
    assert np.array_equal(array(opened(found)), array(wanted))


@given(SIDES, SIDES, st.integers(1, 600), st.booleans())
def test_the_shorter_side_as_torchvision_computes_it(width: int, height: int, side: int, enlarge: bool) -> None:
    found = Size(Fit.SHORTER, side, side, enlarge=enlarge).of(width, height)
    if min(width, height) < side and not enlarge:
        assert found == (width, height)
        return
    assert min(found) == side
    assert max(found) == side * max(width, height) // min(width, height)
    assert (found[0] <= found[1]) == (width <= height) or found[0] == found[1]


@given(SIDES, SIDES, st.integers(1, 600))
def test_the_longer_side_as_ffcv_computes_it(width: int, height: int, side: int) -> None:
    found = Size(Fit.LONGER, side, side).of(width, height)
    ratio = side / max(width, height)
    if ratio >= 1:
        assert found == (width, height)
        return
    assert max(found) == side
    assert np.abs(np.array(found) - np.maximum(1, np.array([width, height]) * ratio)).max() < 1 + 1e-6


@given(SIDES, SIDES, st.sampled_from([Fit.CROP, Fit.EXACT]))
def test_crop_and_squash_have_one_size_whatever_the_source_has(width: int, height: int, fit: Fit) -> None:
    assert Size(fit, 64, 64).of(width, height) == (64, 64)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_what_is_small_enough_keeps_every_byte(mode: str) -> None:
    source = file_of(pixels(200, 150).convert(mode), quality=71)
    for size in (Size(Fit.SHORTER, 256, 256), Size(Fit.SHORTER, 150, 150), Size(Fit.LONGER, 200, 200)):
        assert Remaking(JPEG, size)(source) == (source, "jpg")
    enlarged, _ = Remaking(JPEG, Size(Fit.SHORTER, 256, 256, enlarge=True))(source)
    assert opened(enlarged).size == (341, 256)
    again, _ = Remaking(JPEG, all=True)(source)
    assert opened(again).size == (200, 150)
    assert again != source


def test_what_has_other_colours_or_another_format_is_made_anew_though_it_is_small() -> None:
    image, size = pixels(40, 30), Size(Fit.SHORTER, 64, 64)
    sources = [file_of(image.convert("CMYK")), file_of(image, "PNG"), file_of(image.convert("P"), "PNG")]
    for source in sources:
        found = opened(Remaking(JPEG, size)(source)[0])
        assert (found.format, found.mode, found.size) == ("JPEG", "RGB", (40, 30))
    kept, ending = Remaking(Encoding("keep"), size)(sources[0])
    assert (ending, opened(kept).mode, opened(kept).format) == ("jpg", "RGB", "JPEG")
    assert Remaking(Encoding("keep"), size)(sources[1]) == (sources[1], "png")
    assert opened(Remaking(Encoding("keep"), size)(sources[2])[0]).mode == "RGB"


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_keep_has_the_tables_of_the_source(subsampling: int, mode: str) -> None:
    options: dict[str, Any] = {"subsampling": subsampling} if mode == "RGB" else {}
    source = file_of(pixels(120, 90).convert(mode), quality=83, **options)
    data, ending = Remaking(Encoding("keep"), Size(Fit.SHORTER, 40, 40))(source)
    found = opened(data)
    wanted = file_of(opened(source).resize((53, 40), Image.Resampling.BICUBIC), quality=83, **options)
    assert (ending, found.mode, found.size) == ("jpg", mode, (53, 40))
    assert data == wanted


@pytest.mark.parametrize("turn", range(1, 9))
def test_orientation_is_that_of_pillows_imageops(turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    source = file_of(pixels(60, 40), exif=exif, quality=95)
    assert orientation(source) == turn
    size = Size(Fit.SHORTER, 20, 20)
    upright = ImageOps.exif_transpose(opened(source))
    found = opened(Remaking(Encoding("png"), size, orient=True)(source)[0])
    assert np.array_equal(array(found), array(upright.resize(size.of(*upright.size), Image.Resampling.BICUBIC)))
    ignored = opened(Remaking(Encoding("png"), size)(source)[0])
    assert np.array_equal(array(ignored), array(opened(source).resize((30, 20), Image.Resampling.BICUBIC)))
    alone, _ = Remaking(JPEG, orient=True)(source)
    assert (alone == source) == (turn == 1), "only what must be turned is made anew"
    assert orientation(alone) == 1


def test_broken_exif_is_no_orientation() -> None:
    source = file_of(pixels(60, 40), exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert orientation(source) == 1
    assert opened(Remaking(JPEG, Size(Fit.SHORTER, 20, 20), orient=True)(source)[0]).size == (30, 20)


WHOLE = file_of(pixels(80, 60))


@pytest.mark.parametrize(
    "data", [b"", b"no image", WHOLE[: len(WHOLE) // 2], WHOLE[:-40], file_of(pixels(80, 60), "PNG")[:90]]
)
@pytest.mark.parametrize("size", [Size(Fit.SHORTER, 30, 30), Size(Fit.LONGER, 500, 500)])
def test_what_is_no_whole_image_is_refused_even_if_it_is_small(data: bytes, size: Size) -> None:
    with pytest.raises(UndecodableError):
        Remaking(JPEG, size)(data)


def test_what_a_format_cant_hold_is_refused() -> None:
    with pytest.raises(UnencodableError, match="20,000 x 1"):
        Remaking(Encoding("webp", 90), all=True)(file_of(Image.new("RGB", (20_000, 1)), "PNG"))


@pytest.mark.parametrize("encoding", ["jpeg:80", "webp:80", "png", "keep"])
def test_equal_sources_give_equal_bytes_in_another_process(encoding: str) -> None:
    made = Remaking(Encoding.parse(encoding), Size(Fit.SHORTER, 32, 32))
    again = pickle.loads(pickle.dumps(made))
    assert again == made
    assert again(WHOLE) == made(WHOLE)
    assert again.settings == made.settings


def test_settings_differ_where_results_do() -> None:
    sizes = [None, Size(Fit.SHORTER, 64, 64), Size(Fit.CROP, 64, 64), Size(Fit.SHORTER, 64, 64, "box")]
    made = [Remaking(JPEG, size, orient) for size in sizes for orient in (False, True)]
    assert len({str(one.settings) for one in made}) == len(made)
