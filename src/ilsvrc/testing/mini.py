"""The miniature archives: a fake ImageNet, with real names, labels and structure, small enough for a CI run."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ilsvrc.errors import UsageError, system_errors
from ilsvrc.events import Finished, Listener, Started, silent
from ilsvrc.facts import DEVKIT, TEST, TRAIN, VAL, official
from ilsvrc.paths import given_path
from ilsvrc.testing.archives import STAGE, ArchiveWriter
from ilsvrc.testing.contents import inner_tar, test_entries, val_entries
from ilsvrc.testing.devkit import devkit_archive
from ilsvrc.testing.faults import FAULTS
from ilsvrc.testing.images import Camera
from ilsvrc.testing.planting import Planted, hosts, plant_train, plant_val
from ilsvrc.testing.spec import MiniSpec
from ilsvrc.testing.transport import spoil

__all__ = ["MD5SUMS", "MiniReport", "MiniSpec", "Planted", "md5sums", "write_mini"]

MD5SUMS = "MD5SUMS"

_ARCHIVES = (DEVKIT, TRAIN, VAL, TEST)


@dataclass(frozen=True, slots=True)
class MiniReport:
    """What was written.

    folder : where it is
    sizes : bytes of each file, by name
    images : image files in the archives; faults of transport may have taken some away again
    planted : the faults and where each sits
    """

    folder: Path
    sizes: Mapping[str, int]
    images: int
    planted: tuple[Planted, ...]

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(self.sizes.values())

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON document."""
        faults = [
            {"fault": p.fault, "archive": p.archive, "member": p.member, "code": FAULTS[p.fault].code}
            for p in self.planted
        ]
        sizes = dict(self.sizes)
        return {
            "folder": str(self.folder),
            "images": self.images,
            "bytes": self.bytes,
            "files": sizes,
            "faults": faults,
        }


@system_errors()
def write_mini(
    target: Path | str, spec: MiniSpec | None = None, *, listener: Listener = silent, force: bool = False
) -> MiniReport:
    """Write a miniature: the train, val and devkit archives and MD5SUMS, under their official names.

    The test archive is written too where the spec asks for test images.

    The files take their names when all of them are complete. The same spec gives the same bytes with the same
    versions of ilsvrc and the libraries that encode its pictures.

    Parameters
    ----------
    target
        The folder; it is made.
    spec
        What the miniature is; a thousand classes without faults when left out.
    listener
        Takes the progress, image by image.
    force
        Replace the files that are there; archives of the official size are never replaced.

    Raises
    ------
    UsageError
        The files are there, the target is no folder, or the miniature is too small for its faults.
    MissingExtraError
        scipy is not installed.
    """
    target, spec = given_path(target, "the folder for the miniature"), spec or MiniSpec()
    hosts(spec)  # refuses before anything is made
    _refuse_to_replace(target, force=force)
    devkit = devkit_archive(spec)
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".mini-", dir=target) as name:
        staging = Path(name)
        (staging / DEVKIT).write_bytes(devkit)
        images, planted = _write_images(spec, staging, listener)
        (staging / MD5SUMS).write_text(md5sums(staging), encoding="ascii")
        planted += spoil(spec, staging)
        return MiniReport(target, _publish(staging, target), images, tuple(planted))


def md5sums(folder: Path) -> str:
    """Return the digests of a folder's archives as md5sum writes them."""
    lines = []
    for path in filter(Path.exists, (folder / name for name in _ARCHIVES)):
        with path.open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'md5').hexdigest()}  {path.name}\n")
    return "".join(lines)


def _write_images(spec: MiniSpec, folder: Path, listener: Listener) -> tuple[int, list[Planted]]:
    listener(Started(STAGE, total_images=spec.images))
    camera = Camera(spec.seed, spec.mean_bytes)
    damaged, in_train = plant_train(spec, camera)
    entries, in_val = plant_val(spec, val_entries(spec, camera))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        writer = ArchiveWriter(pool, listener)
        writer.train(folder / TRAIN, (damaged.get(s.wnid) or inner_tar(spec, s, camera) for s in spec.synsets))
        writer.flat(folder / VAL, entries)
        if spec.test_images:
            writer.flat(folder / TEST, test_entries(spec, camera))
    listener(Finished(STAGE))
    return writer.images, in_train + in_val


def _refuse_to_replace(target: Path, *, force: bool) -> None:
    if os.path.lexists(target) and not target.is_dir():
        raise UsageError(f"{target} is not a folder", hint="give the folder that is to hold the archives")
    there = [name for name in (*_ARCHIVES, MD5SUMS) if (target / name).exists()]
    for name in there:
        spec = official(name)
        if spec and spec.size == (target / name).stat().st_size:
            raise UsageError(f"{target / name} looks like the genuine archive", hint="choose another folder")
    if there and not force:
        raise UsageError(f"{target} already has {', '.join(there)}", hint="choose another folder, or use --force")


def _publish(staging: Path, target: Path) -> dict[str, int]:
    """Move the files to their names; return their sizes. MD5SUMS comes last: where it is, all of them are."""
    (target / MD5SUMS).unlink(missing_ok=True)
    sizes = {}
    for name in (*_ARCHIVES, MD5SUMS):
        if not (staging / name).exists():
            continue
        sizes[name] = (staging / name).stat().st_size
        (staging / name).replace(target / name)
    return sizes
