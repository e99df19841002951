"""FFCV's .beton files: equal to those of its own writer, read by its loader; images that it can't decode."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
from PIL import Image

import ilsvrc
from ilsvrc.errors import DamageError
from ilsvrc.readers.locate import open_reader
from ilsvrc.readers.units import Sample
from ilsvrc.sinks.formats.ffcv import _look, _packed, _page_of
from ilsvrc.testing import MiniSpec, write_mini
from ilsvrc.testing.faults import Fault
from tests.sinks.formats.reading import read_with_ffcv
from tests.sinks.formats.test_contract import manifest

FAULTS = frozenset({Fault.PNG_AS_JPEG, Fault.CMYK})
PLAIN = MiniSpec(classes=20, per_class=6, val_per_class=1)
ODD = MiniSpec(classes=20, per_class=3, val_per_class=1, mean_bytes=4_000, faults=FAULTS)


def written(folder: Path, spec: MiniSpec) -> tuple[Path, Path]:
    official = write_mini(folder / "official", spec).folder
    ilsvrc.prepare(official, folder / "out", format="ffcv", shard_images=25, splits=("train",), jobs=1)
    return official, folder / "out"


def read(official: Path, out: Path, folder: Path) -> tuple[Any, list[bytes], list[int]]:
    """Return what FFCV reads, and files and labels of the archives, in the order of the file."""
    reader = open_reader(official, "train")
    row = {name: at for at, name in enumerate(reader.names.to_pylist())}
    names = [path.rpartition("/")[2] for path in manifest(out, "train").column("path").to_pylist()]
    files, labels = [reader.read(row[name]) for name in names], [int(reader.labels[row[name]]) for name in names]
    (folder / "files").mkdir()
    for name, data in zip(names, files, strict=True):
        (folder / "files" / name).write_bytes(data)
    (folder / "list.json").write_text(json.dumps(list(zip(names, labels, strict=True))))
    told = read_with_ffcv(
        "ffcv_.py", out / "train.beton", folder / "files", folder / "list.json", folder / "theirs.beton"
    )
    return told, files, labels


def test_the_file_is_that_of_ffcvs_own_writer_and_its_loader_reads_it(tmp_path: Path) -> None:
    """Byte for byte, over several pages; pixels are those of libjpeg-turbo with the quick DCT that FFCV asks for."""
    official, out = written(tmp_path, PLAIN)
    told, files, labels = read(official, out, tmp_path)
    assert (out / "train.beton").read_bytes() == (tmp_path / "theirs.beton").read_bytes()
    assert len(told["pages"]) > 1
    assert told["raw"] == []
    assert (told["fields"], told["handlers"]) == (["image", "label"], ["RGBImageField", "IntField"])
    for cache in ("mapped", "by pages"):
        assert told[cache] == {"labels": labels, "worst": 0, "images": len(files)}
    with np.load(tmp_path / "theirs.beton.npz") as pixels:
        for at, data in enumerate(files):
            wanted = simplejpeg.decode_jpeg(data, "RGB", fastdct=True).astype(int)
            assert np.abs(pixels[f"arr_{at}"] - wanted).max() <= 2


def test_cmyk_and_png_have_their_pixels_beside_their_file(tmp_path: Path) -> None:
    """FFCV gets the pixels, exactly; the files come back byte for byte."""
    official, out = written(tmp_path, ODD)
    told, files, labels = read(official, out, tmp_path)
    assert len(told["raw"]) == 2
    for cache in ("mapped", "by pages"):
        assert told[cache] == {"labels": labels, "worst": 0, "images": len(files)}
    names = [path.rpartition("/")[2] for path in manifest(out, "train").column("path").to_pylist()]
    with np.load(tmp_path / "theirs.beton.npz") as pixels:
        for name in told["raw"]:
            wanted = np.array(Image.open(io.BytesIO(files[names.index(name)])).convert("RGB"))
            assert (pixels[f"arr_{names.index(name)}"] == wanted).all()
    reader = open_reader(out, "train")
    back = {reader.name(row): reader.read(row) for row in range(len(reader))}
    assert back == dict(zip(names, files, strict=True))


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_only_what_ffcv_does_not_decode_gets_pixels(mode: str) -> None:
    file = io.BytesIO()
    Image.new(mode, (30, 20)).save(file, "JPEG")
    look = _look(Sample("a/b.JPEG", "b.JPEG", 0, file.getvalue()))
    assert (look.width, look.height, len(look.pixels)) == (30, 20, 30 * 20 * 3 if mode == "CMYK" else 0)


def test_what_is_no_image_is_refused_by_name() -> None:
    with pytest.raises(DamageError, match=r"b\.JPEG can't be written for FFCV") as refused:
        _look(Sample("a/b.JPEG", "b.JPEG", 0, b"nothing"))
    assert "webdataset" in refused.value.hint
    assert [issue.key for issue in refused.value.issues] == ["a/b.JPEG"]


@pytest.mark.parametrize("largest", [1, 8 << 20, (8 << 20) + 1, 15_000_000, 40_000_000])
def test_no_image_crosses_a_page_and_none_overlap(largest: int) -> None:
    sizes = np.random.default_rng(0).integers(1, largest + 1, 400)
    sizes[7] = largest
    page = _page_of(sizes)
    offsets = _packed(sizes, page)
    assert page >= max(largest, 8 << 20)
    assert page & (page - 1) == 0
    assert (offsets // page == (offsets + sizes - 1) // page).all()
    assert (offsets[1:] >= offsets[:-1] + sizes[:-1]).all()
    assert set(np.diff(offsets // page)) <= {0, 1}
