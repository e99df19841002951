"""Two splits compared image by image: counts, the images listed, and how bytes are compared."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ilsvrc import facts, prepare, record_digests
from ilsvrc.check.against import official_names, open_others
from ilsvrc.check.check import check
from ilsvrc.check.report import LISTED, Compared, NotCompared, PartReport
from ilsvrc.events import Note
from ilsvrc.issues import Code
from ilsvrc.testing.mini import MiniSpec, write_mini
from tests.oracles import unpack


@pytest.fixture
def own(tree: Path, tmp_path: Path) -> Path:
    """A tree that a test may spoil."""
    return Path(shutil.copytree(tree, tmp_path / "own"))


def flip(path: Path) -> None:
    """Change a byte of a file, which keeps its size."""
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)


def counts(part: PartReport) -> tuple[int, int, int, int]:
    found = part.comparison
    assert found is not None
    return found.equal, found.differing.count, found.only_here.count, found.only_there.count


def test_names_and_sizes_are_compared_and_bytes_are_said_not_to_be(own: Path, mini: Path) -> None:
    images = sorted((own / "val").rglob("*.JPEG"))
    images[0].unlink()
    images[1].rename(images[1].with_name("ILSVRC2012_val_00049999.JPEG"))
    images[2].write_bytes(b"x")
    flip(images[3])
    val = check(own, against=mini).parts[1]
    assert counts(val) == (9, 1, 1, 2)
    assert NotCompared("bytes", "add --deep") in val.not_compared
    listed = {(Path(issue.key).name, issue.code) for issue in val.issues if issue.code is not Code.WRONG_LABEL}
    assert listed == {
        (images[0].name, Code.MISSING_IMAGE),
        (images[1].name, Code.MISSING_IMAGE),
        ("ILSVRC2012_val_00049999.JPEG", Code.SURPLUS_IMAGE),
        (images[2].name, Code.CHANGED_IMAGE),
    }


@pytest.mark.parametrize("jobs", [1, 2])
def test_bytes_are_compared_in_a_deep_check(own: Path, tree: Path, jobs: int) -> None:
    changed = next((own / "train/n01440764").iterdir())
    flip(changed)
    train, val = check(own, against=tree, deep=True, jobs=jobs).parts
    assert counts(train) == (23, 1, 0, 0)
    assert counts(val) == (12, 0, 0, 0)
    assert f"n01440764/{changed.name}" in [issue.key for issue in train.issues if "not those in" in issue.detail]
    assert Compared("bytes", str(tree)) in train.compared


def test_either_side_may_be_the_archives(own: Path, mini: Path) -> None:
    flip(next((own / "train/n01440764").iterdir()))
    for here, there in ((own, mini), (mini, own)):
        assert counts(check(here, against=there, deep=True, jobs=1).parts[0]) == (23, 1, 0, 0)


def test_recorded_digests_of_the_other_are_compared_and_its_images_not_read(
    own: Path, mini: Path, tmp_path: Path
) -> None:
    prepare(mini, tmp_path / "prepared", jobs=1)
    for image in (tmp_path / "prepared").rglob("*.JPEG"):
        image.write_bytes(b"")  # whoever reads it sees other bytes
    train, _ = check(own, against=tmp_path / "prepared", deep=True, jobs=1).parts
    assert counts(train) == (24, 0, 0, 0)
    assert Compared("bytes", f"{tmp_path / 'prepared'}, by its recorded digests") in train.compared


def test_recorded_digests_of_archives_are_used_too(own: Path, mini: Path, tmp_path: Path) -> None:
    archives = Path(shutil.copytree(mini, tmp_path / "archives", ignore=shutil.ignore_patterns(".ilsvrc")))
    record_digests(archives, jobs=1)
    flip(next((own / "train/n01440764").iterdir()))
    train, _ = check(own, against=archives, deep=True, jobs=1).parts
    assert counts(train) == (23, 1, 0, 0)
    assert Compared("bytes", f"{archives}, by its recorded digests") in train.compared


def test_image_that_cannot_be_read_differs(own: Path, mini: Path) -> None:
    image = next((own / "train/n01440764").iterdir())

    def remove(event: object) -> None:
        if getattr(event, "stage", "") == "decode train" and type(event).__name__ == "Started":
            image.unlink()

    train = check(own, against=mini, deep=True, jobs=1, listener=remove).parts[0]
    assert counts(train) == (23, 1, 0, 0)


def test_lists_are_short_and_counts_are_not(own: Path, tmp_path: Path) -> None:
    write_mini(tmp_path / "more", MiniSpec(classes=6, per_class=20, val_per_class=2, mean_bytes=2_000, seed=5))
    shutil.rmtree(own / "val")
    (part,) = check(own, against=tmp_path / "more").parts
    assert part.comparison is not None
    here, there = part.comparison.only_here, part.comparison.only_there
    assert there.count - here.count == 120 - 24
    assert len(there.first) == LISTED
    assert len([issue for issue in part.issues if issue.code is Code.MISSING_IMAGE]) == LISTED
    report = check(own, against=tmp_path / "more")
    differing = part.comparison.differing.count
    assert report.verdict.startswith(f"{here.count + there.count + differing:,} faults")


def test_other_writings_of_names_are_one_image(tree: Path, mini: Path, tmp_path: Path) -> None:
    for image in (tree / "val").rglob("*.JPEG"):
        number = int(image.stem[-8:])
        folder = tmp_path / "val" / image.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(image, folder / f"ILSVRC2012_val_{number:07}.jpg")
    assert counts(check(tmp_path, against=mini, deep=True, jobs=1).parts[0]) == (12, 0, 0, 0)


@given(st.lists(st.integers(1, 50_000), min_size=1, max_size=20), st.sampled_from(["JPEG", "jpg", "JPG", "jpeg"]))
def test_names_of_any_number_of_digits_become_official(numbers: list[int], ending: str) -> None:
    names = pa.array([f"ILSVRC2012_val_{number}.{ending}" for number in numbers] + [f"n01440764_{7}.{ending}"])
    wanted = [f"ILSVRC2012_val_{number:08}.JPEG" for number in numbers] + ["n01440764_7.JPEG"]
    assert official_names(names).to_pylist() == wanted


def test_split_that_one_side_lacks_is_a_note(own: Path, mini: Path) -> None:
    shutil.rmtree(own / "val")
    notes = []

    def listen(event: object) -> None:
        if isinstance(event, Note):
            notes.append(event.text)

    check(own, against=mini, listener=listen)
    check(mini, against=own, listener=listen)
    assert notes == [
        "val is only in the other data set",
        "val is not compared with the other data set, which lacks it",
    ]


def test_one_file_is_called_by_its_name_and_a_folder_by_its_path(mini: Path) -> None:
    assert open_others(mini / facts.VAL)["val"].origin == facts.VAL
    assert {other.origin for other in open_others(mini).values()} == {str(mini)}


@pytest.mark.parametrize("damage", [os.unlink, flip])
def test_damage_of_the_other_is_no_fault_of_the_first_alone(
    tree: Path, tmp_path: Path, mini: Path, damage: Callable[[Path], None]
) -> None:
    other = unpack(mini, tmp_path / "other") if not (tmp_path / "other").exists() else tmp_path / "other"
    damage(next((other / "train/n01440764").iterdir()))
    train, _ = check(tree, against=other, deep=True, jobs=1).parts
    assert counts(train) in {(23, 0, 1, 0), (23, 1, 0, 0)}
