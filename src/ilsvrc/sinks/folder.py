"""Samples to a folder tree, which appears whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import xxhash

from ilsvrc import facts
from ilsvrc.archive.sidecar import Verified
from ilsvrc.files import OWN_FOLDER, sync_filesystem, sync_path, write_text, written_whole
from ilsvrc.readers.units import Sample, Unit
from ilsvrc.sinks.base import Output, Receipt
from ilsvrc.tree.manifest import Row, merged, read_manifest, table_of, write_labels, write_manifest

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True)
class FolderSink:
    """Writes a split's images below `root`, in staging until `finish` renames the split to its name.

    root : the tree's folder
    split : train, val or test
    provenance : what the manifest says of its making: archive, index, settings
    """

    root: Path
    split: str
    provenance: tuple[tuple[str, str], ...] = ()

    @property
    def staging(self) -> Path:
        """The folder that holds the unfinished split."""
        return self.root / OWN_FOLDER / "staging"

    @property
    def manifest(self) -> Path:
        """The manifest file of the split."""
        return self.root / OWN_FOLDER / f"{self.split}.arrow"

    @property
    def labels(self) -> Path:
        """The list of the split's images and labels."""
        return self.root / f"{self.split}.txt"

    @property
    def classes(self) -> Path:
        """The list of classes."""
        return self.root / "classes.json"

    def write(self, unit: Unit, samples: Iterable[Sample]) -> Receipt:
        """Write the images of a unit, then the part of the manifest that proves them."""
        staging, folders = self.staging, set[str]()
        rows = [_write_image(sample, staging, folders) for sample in samples]
        part = self._parts / f"{unit.id}.arrow"
        part.parent.mkdir(parents=True, exist_ok=True)
        write_manifest(table_of(rows), part)
        output = Output(str(part.relative_to(self.root)), part.stat().st_size)
        return Receipt(unit.id, (output,), len(rows), sum(row.size for row in rows))

    def sync(self) -> None:
        """Make all images and parts written so far survive a power cut."""
        sync_filesystem(self.staging)

    def holds(self, receipt: Receipt) -> bool:
        """Whether the part of the manifest and every image in it are there at their sizes."""
        try:
            for output in receipt.outputs:
                part = self.root / output.path
                if part.stat().st_size != output.size or not self._holds_images(read_manifest(part)):
                    return False
        except (OSError, ValueError, pa.ArrowException):
            return False
        return True

    def finish(self, receipts: Sequence[Receipt], proved: Verified | None) -> None:
        """Write manifest and lists, then give the split its name by one rename."""
        proof = {"digest": proved.digest, "against": proved.against} if proved else {}
        table = merged(self.root / output.path for receipt in receipts for output in receipt.outputs)
        with written_whole(self.manifest) as beside:
            write_manifest(table, beside, dict(self.provenance) | proof)
        write_labels(table, self.labels)
        write_text(self.classes, class_index_json())
        (self.staging / self.split).rename(self.root / self.split)
        sync_path(self.root)
        self.clear()

    def clear(self) -> None:
        """Remove what staging holds of this split."""
        for leftover in (self.staging / self.split, self._parts):
            shutil.rmtree(leftover, ignore_errors=True)
        if self.staging.is_dir() and not any(self.staging.iterdir()):
            self.staging.rmdir()

    @property
    def _parts(self) -> Path:
        return self.staging / f"{self.split}.parts"

    def _holds_images(self, part: pa.Table) -> bool:
        paths, sizes = part.column("path").to_pylist(), part.column("size").to_pylist()
        staging = self.staging
        return all(
            os.stat(f"{staging}/{path}").st_size == size  # noqa: PTH116  -- a million of them
            for path, size in zip(paths, sizes, strict=True)
        )


def class_index_json() -> str:
    """Return the classes in the form of ImageNet_class_index.json, each name unique: index to wnid and name."""
    entries = (f'"{s.index}": {json.dumps([s.wnid, s.name.replace(" ", "_")])}' for s in facts.classes())
    return "{" + ",\n ".join(entries) + "}\n"


def _write_image(sample: Sample, staging: Path, folders: set[str]) -> Row:
    """Write one image, over whatever an interrupted run left of it; make its folder if it is not in `folders`."""
    key = sample.ref.key
    folder = key.rpartition("/")[0]
    if folder not in folders:
        (staging / folder).mkdir(parents=True, exist_ok=True)
        folders.add(folder)
    _write_file(f"{staging}/{key}", sample.data)
    label = -1 if sample.ref.label is None else sample.ref.label
    return Row(key, label, len(sample.data), xxhash.xxh3_128_digest(sample.data))


def _write_file(path: str, data: bytes) -> None:
    fd = os.open(path, _CREATE, 0o666)
    try:
        written = os.write(fd, data)
        while written < len(data):  # a disk about to be full takes a part, then none
            written += os.write(fd, data[written:])
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(fd)
