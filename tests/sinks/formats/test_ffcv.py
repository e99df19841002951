"""FFCV's .beton files: equal to those of its own writer, read by its loader; images that it can't decode."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
from PIL import Image

import ilsvrc
from ilsvrc.errors import DamageError, UsageError
from ilsvrc.images.pixels import ppm
from ilsvrc.readers.locate import open_reader
from ilsvrc.readers.units import Sample
from ilsvrc.sinks.formats.ffcv import Ffcv, _look
from ilsvrc.testing import MiniSpec, write_mini
from ilsvrc.testing.faults import Fault
from tests.cli.helpers import ilsvrc as ilsvrc_command
from tests.sinks.formats.reading import read_with_ffcv
from tests.sinks.formats.test_contract import manifest

FAULTS = frozenset({Fault.PNG_AS_JPEG, Fault.CMYK})
PLAIN = MiniSpec(classes=20, per_class=6, val_per_class=1)
ODD = MiniSpec(classes=20, per_class=3, val_per_class=1, mean_bytes=4_000, faults=FAULTS)


def written(folder: Path, spec: MiniSpec, **chosen: Any) -> tuple[Path, Path]:
    official = write_mini(folder / "official", spec).folder
    ilsvrc.prepare(official, folder / "out", format="ffcv", shard_images=25, splits=("train",), jobs=1, **chosen)
    return official, folder / "out"


def read(official: Path, out: Path, folder: Path, **field: Any) -> tuple[Any, list[bytes], list[int]]:
    """Return what FFCV reads, and files and labels of the archives, in the order of the file."""
    reader = open_reader(official, "train")
    row = {name: at for at, name in enumerate(reader.names.to_pylist())}
    names = [path.rpartition("/")[2] for path in manifest(out, "train").column("path").to_pylist()]
    files, labels = [reader.read(row[name]) for name in names], [int(reader.labels[row[name]]) for name in names]
    (folder / "files").mkdir()
    for name, data in zip(names, files, strict=True):
        (folder / "files" / name).write_bytes(data)
    (folder / "list.json").write_text(json.dumps(list(zip(names, labels, strict=True))))
    paths = (out / "train.beton", folder / "files", folder / "list.json", folder / "theirs.beton")
    told = read_with_ffcv("ffcv_.py", *paths, json.dumps({"write_mode": "jpg"} | field))
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


def test_pixels_of_cmyk_and_png_lie_behind_all_images(tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    ("mode", "field", "raw"),
    [
        ("raw", {"write_mode": "raw"}, range(120, 121)),
        ("smart:200KB", {"write_mode": "smart", "smart_threshold": 200_000}, range(1, 120)),
    ],
)
def test_modes_are_those_of_ffcvs_own_writer(mode: str, field: dict[str, Any], raw: range, tmp_path: Path) -> None:
    """Mode, sides, label and every byte that FFCV reads; in ours a line of text makes each raw image a file."""
    official, out = written(tmp_path, PLAIN, ffcv_mode=mode)
    told, files, labels = read(official, out, tmp_path, **field)
    assert told["compared"] == {"told": 0, "worst": 0}
    assert len(told["raw"]) in raw
    for cache in ("mapped", "by pages"):
        assert told[cache] == {"labels": labels, "worst": 0, "images": len(files)}


def test_a_proportion_is_drawn_by_the_images_themselves(tmp_path: Path) -> None:
    """The same on every run; FFCV draws anew on each."""
    official, out = written(tmp_path, PLAIN, ffcv_mode="proportion:0.5")
    told, files, labels = read(official, out, tmp_path)
    assert 40 < len(told["raw"]) < 80
    assert told["mapped"] == {"labels": labels, "worst": 0, "images": len(files)}
    ilsvrc.prepare(official, tmp_path / "all", format="ffcv", splits=("train",), ffcv_mode="proportion:1", jobs=1)
    assert not [data for data in contents(tmp_path / "all").values() if data.startswith(b"P6")]


def test_raw_with_a_longest_side_has_the_sides_of_ffcvs_max_resolution(tmp_path: Path) -> None:
    """And Pillow's pixels, with no JPEG in between; FFCV's are of OpenCV's area filter."""
    official, out = written(tmp_path, PLAIN, ffcv_mode="raw", max_side=200)
    told, *_ = read(official, out, tmp_path, write_mode="raw", max_resolution=200)
    assert told["compared"]["told"] == 0
    files = contents(official)
    for name, data in contents(out).items():
        made = Image.open(io.BytesIO(data))
        with Image.open(io.BytesIO(files[name])) as image:
            wanted = image.convert("RGB").resize(made.size, Image.Resampling.BICUBIC)
        assert max(made.size) <= 200
        assert np.array_equal(np.array(made), np.array(wanted))


def contents(out: Path) -> dict[str, bytes]:
    reader = open_reader(out, "train")
    return {reader.name(row): reader.read(row) for row in range(len(reader))}


@pytest.mark.parametrize("mode", ["raw", "smart:30KB"])
def test_pixels_are_read_back_as_files_of_images(mode: str, tmp_path: Path) -> None:
    """By `ImageNet`, by `check --deep`, by `prepare` to another form: pixels of Pillow, JPEGs untouched."""
    official, out = written(tmp_path, ODD, ffcv_mode=mode)
    ours, given = ilsvrc.ImageNet(out, split="train"), ilsvrc.ImageNet(official, split="train")
    files = contents(official)
    for at in range(len(given)):
        assert np.array_equal(np.array(ours[at][0]), np.array(given[at][0])) or mode != "raw"
    kept = {name: data for name, data in contents(out).items() if not data.startswith(b"P6")}
    assert bool(kept) is (mode != "raw")
    assert all(files[name] == data for name, data in kept.items() if files[name].startswith(b"\xff\xd8"))
    assert ilsvrc_command("check", out, "--deep").returncode == 0
    refused = ilsvrc_command("prepare", out, tmp_path / "tree", status=2)
    assert "--encode jpeg:90" in refused.stderr
    ilsvrc.prepare(out, tmp_path / "shards", format="webdataset", jobs=1)
    assert contents(tmp_path / "shards") == contents(out)
    ilsvrc.prepare(out, tmp_path / "again", format="ffcv", splits=("train",), shard_images=25, jobs=1)
    assert (tmp_path / "again/train.beton").read_bytes() == (out / "train.beton").read_bytes()


def test_a_flipped_pixel_is_found_and_its_image_named(tmp_path: Path) -> None:
    _, out = written(tmp_path, PLAIN, ffcv_mode="raw")
    row = manifest(out, "train").slice(70, 1).to_pylist()[0]
    whole = bytearray((out / "train.beton").read_bytes())
    whole[row["offset"] + row["size"] // 2] ^= 1
    (out / "train.beton").write_bytes(whole)
    done = ilsvrc_command("check", out, "--deep", status=1)
    assert f"train.beton/{Path(row['path']).stem}." in done.stdout


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"ffcv_mode": "smart"}, "ffcv_mode can't be 'smart'"),
        ({"ffcv_mode": "proportion:1.5"}, "ffcv_mode can't be 'proportion:1.5'"),
        ({"ffcv_mode": "raw", "encode": "jpeg:80"}, "encodes no image"),
        ({"ffcv_mode": "raw", "format": "webdataset"}, "format is webdataset"),
    ],
)
def test_modes_that_make_no_sense_are_refused(chosen: dict[str, str], said: str, mini: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        ilsvrc.prepare(mini, tmp_path / "out", **{"format": "ffcv", **chosen})  # type: ignore[arg-type]
    assert refused.value.hint
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("jobs", [1, 2])
def test_pages_grow_if_pixels_turn_out_not_to_fit(jobs: int, tmp_path: Path) -> None:
    """A CMYK image of 15 KB with 9 MB of pixels: how large they are is known once all files are looked at."""
    official = write_mini(tmp_path / "official", PLAIN).folder
    ilsvrc.prepare(official, tmp_path / "tree", jobs=1, splits=("train",))
    shutil.rmtree(tmp_path / "tree/.ilsvrc")
    wide = next((tmp_path / "tree/train").rglob("*.JPEG"))
    Image.new("CMYK", (2_000, 1_500), (9, 99, 199, 19)).save(wide, "JPEG")
    out = tmp_path / "out"
    ilsvrc.prepare(tmp_path / "tree", out, format="ffcv", shard_images=25, jobs=jobs, verify="none")
    told, files, labels = read(tmp_path / "tree", out, tmp_path)
    assert told["page"] == 16 << 20
    assert told["raw"] == [wide.name]
    assert told["by pages"] == {"labels": labels, "worst": 0, "images": len(files)}
    assert contents(out) == contents(tmp_path / "tree")
    done = ilsvrc_command("check", out, "--deep", status=1)
    assert "1 wrong" in done.stdout, "its colours, which are the source's, and nothing else"
    assert f"cmyk: train.beton/{wide.name}" in done.stdout


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_only_what_ffcv_does_not_decode_gets_pixels(mode: str) -> None:
    file = io.BytesIO()
    Image.new(mode, (30, 20)).save(file, "JPEG")
    data = file.getvalue()
    behind = len(data) if mode == "CMYK" else 0
    assert _look(Sample("a/b.JPEG", "b.JPEG", 0, data)) == (mode == "CMYK", 30, 20, behind)


def test_a_file_of_pixels_is_read_behind_its_header() -> None:
    data = ppm(Image.new("RGB", (30, 20), (1, 2, 3)))
    *told, begin = _look(Sample("a/b.JPEG", "b.JPEG", 0, data, ending="ppm"))
    assert data[begin:] == bytes((1, 2, 3)) * 600
    assert told == [1, 30, 20]


def test_what_is_no_image_is_refused_by_name() -> None:
    with pytest.raises(DamageError, match=r"b\.JPEG can't be written for FFCV") as refused:
        _look(Sample("a/b.JPEG", "b.JPEG", 0, b"nothing"))
    assert "webdataset" in refused.value.hint
    assert [issue.key for issue in refused.value.issues] == ["a/b.JPEG"]


@pytest.mark.parametrize("largest", [1, 8 << 20, (8 << 20) + 1, 15_000_000, 40_000_000])
def test_no_image_crosses_a_page_and_none_overlap(largest: int) -> None:
    sizes = np.random.default_rng(0).integers(1, largest + 1, 400)
    sizes[7] = largest
    layout = Ffcv().layout(sizes)
    page, begins = layout.page, layout.begins(sizes)
    offsets = begins[1:] - sizes
    assert begins[0] == layout.first
    assert layout.first % page == 0
    assert page >= max(largest, 8 << 20)
    assert page & (page - 1) == 0
    assert (offsets // page == (offsets + sizes - 1) // page).all()
    assert (offsets[1:] >= offsets[:-1] + sizes[:-1]).all()
    assert set(np.diff(offsets // page)) <= {0, 1}
