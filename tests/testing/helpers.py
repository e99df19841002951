"""Look at archives and folders through the standard library and GNU tar alone."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

from PIL import Image

from ilsvrc.facts import TEST, TRAIN, VAL
from ilsvrc.testing import Fault, MiniReport

Files = dict[str, bytes]


def members(data: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    """Return every member of a tar and its payload."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        return [(m, archive.extractfile(m).read() if m.isreg() else b"") for m in archive]  # type: ignore[union-attr]


def files(data: bytes) -> Files:
    """Return the files of a tar by name."""
    return {member.name: payload for member, payload in members(data) if member.isreg()}


def train_images(folder: Path) -> dict[str, Files]:
    """Return the images of the train archive by class."""
    inner = files((folder / TRAIN).read_bytes())
    return {name.removesuffix(".tar"): files(data) for name, data in inner.items()}


def inner_with(report: MiniReport, fault: Fault) -> tuple[bytes, str]:
    """Return the inner tar that has a fault, and the name of the member that has it."""
    [place] = [p.member for p in report.planted if p.fault == fault and p.archive == TRAIN]
    inner, _, member = place.partition("/")
    return files((report.folder / TRAIN).read_bytes())[inner], member


def tree(folder: Path) -> Files:
    """Return every file below a folder by its path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def untar(archive: Path, target: Path) -> Path:
    """Unpack an archive of any compression with GNU tar; return the folder."""
    target.mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "-xf", str(archive), "-C", str(target)], check=True, capture_output=True)
    return target


def images_of(archives: Path) -> dict[str, Files]:
    """Return the images of the official archives by split and official name."""
    train = {name: data for pictures in train_images(archives).values() for name, data in pictures.items()}
    test = files((archives / TEST).read_bytes())
    return {
        "train": train,
        "val": files((archives / VAL).read_bytes()),
        "test": {name.removeprefix("test/"): data for name, data in test.items()},
    }


def decode(data: bytes) -> Image.Image:
    """Decode an image to its last pixel."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image
