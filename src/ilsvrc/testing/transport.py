"""Faults of transport: damage to an archive after its digest was taken."""

from __future__ import annotations

import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

from ilsvrc.facts import TRAIN, VAL
from ilsvrc.testing.faults import Fault
from ilsvrc.testing.planting import Planted, hosts
from ilsvrc.testing.spec import MiniSpec

LOGIN_PAGE = b"""<!DOCTYPE html>
<html>
<head><title>Log in</title></head>
<body>
<p>You must be logged in to download this file.</p>
<form action="/login" method="post"><input name="user"><input name="password" type="password"></form>
</body>
</html>
"""

_FLIPPED = 8


def spoil(spec: MiniSpec, folder: Path) -> list[Planted]:
    """Damage the finished archives in this folder; return the place of each fault."""
    host, planted = hosts(spec), []
    if Fault.FLIPPED_BYTES in spec.faults:
        planted.append(_flip(folder / TRAIN, host[Fault.FLIPPED_BYTES].wnid))
    if Fault.TRUNCATED_ARCHIVE in spec.faults:
        planted.append(_truncate(folder / TRAIN, host[Fault.TRUNCATED_ARCHIVE].wnid))
    if Fault.HTML_AS_TAR in spec.faults:
        (folder / VAL).write_bytes(LOGIN_PAGE)
        planted.append(Planted(Fault.HTML_AS_TAR, VAL))
    return planted


def _flip(train: Path, wnid: str) -> Planted:
    """Invert bytes right behind the start of an image's scan: in a progressive one the first scan is short."""
    image = _image(train, wnid)
    with train.open("r+b") as file:
        file.seek(image.offset)
        data = file.read(image.size)
        scan = data.index(b"\xff\xda") + 2
        start = scan + int.from_bytes(data[scan : scan + 2], "big") + _FLIPPED
        file.seek(image.offset + start)
        file.write(bytes(byte ^ 0xFF for byte in data[start : start + _FLIPPED]))
    return Planted(Fault.FLIPPED_BYTES, TRAIN, image.member)


def _truncate(train: Path, wnid: str) -> Planted:
    image = _image(train, wnid)
    os.truncate(train, image.offset + image.size // 2)
    return Planted(Fault.TRUNCATED_ARCHIVE, TRAIN, image.member)


@dataclass(frozen=True, slots=True)
class _Image:
    """The place of an image: its inner tar and name, its offset in the outer file and its size in bytes."""

    member: str
    offset: int
    size: int


def _image(train: Path, wnid: str) -> _Image:
    """Return the middle image of a class."""
    name = f"{wnid}.tar"
    with tarfile.open(train, "r:") as outer, tarfile.open(fileobj=outer.extractfile(name), mode="r:") as inner:
        members = inner.getmembers()
        middle = members[len(members) // 2]
        offset = outer.getmember(name).offset_data + middle.offset_data
        return _Image(f"{name}/{middle.name}", offset, middle.size)
