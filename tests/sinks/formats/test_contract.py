"""What holds of every shard format, for 1000 classes: content, order, distribution, damage, kill and resume, back."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

import ilsvrc
from ilsvrc.facts import classes
from ilsvrc.readers.locate import find_splits, open_reader
from ilsvrc.readers.reader import Reader
from ilsvrc.readers.units import Sample
from ilsvrc.sinks.formats.registry import FORMATS
from ilsvrc.sinks.shards import shards_of
from ilsvrc.testing import MiniSpec, write_mini
from ilsvrc.testing.contracts import ReaderContract, Truth
from ilsvrc.tree import paths
from ilsvrc.tree.manifest import SHARDED, read_manifest
from tests.cli.helpers import ilsvrc as ilsvrc_command
from tests.prepare.test_transforms import SIDE, by_pillow
from tests.sinks.formats.preparing import KEYWORDS, prepare

SPEC = MiniSpec(per_class=2, val_per_class=1, mean_bytes=2_000, test_images=7)
SHARD_IMAGES = 125
SPLITS = ("train", "val", "test")

Written = Callable[[str], Path]
Content = list[tuple[str, int | None, str]]


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mini(tmp_path_factory.mktemp("official"), SPEC).folder


@pytest.fixture(scope="module")
def written(official: Path, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Return the folder of a format, written once; read it, don't change it."""
    made: dict[str, Path] = {}

    def write(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name) / "shards"
            prepare(name, official, made[name], shard_images=SHARD_IMAGES, splits=SPLITS, jobs=1)
        return made[name]

    return write


@pytest.fixture(scope="module")
def source(official: Path, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Return the data set that the shards of a format hold: the archives, or folders of their images made anew."""
    return functools.cache(lambda name: as_it_should_be(name, official, tmp_path_factory))


def as_it_should_be(name: str, archives: Path, temporary: pytest.TempPathFactory) -> Path:
    """Return the archives; where images are made anew, class folders of them, written here."""
    if name not in KEYWORDS:
        return archives
    folder = temporary.mktemp(f"anew-{name}")
    for split in find_splits(archives):
        reader = open_reader(archives, split)
        for row, data in reader.take(reader.storage_order()):
            label = int(reader.labels[row])
            sample = KEYWORDS[name]["transform"](Sample("", reader.name(row), label, data))
            path = folder / split / (classes()[label].wnid if label >= 0 else "") / sample.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(sample.data)
    return folder


def content(root: Path, split: str) -> dict[str, tuple[int, str]]:
    """Label and sha256 of every image of a split, by name."""
    reader = open_reader(root, split)
    columns = zip(reader.names.to_pylist(), reader.labels.tolist(), strict=True)
    digests = {row: hashlib.sha256(data).hexdigest() for row, data in reader.take(reader.storage_order())}
    return {name: (label, digests[row]) for row, (name, label) in enumerate(columns)}


Truths = Callable[[str], dict[str, dict[str, tuple[int, str]]]]


@pytest.fixture(scope="module")
def truth(source: Written) -> Truths:
    return functools.cache(lambda name: {split: content(source(name), split) for split in SPLITS})


def manifest(root: Path, split: str) -> pa.Table:
    return read_manifest(paths.manifest(root, split), SHARDED)


def names_in_order(root: Path, split: str) -> list[str]:
    return [path.rpartition("/")[2] for path in manifest(root, split).column("path").to_pylist()]


@pytest.mark.parametrize("name", FORMATS)
def test_every_image_is_there_once(name: str, written: Written, truth: Truths) -> None:
    for split, wanted in truth(name).items():
        assert content(written(name), split) == wanted
        assert sorted(names_in_order(written(name), split)) == sorted(wanted)


@pytest.mark.parametrize("name", FORMATS)
def test_imagenet_opens_shards(name: str, written: Written, source: Written) -> None:
    for split in ("train", "val"):
        theirs = ilsvrc.ImageNet(written(name), split=split, loader=bytes)
        ours = ilsvrc.ImageNet(source(name), split=split, loader=bytes)
        assert theirs.targets == ours.targets
        assert [theirs[i] for i in range(0, len(ours), 97)] == [ours[i] for i in range(0, len(ours), 97)]


@pytest.mark.parametrize("name", FORMATS)
def test_shards_are_called_by_the_name_of_their_format(name: str, written: Written) -> None:
    found = find_splits(written(name))
    assert list(found) == ["train", "val", "test"]
    assert {one.form for one in found.values()} == {f"{name} shards"}


@pytest.mark.parametrize("name", FORMATS)
def test_the_manifest_says_where_every_image_lies(name: str, written: Written) -> None:
    for split in ("train", "val", "test"):
        table = manifest(written(name), split)
        shards = shards_of(table)
        assert sum(shard.images for shard in shards) == table.num_rows
        for row in random.Random(0).sample(table.to_pylist(), 7):
            shard = shards[row["shard"]]
            data = (written(name) / shard.path).read_bytes()
            assert len(data) == shard.size
            image = continued(name, data, row["offset"])[: row["size"]]
            assert ilsvrc_digest(image) == row["xxh3_128"]
            assert (row["source"] == row["xxh3_128"]) is (name not in KEYWORDS)


def continued(name: str, data: bytes, offset: int) -> bytes:
    """Bytes of a shard from an offset on; in an ArrayRecord without the 24 bytes of header of each 64 KiB."""
    if name != "array_record":
        return data[offset:]
    kept = np.arange(len(data)) % 65_536 >= 24
    kept[:offset] = False
    return np.frombuffer(data, np.uint8)[kept].tobytes()


def ilsvrc_digest(data: bytes) -> bytes:
    import xxhash

    return xxhash.xxh3_128_digest(data)


@pytest.mark.parametrize("name", ["webdataset"])  # no format has a say in it
def test_the_order_is_one_and_the_same_however_it_is_made(
    name: str, written: Written, official: Path, tmp_path: Path
) -> None:
    """By two processes, in other shards, from a tree: the same order; by another seed another one."""
    order = names_in_order(written(name), "val")
    tree = tmp_path / "tree"
    ilsvrc.prepare(official, tree, splits=("val",), jobs=1)
    ilsvrc.prepare(tree, tmp_path / "again", format=name, shard_images=333, splits=("val",), jobs=2)
    assert names_in_order(tmp_path / "again", "val") == order
    ilsvrc.prepare(official, tmp_path / "seed", format=name, seed=1, splits=("val",), jobs=1)
    other = names_in_order(tmp_path / "seed", "val")
    assert other != order
    assert sorted(other) == sorted(order)
    ilsvrc.prepare(official, tmp_path / "catalog", format=name, order="catalog", splits=("val",), jobs=1)
    assert names_in_order(tmp_path / "catalog", "val") == open_reader(official, "val").names.to_pylist()


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in KEYWORDS])
def test_resized_images_are_those_that_pillow_makes(name: str, mini: Path, tmp_path: Path) -> None:
    """To the last bit: the filter and the encoder are Pillow's."""
    prepare(name, mini, tmp_path / "out", shard_images=9, splits=("val",), resize=SIDE, jobs=1)
    made, given = open_reader(tmp_path / "out", "val"), open_reader(mini, "val")
    assert [made.read(row) for row in range(len(made))] == [by_pillow(given.read(row)) for row in range(len(given))]
    assert made.labels.tolist() == given.labels.tolist()


@pytest.mark.parametrize("name", FORMATS)
def test_classes_are_spread_over_shards_as_by_chance(name: str, written: Written) -> None:
    """Chi-squared over shards and groups of ten classes; the seed is fixed, so this can't fail by bad luck."""
    table = manifest(written(name), "train")
    pieces = np.arange(table.num_rows) // SHARD_IMAGES
    counts = np.zeros((pieces.max() + 1, 100), np.int64)
    np.add.at(counts, (pieces, table.column("label").to_numpy() // 10), 1)
    assert stats.chi2_contingency(counts).pvalue > 0.001


@pytest.mark.parametrize("name", FORMATS)
def test_check_finds_nothing_wrong_and_everything_once(name: str, written: Written, source: Written) -> None:
    done = ilsvrc_command("check", written(name), "--deep", "--against", source(name))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing is wrong" in done.stdout


@pytest.mark.parametrize("name", FORMATS)
def test_a_flipped_byte_is_found_and_named_with_shard_and_image(
    name: str, written: Written, official: Path, tmp_path: Path
) -> None:
    """In an image, and anywhere else in a shard; then --repair makes the shard what it was."""
    prepare(name, official, tmp_path / "out", splits=("val",), shard_images=SHARD_IMAGES, jobs=1)
    table = manifest(tmp_path / "out", "val")
    row = table.slice(300, 1).to_pylist()[0]
    shard = shards_of(table)[row["shard"]]
    path = tmp_path / "out" / shard.path
    whole = path.read_bytes()
    path.write_bytes(flipped(whole, row["offset"] + row["size"] // 2))
    done = ilsvrc_command("check", tmp_path / "out", "--deep", status=1)
    assert f"changed-shard: {shard.path}" in done.stdout
    assert f"{shard.path}/{Path(row['path']).stem}." in done.stdout
    covered = np.zeros(len(whole), bool)
    for other in table.filter(pa.compute.equal(table.column("shard"), row["shard"])).to_pylist():
        covered[other["offset"] : other["offset"] + other["size"]] = True
    outside = random.Random(0).choice(np.flatnonzero(~covered).tolist())
    path.write_bytes(flipped(whole, outside))
    done = ilsvrc_command("check", tmp_path / "out", "--deep", status=1)
    assert f"changed-shard: {shard.path}" in done.stdout
    prepare(name, official, tmp_path / "out", splits=("val",), shard_images=SHARD_IMAGES, jobs=1, repair=True)
    assert path.read_bytes() == whole


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


@pytest.mark.parametrize("name", FORMATS)
def test_a_killed_run_is_resumed_to_the_same_bytes(
    name: str, written: Written, official: Path, tmp_path: Path
) -> None:
    """kill -9 at random moments; the finished folder equals that of a run that nobody disturbed."""
    killed_and_resumed(name, official, tmp_path / "out", random.Random(name))
    assert files_of(tmp_path / "out") == files_of(written(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_campaign_of_kills(name: str, written: Written, official: Path, tmp_path: Path) -> None:
    """The same many times over: ILSVRC_ROUNDS of each format."""
    for number in range(int(os.environ.get("ILSVRC_ROUNDS", "20"))):
        out = tmp_path / str(number)
        killed_and_resumed(name, official, out, random.Random(f"{name} {number}"))
        assert files_of(out) == files_of(written(name))
        shutil.rmtree(out)


def killed_and_resumed(name: str, source: Path, out: Path, rng: random.Random) -> None:
    """Prepare shards, killed three times at random moments."""
    command = [sys.executable, "-m", "tests.sinks.formats.preparing", name, source, out, SHARD_IMAGES]
    for _ in range(3):
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.5, 1.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def files_of(root: Path) -> dict[str, str]:
    """Digest of every file that is not ours alone."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".ilsvrc" not in path.parts
    }


@pytest.fixture(scope="module")
def folders(official: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Digest of every file that is prepared from the archives."""
    target = tmp_path_factory.mktemp("folders") / "tree"
    ilsvrc.prepare(official, target, jobs=1)
    return files_of(target)


@pytest.mark.parametrize("name", FORMATS)
def test_folders_made_of_shards_are_those_made_of_archives(
    name: str, written: Written, source: Written, folders: dict[str, str], tmp_path: Path
) -> None:
    """Of pictures that are no JPEGs, which folders can't hold, other shards are."""
    kind = "webdataset" if name in KEYWORDS else "folders"
    ilsvrc.prepare(written(name), tmp_path / "back", format=kind, jobs=1)
    if name in KEYWORDS:
        for split in ("train", "val"):
            assert content(tmp_path / "back", split) == content(source(name), split)
        return
    assert files_of(tmp_path / "back") == folders


@pytest.mark.parametrize("name", FORMATS)
def test_a_dry_run_says_shards_and_room(name: str, official: Path, tmp_path: Path) -> None:
    done = ilsvrc_command(
        "--json", "prepare", official, tmp_path / "out", "--format", name, "--shard-images", SHARD_IMAGES, "--dry-run"
    )
    decided = json.loads(done.stdout)["decisions"][0]
    assert decided["shards"] == 16
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", FORMATS)
class TestShardReader(ReaderContract):
    @pytest.fixture(params=["train", "val"])
    def split(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    def reader(self, name: str, split: str, small: Callable[[str], Path]) -> Reader:
        return open_reader(small(name), split)

    @pytest.fixture
    def truth(self, name: str, split: str, mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Truth:
        reader = open_reader(as_it_should_be(name, mini, tmp_path_factory), split)
        return {(int(reader.labels[row]), reader.name(row)): reader.read(row) for row in range(len(reader))}


@pytest.fixture(scope="module")
def small(mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Written:
    made: dict[str, Path] = {}

    def write(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp(f"small-{name}") / "shards"
            prepare(name, mini, made[name], shard_images=7, jobs=1)
        return made[name]

    return write
