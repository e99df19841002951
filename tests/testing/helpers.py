"""Look at archives through the standard library alone."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from PIL import Image

from ilsvrc.facts import TRAIN
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


def decode(data: bytes) -> Image.Image:
    """Decode an image to its last pixel."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image
