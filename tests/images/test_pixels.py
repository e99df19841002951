"""Files of pixels, read by Pillow; which images are kept so."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from ilsvrc.images.encode import Encoding
from ilsvrc.images.pixels import Choice, Mode, Unpacking, ppm, ppm_header
from ilsvrc.images.transform import Fit, Remaking, Size

PIXELS = np.random.default_rng(0).integers(0, 256, (31, 47, 3), np.uint8)


def jpeg(width: int = 47, height: int = 31, seed: int = 0) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(noise).save(file, "JPEG")
    return file.getvalue()


def test_pillow_reads_the_pixels_that_were_written() -> None:
    with Image.open(io.BytesIO(ppm(Image.fromarray(PIXELS)))) as image:
        assert (image.format, image.mode) == ("PPM", "RGB")
        assert np.array_equal(np.array(image), PIXELS)


def test_the_header_is_read_where_the_file_is_whole() -> None:
    data = ppm(Image.fromarray(PIXELS))
    header = ppm_header(data)
    assert header is not None
    assert (header.width, header.height) == (47, 31)
    assert data[header.size :] == PIXELS.tobytes()
    for other in (data[:-1], data + b"0", b"", b"P6\n", b"P5" + data[2:], jpeg()):
        assert ppm_header(other) is None


def test_smart_takes_images_up_to_its_threshold() -> None:
    choice = Choice(Mode.SMART, threshold=3 * 20 * 30)
    assert choice.takes((20, 30), b"")
    assert not choice.takes((20, 31), b"")


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_proportion_leaves_a_share_of_images_compressed(share: float) -> None:
    choice = Choice(Mode.PROPORTION, compressed=share)
    kept = [choice.takes((1, 1), b"%d" % number) for number in range(4_000)]
    assert abs(1 - sum(kept) / len(kept) - share) < 0.03
    assert kept == [choice.takes((9, 9), b"%d" % number) for number in range(4_000)]


def test_the_size_after_resizing_decides_and_nothing_is_encoded_in_between() -> None:
    remaking = Remaking(Encoding.parse("jpeg:50"), Size(Fit.LONGER, 20, 20))
    unpacking = Unpacking(Choice(Mode.SMART, threshold=3 * 20 * 13), remaking)
    data, ending = unpacking(jpeg())
    assert ending == "ppm"
    with Image.open(io.BytesIO(jpeg())) as image:
        assert data == ppm(image.resize((20, 13), Image.Resampling.BICUBIC))
    tall, ending = unpacking(jpeg(20, 20))
    assert (tall, ending) == (jpeg(20, 20), "jpg")


def test_pixels_are_turned_upright_on_request() -> None:
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    Image.fromarray(PIXELS).save(file, "JPEG", exif=exif)
    for orient, size in ((False, (47, 31)), (True, (31, 47))):
        made, _ = Unpacking(Choice(Mode.RAW), Remaking(Encoding.parse("jpeg:90"), orient=orient))(file.getvalue())
        header = ppm_header(made)
        assert header is not None
        assert (header.width, header.height) == size
