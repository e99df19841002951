"""Zips by independent writers: the standard library, Info-ZIP and 7-Zip; and records written by hand, to be wrong."""

from __future__ import annotations

import shutil
import struct
import subprocess
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

Files = Mapping[str, bytes]
Writer = Callable[[Path, Path], None]
"""Makes a zip at a path of all that lies in a folder."""


def zipped(path: Path, files: Files, method: int = zipfile.ZIP_STORED) -> Path:
    """Write a zip of these files."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def by_zipfile(method: int) -> Writer:
    def write(path: Path, folder: Path) -> None:
        with zipfile.ZipFile(path, "w", method) as archive:
            for file in sorted(folder.rglob("*"), reverse=True):
                archive.write(file, file.relative_to(folder))

    return write


def streamed(path: Path, folder: Path) -> None:
    """Write to a pipe: sizes and CRC-32 follow each member's data."""
    with (
        path.open("wb") as target,
        subprocess.Popen(("zip", "-q", "-r", "-", "."), cwd=folder, stdout=subprocess.PIPE) as piped,
    ):
        assert piped.stdout is not None
        shutil.copyfileobj(piped.stdout, target)
    assert piped.returncode == 0


def by_program(*command: str) -> Writer:
    def write(path: Path, folder: Path) -> None:
        if shutil.which(command[0]) is None:
            pytest.skip(f"{command[0]} is not installed")
        subprocess.run([*command, str(path), "."], cwd=folder, check=True, stdout=subprocess.DEVNULL)

    return write


def wide(path: Path, folder: Path) -> None:
    """Write every size with a zip64 field, as programs do that do not know it beforehand."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.*")):
            with archive.open(file.relative_to(folder).as_posix(), "w", force_zip64=True) as member:
                member.write(file.read_bytes())


WRITERS: dict[str, Writer] = {
    "zipfile, stored": by_zipfile(zipfile.ZIP_STORED),
    "zipfile, deflated": by_zipfile(zipfile.ZIP_DEFLATED),
    "zipfile, zip64": wide,
    "zip -0": by_program("zip", "-q", "-0", "-r"),
    "zip": by_program("zip", "-q", "-r"),
    "zip, piped": streamed,
    "7zz": by_program("7zz", "a", "-tzip", "-bso0", "-bsp0"),
    "7zz, stored": by_program("7zz", "a", "-tzip", "-mx0", "-bso0", "-bsp0"),
}


def directory_of(data: bytes) -> int:
    """Return where the list of members begins in a small zip without comment."""
    return int(struct.unpack_from("<I", data, len(data) - 6)[0])


def patched(path: Path, at: int, value: bytes) -> Path:
    """Overwrite some bytes of a file, counted from its end if `at` is negative."""
    data = bytearray(path.read_bytes())
    at %= len(data)
    data[at : at + len(value)] = value
    path.write_bytes(data)
    return path
