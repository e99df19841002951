"""Look into archives from the command line."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from ilsvrc import ImageNet, facts
from tests.cli.helpers import ilsvrc, ilsvrc_json


def test_lists_splits_classes_and_images(mini: Path) -> None:
    told = ilsvrc_json("ls", mini)
    assert [(e["path"], e["images"], e["folder"]) for e in told["entries"]] == [
        ("train", 24, True),
        ("val", 12, True),
    ]
    assert [e["path"] for e in ilsvrc_json("ls", mini, "val")["entries"]] == [
        f"val/{wnid}" for wnid in facts.classes().wnids[:6]
    ]
    with tarfile.open(mini / facts.TRAIN) as outer, tarfile.open(fileobj=outer.extractfile("n01440764.tar")) as inner:
        sizes = {f"train/n01440764/{m.name}": m.size for m in inner}
    images = ilsvrc_json("ls", mini, "train/n01440764")["entries"]
    assert {e["path"]: e["bytes"] for e in images} == sizes
    text = ilsvrc("ls", mini, "train/n01440764").stdout.splitlines()
    assert [(int(line.split()[0].replace(",", "")), line.split()[1]) for line in text] == [
        (sizes[path], path) for path in sorted(sizes)
    ]


def test_cat_writes_the_bytes(mini: Path) -> None:
    paths = [e["path"] for e in ilsvrc_json("ls", mini, "val/n01440764")["entries"]]
    command = [sys.executable, "-m", "ilsvrc", "cat", str(mini), *paths]
    done = subprocess.run(command, capture_output=True, check=True)
    dataset = ImageNet(mini, "val")
    assert done.stdout == dataset.bytes(0) + dataset.bytes(1)


@pytest.mark.parametrize("arguments", [("ls", "val/nope"), ("cat", "val/n01440764/no.JPEG"), ("cat", "val")])
def test_what_is_not_there_is_the_callers_fault(mini: Path, arguments: tuple[str, str]) -> None:
    done = ilsvrc(arguments[0], mini, arguments[1], status=2)
    assert arguments[1] in done.stderr
    [words] = [line.split("`")[1].split() for line in done.stderr.splitlines() if line.startswith("hint:")]
    assert "train/" in ilsvrc(*words[1:]).stdout


def test_cat_writes_no_json(mini: Path) -> None:
    assert ilsvrc_json("cat", mini, "val/x", status=2)["ok"] is False
