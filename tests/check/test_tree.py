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
from ilsvrc.check.tree import BATCH, Batch, Examine, check_tree, decode
from ilsvrc.errors import MachineError
from ilsvrc.issues import Code
from ilsvrc.run.engine import Piece, SerialEngine
from ilsvrc.sinks.base import Receipt
from ilsvrc.tree.scan import Tree, survey

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


def manifest_of(tree: Tree, *, official: bool = False, digest: bytes | None = None) -> Reference:
    """What a manifest would say of a tree as it is, with another digest for all images if one is given."""
    data = [(tree.folder / path).read_bytes() for path in tree.paths()]
    digests = [digest or xxhash.xxh3_128_digest(one) for one in data]
    columns = {"path": tree.table.column("path"), "size": tree.table.column("size")}
    table = pa.table({**columns, "xxh3_128": pa.array(digests, pa.binary(16))})
    return Reference(table, "the manifest", official=official)


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


def test_reference_by_name_takes_images_in_any_folder(train: Path) -> None:
    tree = survey(train, "train")
    table = pa.table({"path": NAMES, "size": [len(picture())] * 2})
    assert reference_issues(tree, Reference(table, "the archive", by_name=True)) == []
    assert len(reference_issues(tree, Reference(table, "the archive"))) == 4


def test_empty_tree_lacks_all_that_is_listed(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    table = pa.table({"path": NAMES, "size": pa.array([1, 2], pa.int64())})
    found = reference_issues(survey(tmp_path / "train", "train"), Reference(table, "the list", by_name=True))
    assert [issue.code for issue in found] == [Code.MISSING_IMAGE] * 2
    assert check_tree(tmp_path / "train", "train", engine=SerialEngine()).images == 0


def test_images_without_known_digest_are_decoded_only(train: Path) -> None:
    (train / "n01440764" / NAMES[0]).write_bytes(picture("CMYK"))
    (found,) = decode(survey(train, "train"), None, SerialEngine())
    assert (found.key, found.code) == (f"n01440764/{NAMES[0]}", Code.CMYK)


@pytest.mark.parametrize("official", [False, True])
def test_odd_image_with_its_digest_was_so_in_the_archive(train: Path, official: bool) -> None:
    (train / "n01440764" / NAMES[0]).write_bytes(picture("CMYK"))
    tree = survey(train, "train")
    (found,) = decode(tree, manifest_of(tree, official=official), SerialEngine())
    assert found.known is official
    assert found.detail.endswith("it was so in the archive")


def test_other_bytes_are_told(train: Path) -> None:
    tree = survey(train, "train")
    found = decode(tree, manifest_of(tree, digest=bytes(16)), SerialEngine())
    assert [issue.code for issue in found] == [Code.CHANGED_IMAGE] * 2


def test_image_that_goes_away_meanwhile_is_an_issue(train: Path) -> None:
    receipt = Examine(train)(Batch("b", ("n01440764/gone.JPEG", f"n01440764/{NAMES[0]}"), (None, None)))
    assert [(issue.key, issue.code) for issue in receipt.issues] == [("n01440764/gone.JPEG", Code.UNREADABLE)]
    assert (receipt.samples, receipt.bytes) == (2, len(picture()))


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
        decode(survey(train, "train"), None, engine)
    assert engine.closed
    assert engine.units == [f"train/n01440764/{NAMES[0]}"]


def test_work_is_cut_into_batches(train: Path) -> None:
    for number in range(3, BATCH + 3):
        (train / "n01440764" / f"n01440764_{number}.JPEG").write_bytes(b"")
    seen: list[int] = []

    class Counting(SerialEngine):
        def run(self, task: Callable[[P], Receipt], units: Iterable[P]) -> Generator[Receipt, None, None]:
            for receipt in super().run(task, units):
                seen.append(receipt.samples)
                yield receipt

    found = decode(survey(train, "train"), None, Counting())
    assert seen == [BATCH, 2]
    assert [issue.code for issue in found] == [Code.ZERO_BYTES] * BATCH
