"""What images are told apart, against Pillow as the oracle for what decodes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import EpsImagePlugin, Image

from ilsvrc.images.decode import UndecodableError
from ilsvrc.images.inspect import components, examine, glance
from ilsvrc.images.measure import measure
from ilsvrc.images.thumbnail import thumbnail
from ilsvrc.issues import Code

RNG = np.random.default_rng(0)
PIXELS = Image.fromarray(RNG.integers(0, 255, (60, 80, 3), np.uint8)).resize((320, 240))


def encoded(mode: str = "RGB", form: str = "JPEG", **options: Any) -> bytes:
    out = io.BytesIO()
    PIXELS.convert(mode).save(out, form, **options)
    return out.getvalue()


GOOD = {
    "rgb": encoded(),
    "grey": encoded("L"),
    "progressive": encoded(progressive=True),
    "exif": encoded(exif=b"Exif\0\0" + encoded()),
    "padded": encoded() + b"\0" * 7,
    "arithmetic-free comment": encoded(comment=b"\xff\xd9 in a comment"),
}
CODES = {
    Code.ZERO_BYTES: b"",
    Code.CMYK: encoded("CMYK"),
    Code.PNG: encoded(form="PNG"),
    Code.NOT_AN_IMAGE: b"<html>not an image</html>",
    Code.TRUNCATED_IMAGE: encoded()[:-500],
}


@pytest.mark.parametrize("data", GOOD.values(), ids=GOOD.keys())
def test_good_images_have_no_issue(data: bytes) -> None:
    assert glance("a.JPEG", data) is None
    assert examine("a.JPEG", data) is None


@pytest.mark.parametrize(("code", "data"), CODES.items(), ids=[str(code) for code in CODES])
def test_each_fault_has_its_code_at_a_glance_and_decoded(code: Code, data: bytes) -> None:
    for look in (glance, examine):
        found = look("a.JPEG", data)
        assert found is not None
        assert (found.code, found.key, found.known) == (code, "a.JPEG", False)
        assert found.is_damage


def test_other_formats_are_no_jpeg() -> None:
    found = examine("a.JPEG", encoded(form="GIF"))
    assert found is not None
    assert found.code is Code.NOT_AN_IMAGE
    assert "GIF" in found.detail


def test_fault_is_told_in_the_same_words_in_every_run() -> None:
    found = [examine("a.JPEG", CODES[Code.NOT_AN_IMAGE]) for _ in range(2)]
    assert found[0] == found[1]
    assert "0x" not in str(found[0])


def test_published_anomalies_are_expected_by_name_and_kind() -> None:
    cmyk = examine("train/n01739381/n01739381_1309.JPEG", CODES[Code.CMYK])
    png = glance("n02105855_2933.JPEG", CODES[Code.PNG])
    wrong_kind = glance("n02105855_2933.JPEG", CODES[Code.CMYK])
    assert cmyk is not None
    assert png is not None
    assert wrong_kind is not None
    assert (cmyk.known, png.known, wrong_kind.known) == (True, True, False)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_components_are_those_that_pillow_finds(mode: str) -> None:
    for options in ({}, {"progressive": True}, {"exif": b"Exif\0\0" + encoded("L")}):
        data = encoded(mode, **options)
        with Image.open(io.BytesIO(data)) as image:
            assert components(data) == len(image.getbands())


@given(st.binary(max_size=200))
def test_no_bytes_at_all_break_the_look(data: bytes) -> None:
    for junk in (data, b"\xff\xd8\xff" + data, b"\xff\xd8\xff" + data + b"\xff\xd9", b"\x89PNG\r\n\x1a\n" + data):
        components(junk)
        glance("a", junk)
        examine("a", junk)


@given(st.integers(30, 99))
def test_an_image_cut_anywhere_is_found(percent: int) -> None:
    data = GOOD["rgb"]
    found = glance("a", data[: len(data) * percent // 100])
    assert found is not None
    assert found.code is Code.TRUNCATED_IMAGE


def test_more_flipped_bits_are_found_than_pillow_finds() -> None:
    data, ours, pillow = GOOD["rgb"], 0, 0
    for position in RNG.integers(700, len(data), 200):
        damaged = bytearray(data)
        damaged[position] ^= 1 << int(RNG.integers(8))
        ours += examine("a", bytes(damaged)) is not None
        try:
            Image.open(io.BytesIO(damaged)).load()
        except Exception:
            pillow += 1
    assert ours > pillow


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"


def test_no_program_of_an_image_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow would give EPS to Ghostscript, whatever the name of the file."""
    run: list[object] = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *given: run.append(given))
    issue = examine("a.JPEG", EPS)
    assert (issue and issue.code, measure(EPS), run) == (Code.NOT_AN_IMAGE, None, [])
    with pytest.raises(UndecodableError):
        thumbnail(EPS, 96)
    assert run == []


@pytest.mark.parametrize(("progressive", "marker"), [(True, b"\xff\xc2"), (False, b"\xff\xc0")])
def test_small_file_of_billions_of_pixels_is_not_decoded(progressive: bool, marker: bytes) -> None:
    made = io.BytesIO()
    Image.new("RGB", (64, 64)).save(made, "JPEG", progressive=progressive)
    data = bytearray(made.getvalue())
    at = data.find(marker)
    data[at + 5 : at + 9] = (65_000).to_bytes(2, "big") * 2
    issue = examine("a.JPEG", bytes(data))
    assert issue is not None
    assert (issue.code, issue.detail) == (Code.UNDECODABLE, "65,000 x 65,000 pixels: not decoded")
