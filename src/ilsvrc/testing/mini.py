"""A fake ImageNet in any form, with real names, labels and structure, small enough for a CI run."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

from ilsvrc.errors import UsageError, system_errors
from ilsvrc.events import Finished, Listener, Started, silent
from ilsvrc.facts import DEVKIT, TEST, TRAIN, VAL, official
from ilsvrc.files import rename_new
from ilsvrc.paths import given_path
from ilsvrc.testing.archives import STAGE, ArchiveWriter
from ilsvrc.testing.contents import Contents, val_entries
from ilsvrc.testing.devkit import require_scipy
from ilsvrc.testing.faults import FAULTS
from ilsvrc.testing.forms import top_names, write_form
from ilsvrc.testing.forms.download import stop_download
from ilsvrc.testing.images import Camera
from ilsvrc.testing.planting import Planted, hosts, plant_train, plant_val
from ilsvrc.testing.spec import Form, MiniFields, MiniSpec, State
from ilsvrc.testing.transport import spoil

__all__ = ["MD5SUMS", "MiniReport", "MiniSpec", "Planted", "md5sums", "write_mini"]

MD5SUMS = "MD5SUMS"

_ARCHIVES = (DEVKIT, TRAIN, VAL, TEST)
_WITH_DEVKIT = (Form.ARCHIVES, Form.INNER)
_LARGE = 2_000_000_000
"""Bytes of a file that --force leaves alone: a tar of the real validation images has three times as many."""


@dataclass(frozen=True, slots=True)
class MiniReport:
    """A miniature that was written.

    folder : where it is
    sizes : bytes of each file in the folder, by name; a folder in it has a slash after its name, and all its bytes
    images : image files that were written; faults of transport and a stopped download may have taken some away again
    planted : the faults and where each sits
    form : what it looks like on disk
    state : how far its owner has come
    """

    folder: Path
    sizes: Mapping[str, int]
    images: int
    planted: tuple[Planted, ...]
    form: Form = Form.ARCHIVES
    state: State = State.COMPLETE

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
        return {
            "folder": str(self.folder),
            "form": self.form,
            "state": self.state,
            "images": self.images,
            "bytes": self.bytes,
            "files": dict(self.sizes),
            "faults": faults,
        }


@system_errors()
def write_mini(
    target: Path | str,
    spec: MiniSpec | None = None,
    *,
    listener: Listener = silent,
    force: bool = False,
    **fields: Unpack[MiniFields],
) -> MiniReport:
    """Write a miniature of ILSVRC 2012 in any of the forms that people hold.

    The form `archives` is train, val and devkit archives and MD5SUMS, under their official names; the page
    `docs/reference/mini.md` shows the others. The same spec has the same images, names and labels in every form.

    The files take their names when all of them are complete. The same spec gives the same bytes with the same
    versions of ilsvrc and the libraries that encode its pictures.

    Parameters
    ----------
    target
        The folder; created if it does not exist.
    spec
        What the miniature is; a thousand classes without faults, as archives, when left out.
    listener
        Receives the progress, image by image.
    force
        Replace the files that are there. Folders are never replaced, nor are archives of the official size.
    **fields
        Fields of the spec that are to differ from it: `write_mini("fake", form="kaggle", classes=10)`.

    Raises
    ------
    UsageError
        The files are there, the target is no folder, the miniature is too small for its faults, or its form can't
        have a state, a layout or a fault.
    MissingExtraError
        scipy is not installed, and the form has a devkit.
    """
    target = given_path(target, "the folder for the miniature")
    spec = replace(spec or MiniSpec(), **fields)
    hosts(spec)  # refuses before anything is made
    _refuse_to_replace(target, spec, force=force)
    if Form(spec.form) in _WITH_DEVKIT:
        require_scipy()
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".mini-", dir=target) as name:
        staging = Path(name)
        images, planted = _write_images(spec, staging, listener)
        if Form(spec.form) in _WITH_DEVKIT:
            (staging / MD5SUMS).write_text(md5sums(staging), encoding="ascii")
        planted += spoil(spec, staging)
        if spec.state == State.HALF_DOWNLOAD:
            stop_download(spec, staging)
        sizes = _publish(staging, target, force=force)
        return MiniReport(target, sizes, images, tuple(planted), Form(spec.form), State(spec.state))


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
    planted = in_train + in_val
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        writer = ArchiveWriter(pool, listener, [_image(p) for p in planted])
        write_form(Contents(spec, camera, damaged, entries), writer, folder)
    listener(Finished(STAGE))
    if spec.form != Form.ARCHIVES:
        planted = [_placed(p, writer, folder) for p in planted]
    return writer.images, planted


def _image(planted: Planted) -> str:
    """Return the official name of the image that has a fault."""
    return planted.member.rpartition("/")[2]


def _placed(planted: Planted, writer: ArchiveWriter, folder: Path) -> Planted:
    """Return a fault with the place that its image has in another form than the archives, or else its split."""
    if planted.archive == VAL and (folder / VAL).exists():
        return planted
    if _image(planted) in writer.places:
        path, member = writer.places[_image(planted)]
        return replace(planted, archive=path.relative_to(folder).as_posix(), member=member)
    split = "train" if planted.archive == TRAIN else "val"
    in_class = planted.member.replace(".tar", "", 0 if (folder / DEVKIT).exists() else 1)
    return replace(planted, archive=split, member=in_class)


def _refuse_to_replace(target: Path, spec: MiniSpec, *, force: bool) -> None:
    if os.path.lexists(target) and not target.is_dir():
        raise UsageError(f"{target} is not a folder", hint="give the folder that is to hold the miniature")
    names = (*top_names(spec), MD5SUMS) if Form(spec.form) in _WITH_DEVKIT else top_names(spec)
    there = [target / name for name in names if os.path.lexists(target / name)]
    for path in there:
        _refuse_precious(path, force=force)
    if there and not force:
        hint = (
            "choose another folder"
            if any(path.is_dir() for path in there)
            else "choose another folder, or use --force"
        )
        raise UsageError(f"{target} already has {', '.join(path.name for path in there)}", hint=hint)


def _refuse_precious(path: Path, *, force: bool) -> None:
    """Refuse what not even --force replaces: the genuine archives, folders and large files."""
    size = path.stat().st_size if path.is_file() else 0
    archive = official(path.name)
    if archive and archive.size == size:
        raise UsageError(f"{path} looks like the genuine archive", hint="choose another folder")
    hint = "choose another folder, or remove it yourself if nobody needs it"
    if force and path.is_dir():
        raise UsageError(f"{path} is a folder, and no folder is ever replaced", hint=hint)
    if force and size >= _LARGE:
        raise UsageError(f"{path} is too large to be replaced unseen: {size:,} bytes", hint=hint)


def _publish(staging: Path, target: Path, *, force: bool) -> dict[str, int]:
    """Move the files to their names; return their sizes. MD5SUMS comes last: if it exists, all files do."""
    names = sorted(path.name for path in staging.iterdir() if path.name != MD5SUMS)
    if (staging / MD5SUMS).exists():
        if force:
            (target / MD5SUMS).unlink(missing_ok=True)
        names.append(MD5SUMS)
    sizes = {}
    for name in names:
        path = staging / name
        if path.is_dir():
            sizes[f"{name}/"] = sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
        else:
            sizes[name] = path.stat().st_size
        if force and not path.is_dir():
            path.replace(target / name)
        else:
            rename_new(path, target / name)
    return sizes
