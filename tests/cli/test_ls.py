"""Look into archives from the command line."""

from __future__ import annotations

import os
import shutil
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


def test_what_is_left_out_of_a_tree_is_a_warning(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree / "train", tmp_path / "val")
    (tmp_path / "val/notes.txt").write_bytes(b"")
    done = ilsvrc("-q", "ls", tmp_path)
    assert done.stdout.split() == ["24", "val/"]
    assert done.stderr.startswith("warning: ")
    assert "1 entry is left out" in done.stderr
    assert "notes.txt" in done.stderr
    listed = ilsvrc_json("ls", tmp_path, "val/n01440764")
    assert [e["path"] for e in listed["entries"]] == [f"val/n01440764/{p.name}" for p in images(tree, "n01440764")]


def images(tree: Path, wnid: str) -> list[Path]:
    return sorted((tree / "train" / wnid).iterdir())


def test_names_that_are_no_text_are_listed_and_warned_of(tree: Path, tmp_path: Path) -> None:
    root = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    shutil.copytree(tree / "train", f"{root}/train")
    odd = os.fsencode(root) + b"/train/\xff\xfe"
    os.mkdir(odd)
    shutil.copy(os.fsencode(images(tree, "n01440764")[0]), odd)
    listed = ilsvrc_json("ls", root)
    assert listed["entries"] == [{"path": "train", "folder": True, "images": 24}]
    assert "\\udcff\\udcfe" in ilsvrc("ls", root, "train").stderr
    path = f"train/n01440764/{images(tree, 'n01440764')[0].name}"
    assert ilsvrc_json("ls", root, path)["entries"][0]["path"] == path
    missing = ilsvrc_json("ls", root, "train/n01440764/no.JPEG", status=2)
    assert "no such image" in missing["error"]
    assert "lists the splits" in missing["hint"]
