from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from ilsvrc.errors import MachineError, UsageError
from ilsvrc.events import Advanced, Event, Finished, Started
from ilsvrc.facts import DEVKIT, TRAIN, VAL
from ilsvrc.testing import Fault, MiniReport, MiniSpec, write_mini
from ilsvrc.testing.images import Camera
from tests.testing.conftest import CLEAN
from tests.testing.helpers import decode, files, train_images

FILES = [DEVKIT, TRAIN, VAL, "MD5SUMS"]
TINY = MiniSpec(classes=2, per_class=2, mean_bytes=2000)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_md5sum_agrees(clean: MiniReport) -> None:
    subprocess.run(["md5sum", "--check", "--strict", "MD5SUMS"], cwd=clean.folder, capture_output=True, check=True)


def test_every_image_decodes(clean: MiniReport) -> None:
    train = [data for pictures in train_images(clean.folder).values() for data in pictures.values()]
    val = list(files((clean.folder / VAL).read_bytes()).values())
    assert len(train + val) == clean.images
    assert {decode(data).format for data in train + val} == {"JPEG"}
    assert len(set(train + val)) == clean.images


def test_the_report_has_the_sizes_on_disk(clean: MiniReport) -> None:
    assert {name: len(data) for name, data in contents(clean.folder).items()} == dict(clean.sizes)
    assert sorted(clean.sizes) == sorted(FILES)
    assert clean.bytes == sum(clean.sizes.values())
    assert clean.planted == ()


def test_the_same_spec_gives_the_same_bytes(clean: MiniReport, tmp_path: Path) -> None:
    write_mini(tmp_path / "again", CLEAN)
    assert contents(tmp_path / "again") == contents(clean.folder)


def test_another_seed_gives_other_images_of_the_same_labels(clean: MiniReport, tmp_path: Path) -> None:
    other = write_mini(tmp_path, replace(CLEAN, seed=1))
    assert (tmp_path / DEVKIT).read_bytes() == (clean.folder / DEVKIT).read_bytes()
    ours, theirs = (files((r.folder / VAL).read_bytes()) for r in (other, clean))
    assert sorted(ours) == sorted(theirs)
    assert list(ours) != list(theirs)
    assert not set(ours.values()) & set(theirs.values())


def test_a_fault_leaves_the_other_classes_as_they_were(clean: MiniReport, tmp_path: Path) -> None:
    write_mini(tmp_path, replace(CLEAN, faults=frozenset({Fault.CMYK})))
    ours, theirs = train_images(tmp_path), train_images(clean.folder)
    assert [wnid for wnid in ours if ours[wnid] != theirs[wnid]] == ["n01440764"]


def test_what_is_there_is_replaced_only_by_force(tmp_path: Path) -> None:
    (tmp_path / VAL).write_text("mine")
    with pytest.raises(UsageError, match=VAL):
        write_mini(tmp_path, TINY)
    assert contents(tmp_path) == {VAL: b"mine"}
    write_mini(tmp_path, TINY, force=True)
    assert sorted(contents(tmp_path)) == sorted(FILES)


def test_an_archive_of_the_official_size_is_never_replaced(tmp_path: Path) -> None:
    with (tmp_path / VAL).open("wb") as file:
        file.truncate(6_744_924_160)
    with pytest.raises(UsageError, match="genuine"):
        write_mini(tmp_path, TINY, force=True)
    assert [path.name for path in tmp_path.iterdir()] == [VAL]


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Camera, name: str, label: int) -> bytes:
        raise MachineError("no more memory")

    monkeypatch.setattr(Camera, "jpeg", fail)
    with pytest.raises(MachineError):
        write_mini(tmp_path, TINY)
    assert list(tmp_path.iterdir()) == []


def test_a_miniature_too_small_for_its_faults_is_refused_before_anything(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        write_mini(tmp_path / "new", replace(TINY, faults=frozenset(Fault)))
    assert not (tmp_path / "new").exists()


def test_progress_counts_every_image(tmp_path: Path) -> None:
    events: list[Event] = []
    write_mini(tmp_path, TINY, listener=events.append)
    assert events[0] == Started("mini", total_images=6)
    assert events[-1] == Finished("mini")
    assert sum(e.images for e in events if isinstance(e, Advanced)) == 6
