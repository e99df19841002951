"""Whatever is compared must do the same work: every peer's tree is the tree that `prepare` makes."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bench.check import DAMAGES
from bench.data import PEERS, compiled

import ilsvrc
from ilsvrc.facts import TRAIN
from ilsvrc.testing import MiniSpec, write_mini

needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
needs_gnu = pytest.mark.skipif(sys.platform != "linux", reason="the script uses options of the GNU programs")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mini")
    write_mini(folder, MiniSpec(classes=3, per_class=4, mean_bytes=4000))
    return folder / TRAIN


@pytest.fixture(scope="module")
def tree(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    target = tmp_path_factory.mktemp("ours") / "tree"
    ilsvrc.prepare(archive, target, splits=("train",), jobs=1)
    return contents(target / "train")


def contents(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.md5(path.read_bytes()).hexdigest() for path in files}


@needs_gnu
@pytest.mark.parametrize("steps", [[], ["md5sum"], ["large"], ["md5sum", "large"]], ids=" ".join)
def test_three_steps(steps: list[str], archive: Path, tree: dict[str, str], tmp_path: Path) -> None:
    command: list[str | Path] = ["sh", PEERS / "threesteps.sh", archive, tmp_path / "tree", *steps]
    subprocess.run(command, check=True)
    assert contents(tmp_path / "tree") == tree


def test_extractall(archive: Path, tree: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    subprocess.run([sys.executable, PEERS / "extractall.py", archive, tmp_path / "tree"], check=True)
    assert contents(tmp_path / "tree") == tree


@needs_cc
def test_unpack_in_c(archive: Path, tree: dict[str, str], tmp_path: Path) -> None:
    subprocess.run([compiled("unpack", tmp_path), archive, tmp_path / "tree"], check=True)
    assert contents(tmp_path / "tree") == tree


@needs_gnu
@pytest.mark.parametrize("peer", ["threesteps.sh", "extractall.py"])
def test_those_that_hash_refuse_a_damaged_archive(peer: str, archive: Path, tmp_path: Path) -> None:
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / TRAIN).write_bytes(data)
    shutil.copy(archive.with_name("MD5SUMS"), tmp_path)
    program, steps = ("sh", ["md5sum"]) if peer.endswith(".sh") else (sys.executable, [])
    command: list[str | Path] = [program, PEERS / peer, tmp_path / TRAIN, tmp_path / "tree", *steps]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0
    assert not (tmp_path / "tree").exists() or not contents(tmp_path / "tree")


@needs_cc
@pytest.mark.parametrize("threads", [1, 16])
def test_probe_reads_every_place_and_says_so(threads: int, archive: Path, tmp_path: Path) -> None:
    places, probe = tmp_path / "places", compiled("probe", tmp_path)
    last = archive.stat().st_size - 512
    places.write_bytes(np.linspace(0, last, 3000).astype("<i8").tobytes())
    done = subprocess.run([probe, archive, places, str(threads)], capture_output=True, text=True, check=True)
    assert float(done.stdout.removeprefix("seconds: ")) >= 0
    places.write_bytes(np.array([0, last + 512]).astype("<i8").tobytes())
    assert subprocess.run([probe, archive, places, "2"], capture_output=True, check=False).returncode == 1


def test_pillow_counts_what_it_can_load(archive: Path, tmp_path: Path) -> None:
    ilsvrc.prepare(archive, tmp_path / "tree", splits=("train",), jobs=1)
    broken = next((tmp_path / "tree" / "train").rglob("*.JPEG"))
    broken.write_bytes(broken.read_bytes()[:1000])
    command: list[str | Path] = [sys.executable, PEERS / "pillow.py", tmp_path / "tree"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "11 of 12 images are whole\n"


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_changes_the_image_and_never_makes_it_longer(kind: str) -> None:
    chance, image = random.Random(1), random.Random(2).randbytes(10_000)
    for _ in range(50):
        data = bytearray(image)
        DAMAGES[kind](data, chance)
        assert bytes(data) != image
        assert len(data) <= len(image)
