from __future__ import annotations

import io
import random

import pytest
from PIL import ExifTags, Image

from ilsvrc.images.exif import LONGEST, exif_of


def with_exif(kind: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "A camera\0"
    exif[ExifTags.Base.ImageDescription] = "x" * (LONGEST + 5)
    exif[65_000] = b"\0\1\2"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2008:05:30 15:56:01"
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, kind, exif=exif)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_fields_are_told_by_name(kind: str) -> None:
    found = exif_of(with_exif(kind))
    assert found["Orientation"] == "6"
    assert found["Make"] == "A camera"
    assert found["DateTimeOriginal"] == "2008:05:30 15:56:01"
    assert found["ImageDescription"] == "x" * LONGEST + " and 5 more characters"
    assert found["tag 65000"] == "3 bytes"
    assert not [name for name in found if "Offset" in name]


def test_damage_is_no_failure() -> None:
    data, draw = with_exif(), random.Random(0)
    assert exif_of(b"") == exif_of(b"\xff\xd8\xff") == {}
    for _ in range(300):
        changed = bytearray(data)
        for _ in range(draw.randrange(1, 8)):
            changed[draw.randrange(2, 400)] = draw.randrange(256)
        assert isinstance(exif_of(bytes(changed[: draw.randrange(20, len(data))])), dict)
