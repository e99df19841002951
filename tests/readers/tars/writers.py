"""Tars as people write them: by GNU tar, gzip, zstd, the standard library and the scripts that go around."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

from ilsvrc import facts


def run(*command: str | Path, cwd: Path | None = None) -> bytes:
    return subprocess.run(command, check=True, capture_output=True, cwd=cwd).stdout


def gnu(out: Path, tree: Path, *words: str) -> Path:
    """GNU tar with options and names of its own."""
    run("tar", *words[:-1], "-cf", out, "-C", tree, words[-1])
    return out


def gzipped(path: Path, *words: str) -> Path:
    run("gzip", *words, path)
    return path.with_name(f"{path.name}.gz")


def in_members(path: Path, size: int = 20_000) -> Path:
    """Many gzip members in one file, as `cat *.gz` makes."""
    data = path.read_bytes()
    out = path.with_name(f"{path.name}.gz")
    out.write_bytes(b"".join(gzip.compress(data[at : at + size], 1) for at in range(0, len(data), size)))
    return out


def zstd(path: Path, frame: int = 0) -> Path:
    """The program zstd: one frame, or one for each so many bytes, concatenated."""
    out = path.with_name(f"{path.name}.zst")
    if not frame:
        run("zstd", "-q", "--rm", path)
        return out
    pieces = []
    for at in range(0, path.stat().st_size, frame):
        part = path.with_name("part")
        part.write_bytes(path.read_bytes()[at : at + frame])
        pieces.append(run("zstd", "-q", "-c", part))
        part.unlink()
    out.write_bytes(b"".join(pieces))
    path.unlink()
    return out


def standard_library(out: Path, tree: Path) -> Path:
    """Python's tarfile as it is used most: pax headers for the fractions of a second in every member's time."""
    with tarfile.open(out, "w") as archive:
        archive.add(tree, arcname="imagenet")
    return out


def heap(tree: Path, folder: Path) -> Path:
    """Validation images without class folders, as the official archive unpacks."""
    (folder / "val").mkdir(parents=True)
    for path in (tree / "val").glob("*/*"):
        shutil.copy2(path, folder / "val")
    return folder


def class_tars(tree: Path, folder: Path) -> Path:
    """What is left in a folder by `tar xf ILSVRC2012_img_train.tar`."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted((tree / "train").iterdir()):
        run("sh", "-c", f'cd "{path}" && tar -cf "{folder / path.name}.tar" *')
    return folder


def hugging_face(tree: Path, folder: Path, parts: int = 5) -> Path:
    """The first layout of ILSVRC/imagenet-1k: names carry the wnid at their end; train in five parts."""
    data = folder / "data"
    data.mkdir(parents=True)
    labels = {path.name: path.parent.name for path in (tree / "val").glob("*/*")}
    train = sorted((tree / "train").glob("*/*"), key=lambda path: hash_of(path.name))
    for part in range(parts):
        with tarfile.open(data / f"train_images_{part}.tar.gz", "w:gz") as archive:
            for path in train[part::parts]:
                archive.add(path, f"{path.stem}_{path.parent.name}.JPEG")
    with tarfile.open(data / "val_images.tar.gz", "w:gz") as archive:
        for path in (tree / "val").glob("*/*"):
            archive.add(path, f"{path.stem}_{labels[path.name]}.JPEG")
    with tarfile.open(data / "test_images.tar.gz", "w:gz") as archive:
        for number in (1, 2, 3):
            archive.add(train[number], f"ILSVRC2012_test_{number:08}.JPEG")
    return folder


def hash_of(name: str) -> int:
    return sum(name.encode()) * 7919 % 101


def kaggle(tree: Path, out: Path) -> Path:
    """imagenet_object_localization_patched2019.tar.gz: annotations first, validation images in a heap."""
    top = out.parent / "kaggle"
    base = top / "ILSVRC"
    for kind in ("train", "val"):
        (base / "Annotations/CLS-LOC" / kind).mkdir(parents=True)
        (base / "Data/CLS-LOC" / kind).mkdir(parents=True)
    for path in (tree / "train").glob("*/*"):
        (base / "Data/CLS-LOC/train" / path.parent.name).mkdir(exist_ok=True)
        shutil.copy2(path, base / "Data/CLS-LOC/train" / path.parent.name)
        (base / "Annotations/CLS-LOC/train" / f"{path.stem}.xml").write_text("<annotation/>")
    for path in (tree / "val").glob("*/*"):
        shutil.copy2(path, base / "Data/CLS-LOC/val")
    run("tar", "-czf", out, "-C", top, "ILSVRC")
    shutil.rmtree(top)
    return out


Writer = Callable[[Path, Path, Path], Path]
"""Writes a form: from the miniature's archives and its tree, into an empty folder; returns what a user points to."""

LONG = "a folder with a long name such as people have on shared disks/" * 2

FORMS: dict[str, Writer] = {
    "gnu": lambda mini, tree, to: gnu(to / "imagenet.tar", tree, "--exclude=.ilsvrc", "."),
    "one split": lambda mini, tree, to: _one_split_each(tree, to),
    "ustar with a prefix": lambda mini, tree, to: gnu(
        to / "i.tar", tree, "--format=ustar", r"--transform=s,^\.,imagenet 2012,", "."
    ),
    "pax": lambda mini, tree, to: gnu(to / "i.tar", tree, "--format=pax", "."),
    "long names": lambda mini, tree, to: gnu(to / "i.tar", tree, rf"--transform=s,^\.,{LONG},", "."),
    "tarfile": lambda mini, tree, to: standard_library(to / "i.tar", tree),
    "v7": lambda mini, tree, to: gnu(to / "i.tar", tree, "--format=v7", "."),
    "no folder train": lambda mini, tree, to: _wnids_on_top(tree, to),
    "gzip": lambda mini, tree, to: gzipped(gnu(to / "i.tar", tree, "."), "-1"),
    "gzip members": lambda mini, tree, to: in_members(gnu(to / "i.tar", tree, ".")),
    "gzip, stored": lambda mini, tree, to: _stored(gnu(to / "i.tar", tree, ".")),
    "zstd": lambda mini, tree, to: zstd(gnu(to / "i.tar", tree, ".")),
    "zstd frames": lambda mini, tree, to: zstd(gnu(to / "i.tar", tree, "."), 30_000),
    "kaggle": lambda mini, tree, to: kaggle(tree, to / "imagenet_object_localization_patched2019.tar.gz"),
    "hugging face": lambda mini, tree, to: hugging_face(tree, to),
    "official, gzipped": lambda mini, tree, to: _official_gz(mini, to),
    "official, repacked below a folder": lambda mini, tree, to: _repacked(mini, to),
}


def _one_split_each(tree: Path, to: Path) -> Path:
    for split in ("train", "val"):
        gnu(to / f"{split}.tar", tree, split)
    return to


def _official_gz(mini: Path, to: Path) -> Path:
    for name in (facts.TRAIN, facts.VAL):
        shutil.copy2(mini / name, to / name)
        gzipped(to / name, "-1")
    return to


def _wnids_on_top(tree: Path, to: Path) -> Path:
    wnids = sorted(os.listdir(tree / "train"))
    run("tar", "-cf", to / facts.TRAIN, "-C", tree / "train", *wnids)
    run("tar", "-cf", to / "val.tar", "-C", tree, "val")
    return to


def _stored(path: Path) -> Path:
    out = path.with_name(f"{path.name}.gz")
    out.write_bytes(gzip.compress(path.read_bytes(), 0))
    path.unlink()
    return out


def _repacked(mini: Path, to: Path) -> Path:
    """The archives unpacked once, and all of it packed again."""
    for split, name in (("train", facts.TRAIN), ("val", facts.VAL)):
        (to / "x" / split).mkdir(parents=True)
        run("tar", "-xf", mini / name, "-C", to / "x" / split)
    run("tar", "-cf", to / "all.tar", "-C", to / "x", ".")
    shutil.rmtree(to / "x")
    return to / "all.tar"
