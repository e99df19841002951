"""The lists beside a published split: labels of its images, names of all classes, and torchvision's `meta.bin`."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from ilsvrc import facts
from ilsvrc.errors import UsageError
from ilsvrc.files import rename_new, written_whole

_BATCH = 1 << 16
"""Lines that are made Python values at a time."""

Content = Callable[[], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Lists:
    """The lists of one split; no file of anybody else's is ever replaced by one.

    root : the tree's folder, which gets them
    split : train, val or test
    staging : folder that they are written in before they get their names
    torchvision : whether torchvision's own `ImageNet` can open the tree, which looks for `meta.bin` in it
    """

    root: Path
    split: str
    staging: Path
    torchvision: bool = False

    @property
    def labels(self) -> Path:
        """The list of the split's images and labels."""
        return self.root / f"{self.split}.txt"

    @property
    def classes(self) -> Path:
        """The list of classes."""
        return self.root / "classes.json"

    def refuse_others(self, table: pa.Table) -> None:
        """Refuse a file of other contents that has the place of a list.

        Raises
        ------
        UsageError
            Naming it.
        """
        for target, content in self._contents(table).items():
            _refuse_other(target, content)

    def publish(self, table: pa.Table) -> None:
        """Write the lists that are not there; the same list there already is as good.

        Raises
        ------
        UsageError
            If another file has the place of one.
        """
        for target, content in self._contents(table).items():
            _refuse_other(target, content)
            try:
                self._publish(target, content)
            except FileExistsError:
                _refuse_other(target, content)
        if self.torchvision:
            with contextlib.suppress(FileExistsError):  # one that torchvision wrote serves as well
                self._publish(self.root / facts.TORCHVISION_META, lambda: iter([facts.torchvision_meta()]))

    def _publish(self, target: Path, content: Content) -> None:
        """Write a list that is not there."""
        if os.path.lexists(target):
            return
        staged = self.staging / target.name
        with written_whole(staged) as beside, beside.open("wb") as file:
            file.writelines(content())
        rename_new(staged, target)

    def obstacle(self, *, labels_are_ours: bool) -> str:
        """Say which list has its place taken by something that ilsvrc did not write; empty if none has.

        Parameters
        ----------
        labels_are_ours
            Whether a list of labels that is there is known to be of an earlier run.
        """
        foreign = os.path.lexists(self.classes) and not _is(self.classes, class_index)
        foreign = foreign or (os.path.lexists(self.labels) and not labels_are_ours)
        names = f"{self.labels.name} or {self.classes.name}"
        return f"{self.root} has a {names} that ilsvrc did not write" if foreign else ""

    def clear(self) -> None:
        """Remove what staging holds of them."""
        for target in (self.labels, self.classes, self.root / facts.TORCHVISION_META):
            (self.staging / target.name).unlink(missing_ok=True)

    def _contents(self, table: pa.Table) -> dict[Path, Content]:
        return {self.labels: lambda: label_lines(table), self.classes: class_index}


def write_labels(table: pa.Table, path: Path) -> None:
    """Write the list of labels of a manifest's images, whole or not at all."""
    with written_whole(path) as beside, beside.open("wb") as file:
        file.writelines(label_lines(table))


def label_lines(table: pa.Table) -> Iterator[bytes]:
    """Yield `{split}.txt`: a line `path index` for every image of a manifest, the path below the split's folder."""
    for batch in table.select(["path", "label"]).to_batches(max_chunksize=_BATCH):
        columns = (batch.column(0).to_pylist(), batch.column(1).to_pylist())
        yield "".join(f"{key.partition('/')[2]} {label}\n" for key, label in zip(*columns, strict=True)).encode()


def class_index() -> Iterator[bytes]:
    """Yield the classes in the form of ImageNet_class_index.json, each name unique: index to wnid and name."""
    entries = (f'"{s.index}": {json.dumps([s.wnid, s.name.replace(" ", "_")])}' for s in facts.classes())
    yield ("{" + ",\n ".join(entries) + "}\n").encode()


def _refuse_other(target: Path, content: Content) -> None:
    """Refuse a file of other contents that has the place of one of ours."""
    if os.path.lexists(target) and not _is(target, content):
        hint = "move it away, then run the same command again"
        raise UsageError(f"{target} is there, and ilsvrc did not write it", hint=hint)


def _is(target: Path, content: Content) -> bool:
    """Whether a path is a regular file of these contents, byte for byte."""
    if not target.is_file():
        return False
    with target.open("rb") as file:
        return all(file.read(len(piece)) == piece for piece in content()) and not file.read(1)
