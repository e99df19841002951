"""The zip of EDM, read as its training/dataset.py reads it: by zipfile, json and Pillow."""

from __future__ import annotations

import io
import json
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ilsvrc
from ilsvrc.errors import UsageError
from ilsvrc.readers.locate import open_reader
from ilsvrc.readers.units import Sample
from ilsvrc.testing import MiniSpec, write_mini
from tests.sinks.formats.preparing import Squares
from tests.sinks.formats.test_contract import names_in_order


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = MiniSpec(classes=20, per_class=3, val_per_class=2, mean_bytes=2_000, test_images=5)
    return write_mini(tmp_path_factory.mktemp("source"), spec).folder


@pytest.fixture(scope="module")
def zips(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("edm") / "zips"
    splits = ("train", "val", "test")
    ilsvrc.prepare(source, folder, format="edm", splits=splits, transform=Squares(), shard_images=7, jobs=1)
    return folder


def read_as_edm(path: Path) -> list[tuple[np.ndarray[tuple[int, ...], np.dtype[np.uint8]], int | None]]:
    """Every image in the order of sorted names, channels first, with its label by `dataset.json`."""
    Image.init()
    with zipfile.ZipFile(path) as file:
        names = sorted(name for name in file.namelist() if Path(name).suffix.lower() in Image.EXTENSION)
        pairs = json.loads(file.read("dataset.json"))["labels"]
        labels = dict(pairs) if pairs is not None else {}
        images = [np.array(Image.open(file.open(name))).transpose(2, 0, 1) for name in names]
    return list(zip(images, [labels.get(name) for name in names], strict=True))


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_images_and_labels_are_those_of_the_source(split: str, source: Path, zips: Path) -> None:
    reader = open_reader(source, split)
    rows = {name: row for row, name in enumerate(reader.names.to_pylist())}
    found = read_as_edm(zips / f"{split}.zip")
    assert len(found) == len(reader)
    for (pixels, label), name in zip(found, names_in_order(zips, split), strict=True):
        with Image.open(io.BytesIO(reader.read(rows[name]))) as image:
            wanted = np.array(image.convert("RGB").resize((16, 16))).transpose(2, 0, 1)
        assert (pixels == wanted).all()
        assert label == (None if split == "test" else int(reader.labels[rows[name]]))


def test_members_are_stored_and_of_no_time(zips: Path) -> None:
    with zipfile.ZipFile(zips / "train.zip") as file:
        assert file.testzip() is None
        members = file.infolist()
    assert [member.filename for member in members[:2]] == ["00000/img00000000.png", "00000/img00000001.png"]
    assert members[-1].filename == "dataset.json"
    assert {(m.compress_type, m.date_time, m.flag_bits, m.create_system) for m in members} == {
        (zipfile.ZIP_STORED, (1980, 1, 1, 0, 0, 0), 0, 3)
    }


def test_unzip_finds_no_fault(zips: Path) -> None:
    done = subprocess.run(["unzip", "-t", zips / "train.zip"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "No errors detected" in done.stdout


def test_the_split_of_work_does_not_show(source: Path, zips: Path, tmp_path: Path) -> None:
    ilsvrc.prepare(source, tmp_path / "out", format="edm", splits=("train",), transform=Squares(), jobs=2)
    assert (tmp_path / "out/train.zip").read_bytes() == (zips / "train.zip").read_bytes()


class Uneven(Squares):
    """Makes images of the first class smaller than others."""

    def __call__(self, sample: Sample) -> Sample:
        return Squares(32 if sample.label else 16)(sample)


class Grey(Squares):
    """Makes images without colours."""

    def __call__(self, sample: Sample) -> Sample:
        out = io.BytesIO()
        Image.new("L", (16, 16)).save(out, "png")
        return replace(sample, data=out.getvalue(), source=bytes(16), ending="png")


@pytest.mark.parametrize(
    ("transform", "images", "message"),
    [
        (None, 100, "no PNG in RGB"),
        (Grey(), 100, "no PNG in RGB"),
        (Uneven(), 100, "of one size"),
        (Uneven(), 1, "of one size"),  # found where pieces are joined
    ],
)
def test_what_edm_does_not_read_is_refused(
    transform: Squares | None, images: int, message: str, source: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        ilsvrc.prepare(
            source,
            tmp_path / "out",
            format="edm",
            splits=("val",),
            transform=transform,
            shard_images=images,
            order="catalog",
            jobs=1,
        )
    assert "--crop 64 --encode png" in str(refused.value.hint)
    assert not (tmp_path / "out/val.zip").exists()
