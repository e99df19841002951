"""`prepare` with images made anew: shards and folders, damaged images, what the dry run says, kinds of misuse."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xxhash
from PIL import Image

import ilsvrc
from ilsvrc import facts
from ilsvrc.check.check import check
from ilsvrc.errors import DamageError, UsageError
from ilsvrc.issues import Code
from ilsvrc.prepare.prepare import prepare
from ilsvrc.prepare.transforms import transform_of
from ilsvrc.readers.locate import open_reader
from ilsvrc.readers.units import Sample
from ilsvrc.testing import MiniSpec, write_mini
from ilsvrc.testing.faults import Fault
from ilsvrc.tree import paths
from ilsvrc.tree.manifest import SHARDED, read_manifest
from tests.cli.helpers import ilsvrc as ilsvrc_command
from tests.prepare.test_prepare import images, interrupted_after, options, unpacked

SIDE = 24
SHARDS = {"format": "webdataset", "shard_images": 7}


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mini(tmp_path_factory.mktemp("official"), MiniSpec(classes=4, per_class=6, mean_bytes=5_000)).folder


@pytest.fixture
def source(official: Path, tmp_path: Path) -> Path:
    """A copy of the miniature that a test may change."""
    return Path(shutil.copytree(official, tmp_path / "source", ignore=shutil.ignore_patterns(".ilsvrc")))


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A miniature with an image that ends too early, a PNG and a CMYK image."""
    faults = frozenset({Fault.TRUNCATED_IMAGE, Fault.PNG_AS_JPEG, Fault.CMYK})
    spec = MiniSpec(classes=4, per_class=6, mean_bytes=5_000, faults=faults)
    return write_mini(tmp_path_factory.mktemp("spoiled"), spec).folder


def by_pillow(data: bytes) -> bytes:
    """The image with its shorter side resized, by Pillow alone; the bytes as they are, if it is small enough."""
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
        if min(width, height) <= SIDE:
            return data
        size = (SIDE, SIDE * height // width) if width <= height else (SIDE * width // height, SIDE)
        out = io.BytesIO()
        image.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(out, "JPEG", quality=90)
    return out.getvalue()


def by_name(tree: dict[str, bytes]) -> dict[str, bytes]:
    return {path.rpartition("/")[2]: data for path, data in tree.items()}


def members(folder: Path, split: str, ending: str) -> dict[str, bytes]:
    """The images in the shards of a split by their names without ending, by tarfile alone."""
    found: dict[str, bytes] = {}
    for path in sorted(folder.glob(f"{split}-*.tar")):
        with tarfile.open(path) as shard:
            for member in shard:
                key, _, kind = member.name.rpartition(".")
                file = shard.extractfile(member)
                if kind == ending and file:
                    found[key] = file.read()
    return found


def test_shards_hold_what_pillow_makes(official: Path, tmp_path: Path) -> None:
    target = tmp_path / "shards"
    report = prepare(official, target, **options(resize=SIDE, **SHARDS))
    sources = by_name(unpacked(official))
    wanted = {name: by_pillow(data) for name, data in sources.items()}
    found = {split: members(target, split, "jpg") for split in ("train", "val")}
    assert {f"{key}.JPEG": data for split in found for key, data in found[split].items()} == wanted
    assert [split.bytes for split in report.splits] == [sum(map(len, one.values())) for one in found.values()]
    assert check(target, deep=True).ok
    table = read_manifest(paths.manifest(target, "train"), SHARDED)
    for row in table.to_pylist():
        name = row["path"].rpartition("/")[2]
        assert row["source"] == xxhash.xxh3_128_digest(sources[name])
        assert row["xxh3_128"] == xxhash.xxh3_128_digest(wanted[name])
    image, label = ilsvrc.ImageNet(target, "train")[0]
    assert (min(image.size), label) == (SIDE, 0)
    again = prepare(official, target, **options(resize=SIDE, **SHARDS))
    assert {one["action"] for one in again.decisions} == {"nothing: it is complete"}
    assert [split.bytes for split in again.splits] == [split.bytes for split in report.splits]


def test_other_settings_are_another_target(official: Path, tmp_path: Path) -> None:
    prepare(official, tmp_path / "shards", **options(resize=SIDE, **SHARDS))
    for changes in ({"resize": SIDE + 1}, {"crop": SIDE}, {"resize": SIDE, "filter": "box"}, {}):
        with pytest.raises(UsageError, match="other settings"):
            prepare(official, tmp_path / "shards", **options(**changes, **SHARDS))


def test_lost_shards_are_written_again(official: Path, tmp_path: Path) -> None:
    target = tmp_path / "shards"
    prepare(official, target, **options(resize=SIDE, **SHARDS))
    before = members(target, "train", "jpg")
    (target / "train-000001.tar").unlink()
    prepare(official, target, **options(resize=SIDE, repair=True, **SHARDS))
    assert members(target, "train", "jpg") == before


@pytest.mark.parametrize(("encode", "ending", "form"), [("webp:60", "webp", "WEBP"), ("png", "png", "PNG")])
def test_other_formats_are_read_back_checked_and_passed_on(
    official: Path, tmp_path: Path, encode: str, ending: str, form: str
) -> None:
    first, second, tree = (tmp_path / name for name in ("first", "second", "tree"))
    prepare(official, first, **options(splits=["val"], crop=SIDE, encode=encode, **SHARDS))
    made = members(first, "val", ending)
    assert len(made) == len(open_reader(official, "val"))
    for data in made.values():
        with Image.open(io.BytesIO(data)) as image:
            assert (image.format, image.size, image.mode) == (form, (SIDE, SIDE), "RGB")
    report = prepare(first, second, **options(splits=["val"], **SHARDS))
    assert report.ok
    assert members(second, "val", ending) == made
    assert check(first, deep=True).ok
    assert check(second, deep=True).ok
    with pytest.raises(UsageError, match=r"called \.JPEG"):
        prepare(second, tree, **options(splits=["val"]))
    assert prepare(second, tree, **options(splits=["val"], encode="jpeg:80")).ok
    assert check(tree, deep=True).ok


def test_folders_hold_what_pillow_makes_and_are_mended(source: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    report = prepare(source, tree, **options(resize=SIDE))
    wanted = {path: by_pillow(data) for path, data in unpacked(source).items()}
    assert images(tree) == wanted
    assert sum(split.bytes for split in report.splits) == sum(map(len, wanted.values()))
    assert check(tree, deep=True).ok
    reader = open_reader(tree, "train")
    wnids = [facts.classes()[label].wnid for label in reader.labels.tolist()]
    assert [name.partition("_")[0] for name in reader.names.to_pylist()] == wnids
    assert {one["action"] for one in prepare(source, tree, **options(resize=SIDE)).decisions} == {
        "nothing: it is complete"
    }
    gone = sorted(tree.glob("train/*/*.JPEG"))[3]
    gone.write_bytes(b"short")
    with pytest.raises(DamageError, match="1 of 24"):
        prepare(source, tree, **options(resize=SIDE))
    prepare(source, tree, **options(resize=SIDE, repair=True))
    assert images(tree) == wanted


def test_a_manifest_that_is_lost_is_written_anew(source: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    prepare(source, tree, **options(resize=SIDE))
    before = paths.manifest(tree, "train").read_bytes()
    paths.manifest(tree, "train").unlink()
    prepare(source, tree, **options(resize=SIDE, repair=True))
    assert paths.manifest(tree, "train").read_bytes() == before


def test_a_tree_is_a_source_whose_files_are_not_touched(source: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    prepare(source, first, **options())
    before = images(first)
    report = prepare(first, second, **options(resize=SIDE))
    assert images(second) == {path: by_pillow(data) for path, data in before.items()}
    assert images(first) == before
    assert {(one["link"], one["how"]) for one in report.decisions} == {("copy", "made anew")}


@pytest.mark.parametrize("changes", [SHARDS, {}])
def test_a_run_that_was_interrupted_resumes(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    prepare(source, whole, **options(resize=SIDE, **changes))
    call = partial(prepare, source, broken, **options(resize=SIDE, **changes))
    interrupted_after(2, monkeypatch, call)
    report = call()
    assert report.decisions[0]["action"] == "resume an interrupted run"
    kinds = ("*.tar", "*/*/*.JPEG")
    files = {p.relative_to(whole): p.read_bytes() for kind in kinds for p in whole.glob(kind)}
    assert files == {p.relative_to(broken): p.read_bytes() for kind in kinds for p in broken.glob(kind)}


@pytest.mark.parametrize("changes", [SHARDS, {}])
def test_an_image_that_cant_be_decoded_stops_the_run_or_is_listed_or_left_out(
    spoiled: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    asked = options(splits=["train"], crop=SIDE, **changes) | {"jobs": 2}
    with pytest.raises(DamageError, match="can't be transformed") as stopped:
        prepare(spoiled, tmp_path / "stop", **asked)
    [issue] = stopped.value.issues
    assert issue.code is Code.UNDECODABLE
    assert "--damaged skip" in stopped.value.hint
    with pytest.raises(DamageError, match="nothing was published") as listed:
        prepare(spoiled, tmp_path / "list", damaged="list", **asked)
    assert [(one.key, one.code) for one in listed.value.issues] == [(issue.key, Code.LEFT_OUT)]
    assert not list((tmp_path / "list").glob("train*"))
    report = prepare(spoiled, tmp_path / "skip", damaged="skip", **asked)
    assert report.splits[0].images == 23
    assert [one.key for one in report.damage if one.code is Code.LEFT_OUT] == [issue.key]
    assert check(tmp_path / "skip", deep=True).ok
    again = prepare(spoiled, tmp_path / "skip", damaged="skip", **asked)
    assert (again.splits[0].images, again.decisions[0]["action"]) == (23, "nothing: it is complete")
    reader = open_reader(tmp_path / "skip", "train")
    for _, data in reader.take(np.arange(len(reader))):
        with Image.open(io.BytesIO(data)) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (SIDE, SIDE))


def test_an_image_that_should_be_turned_is_noted_and_is_no_damage(source: Path, tmp_path: Path) -> None:
    tree, target = tmp_path / "tree", tmp_path / "shards"
    prepare(source, tree, **options(splits=["train"]))
    shutil.rmtree(tree / ".ilsvrc")  # which records the bytes of each image
    path = sorted(tree.glob("train/*/*.JPEG"))[0]
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (80, 40)).save(path, exif=exif)
    asked = options(splits=["train"], resize=SIDE, verify="none", **SHARDS)
    report = prepare(tree / "train", target, **asked)
    assert [(one.code, one.key.rpartition("/")[2]) for one in report.splits[0].issues] == [(Code.ORIENTED, path.name)]
    assert report.ok
    turned = prepare(tree / "train", tmp_path / "turned", orient=True, **asked)
    assert turned.splits[0].issues == ()
    with Image.open(io.BytesIO(members(tmp_path / "turned", "train", "jpg")[path.stem])) as image:
        assert image.size == (SIDE, 2 * SIDE)


@pytest.mark.parametrize("changes", [SHARDS, {}])
def test_the_dry_run_predicts_the_bytes(tmp_path: Path, changes: dict[str, Any]) -> None:
    spec = MiniSpec(classes=40, per_class=25, val_per_class=1, mean_bytes=6_000)
    source = write_mini(tmp_path / "source", spec).folder
    asked = options(splits=["train"], resize=48, **changes)
    [decision] = prepare(source, tmp_path / "target", dry_run=True, **asked).decisions
    assert not (tmp_path / "target").exists()
    [split] = prepare(source, tmp_path / "target", **asked).splits
    assert split.images == 1000
    assert abs(decision["writes_bytes"] / split.bytes - 1) < 0.03
    assert split.bytes < 0.7 * decision["bytes"]


def test_shards_are_cut_by_their_new_size(official: Path, tmp_path: Path) -> None:
    whole = prepare(official, tmp_path / "a", **options(splits=["train"], **SHARDS)).splits[0].bytes
    small = prepare(
        official, tmp_path / "b", **options(splits=["train"], crop=8, format="webdataset", shard_size=whole)
    )
    assert small.decisions[0]["shards"] == 1
    assert len(list((tmp_path / "b").glob("train-*.tar"))) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"resize": 10, "crop": 10}, "resize and crop contradict"),
        ({"crop": 10, "max_side": 10}, "crop and max_side contradict"),
        ({"resize": "ten"}, "resize can't be"),
        ({"resize": "10x"}, "resize can't be"),
        ({"resize": "0x5"}, "resize can't be 0"),
        ({"crop": 0}, "crop can't be 0"),
        ({"max_side": 70_000}, "max_side can't be 70,000"),
        ({"resize": 20_000, "encode": "webp"}, "resize can't be 20,000"),
        ({"filter": "bicubic"}, "filter says how"),
        ({"enlarge": True}, "enlarge says how"),
        ({"resize": 10, "filter": "cubic"}, "filter can't be"),
        ({"encode": "keep"}, "would only make images worse"),
        ({"encode": "gif"}, "no encoding"),
        ({"damaged": "skip"}, "damaged is about"),
        ({"resize": 10, "link": "hard"}, "shares bytes"),
        ({"resize": 10, "source": "delete"}, "compares images with the source"),
        ({"resize": 10, "encode": "webp"}, r"called \.JPEG"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused_before_anything(
    official: Path, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        prepare(official, tmp_path / "target", **options(**changes))
    assert caught.value.hint
    assert not (tmp_path / "target").exists()


def test_a_sample_that_needs_nothing_is_the_same_object() -> None:
    out = io.BytesIO()
    Image.new("RGB", (30, 20)).save(out, "JPEG")
    sample = Sample("train/x.JPEG", "x.JPEG", 3, out.getvalue(), "/x.JPEG")
    shrink, leave = transform_of(resize=10), transform_of(resize=64)
    assert shrink is not None
    assert leave is not None
    assert leave(sample) is sample
    made = shrink(sample)
    assert (made.key, made.name, made.label, made.file) == ("train/x.JPEG", "x.JPEG", 3, None)
    assert made.source == xxhash.xxh3_128_digest(sample.data)
    assert transform_of() is None


def test_the_command_line_takes_them(official: Path, tmp_path: Path) -> None:
    words = ("prepare", official, tmp_path / "t", "--split", "val", "--format", "webdataset")
    done = ilsvrc_command("--json", *words, "--resize", "20x10", "--filter", "box", "--encode", "png", "-j", 1)
    assert json.loads(done.stdout)["ok"]
    for data in members(tmp_path / "t", "val", "png").values():
        with Image.open(io.BytesIO(data)) as image:
            assert image.size == (20, 10)
    said = ilsvrc_command(*words[:2], tmp_path / "u", "--crop", 16, "--dry-run").stdout
    assert "made anew" in said
    assert "made from" in said
