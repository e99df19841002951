"""One split of a tree: what its manifest says, and what workers find in its images."""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pytest
import xxhash
from PIL import Image

from ilsvrc.check.reference import Reference, reference_issues
from ilsvrc.check.tree import check_tree
from ilsvrc.errors import MachineError
from ilsvrc.issues import Code, Issue
from ilsvrc.run.engine import Piece, SerialEngine
from ilsvrc.sinks.base import Receipt
from ilsvrc.tree.manifest import Row, table_of, write_manifest
from ilsvrc.tree.scan import survey

P = TypeVar("P", bound=Piece)
NAMES = ("n01440764_1.JPEG", "n01440764_2.JPEG")


def picture(mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.new(mode, (8, 8)).save(out, "JPEG")
    return out.getvalue()


@pytest.fixture
def train(tmp_path: Path) -> Path:
    """The folder of a split with two images of one class."""
    folder = tmp_path / "train"
    (folder / "n01440764").mkdir(parents=True)
    for name in NAMES:
        (folder / "n01440764" / name).write_bytes(picture())
    return folder


def write_manifest_of(folder: Path, *, official: bool = False, digest: bytes | None = None) -> None:
    """Write the manifest of a tree as it is, with another digest for all images if one is given."""
    found = survey(folder, "train")
    data = [(folder / path).read_bytes() for path in found.paths()]
    rows = [
        Row(f"train/{path}", label, len(one), digest or xxhash.xxh3_128_digest(one))
        for path, label, one in zip(found.paths(), found.labels.tolist(), data, strict=True)
    ]
    (folder.parent / ".ilsvrc").mkdir()
    metadata = {"against": "official"} if official else {}
    write_manifest(table_of(rows), folder.parent / ".ilsvrc/train.arrow", metadata)


def found_in(folder: Path) -> list[Issue]:
    """The issues of images that a deep check of a train folder finds."""
    report = check_tree(folder, "train", engine=SerialEngine())
    return [issue for issue in report.issues if issue.key.endswith(".JPEG")]


def test_reference_tells_missing_surplus_and_resized_images(train: Path) -> None:
    tree = survey(train, "train")
    size = len(picture())
    listed = {"n01440764/n01440764_1.JPEG": size + 1, "n01440764/n01440764_9.JPEG": size}
    table = pa.table({"path": list(listed), "size": list(listed.values())})
    found = reference_issues(tree, Reference(table, "the list"))
    assert [(issue.key, issue.code) for issue in found] == [
        ("n01440764/n01440764_9.JPEG", Code.MISSING_IMAGE),
        ("n01440764/n01440764_2.JPEG", Code.SURPLUS_IMAGE),
        ("n01440764/n01440764_1.JPEG", Code.CHANGED_IMAGE),
    ]
    assert all("the list" in issue.detail for issue in found)


def test_empty_tree_lacks_all_that_is_listed(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    table = pa.table({"path": NAMES, "size": pa.array([1, 2], pa.int64())})
    found = reference_issues(survey(tmp_path / "train", "train"), Reference(table, "the list"))
    assert [issue.code for issue in found] == [Code.MISSING_IMAGE] * 2
    assert check_tree(tmp_path / "train", "train", engine=SerialEngine()).images == 0


def test_images_without_recorded_digest_are_decoded_only(train: Path) -> None:
    (train / "n01440764" / NAMES[0]).write_bytes(picture("CMYK"))
    (found,) = found_in(train)
    assert (found.key, found.code) == (f"n01440764/{NAMES[0]}", Code.CMYK)


@pytest.mark.parametrize("official", [False, True])
def test_odd_image_with_its_digest_was_so_in_the_archive(train: Path, official: bool) -> None:
    (train / "n01440764" / NAMES[0]).write_bytes(picture("CMYK"))
    write_manifest_of(train, official=official)
    (found,) = found_in(train)
    assert found.known is official
    assert found.detail.endswith("it was so in the source")


def test_other_bytes_are_named(train: Path) -> None:
    write_manifest_of(train, digest=bytes(16))
    assert [issue.code for issue in found_in(train)] == [Code.CHANGED_IMAGE] * 2


class RemovingEngine(SerialEngine):
    """Removes an image before the first unit is done."""

    def __init__(self, image: Path) -> None:
        self.image = image

    def run(self, task: Callable[[P], Receipt], units: Iterable[P]) -> Generator[Receipt, None, None]:
        self.image.unlink()
        yield from super().run(task, units)


def test_image_that_goes_away_meanwhile_is_an_issue(train: Path) -> None:
    report = check_tree(train, "train", engine=RemovingEngine(train / "n01440764" / NAMES[0]))
    gone = [issue for issue in report.issues if issue.key.endswith(".JPEG")]
    assert [(issue.key, issue.code) for issue in gone] == [(f"n01440764/{NAMES[0]}", Code.MISSING_IMAGE)]


class FailingEngine:
    """Keeps the units, and says of each that its worker was lost; notes that it was closed."""

    local = True

    def __init__(self) -> None:
        self.units: list[str] = []
        self.closed = False

    def run(self, task: Callable[[P], Receipt], units: Iterable[P]) -> Generator[Receipt, None, None]:
        try:
            for unit in units:
                self.units.append(unit.id)
                yield Receipt(unit.id, error=MachineError("a worker was lost"))
        finally:
            self.closed = True


def test_lost_worker_ends_the_check_and_its_engine(train: Path) -> None:
    engine = FailingEngine()
    with pytest.raises(MachineError, match="a worker was lost"):
        check_tree(train, "train", engine=engine)
    assert engine.closed
    assert engine.units == ["n01440764"]
