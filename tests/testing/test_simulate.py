from __future__ import annotations

import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ilsvrc.errors import UsageError
from ilsvrc.events import Advanced, Event, Finished, Started
from ilsvrc.facts import classes
from ilsvrc.testing import write_simulated
from ilsvrc.testing.simulate import _draw, headers
from ilsvrc.testing.tarball import Entry, header

OFFICIAL = 147_897_477_120


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("simulated") / "train.tar"
    write_simulated(path, 0.003)
    return path


def test_tarfile_reads_it_to_its_exact_end(archive: Path) -> None:
    counts = {}
    with tarfile.open(archive, "r:") as outer:
        for member in outer:
            with tarfile.open(fileobj=outer.extractfile(member), mode="r:") as inner:
                names = inner.getnames()
            assert all(name.startswith(member.name.removesuffix("tar").rstrip(".") + "_") for name in names)
            assert len(set(names)) == len(names)
            assert member.size % tarfile.RECORDSIZE == 0
            counts[member.name] = len(names)
            end = member.offset_data + member.size
    assert counts == {f"{s.wnid}.tar": max(1, round(0.003 * s.train_images)) for s in classes()}
    assert archive.stat().st_size == end + tarfile.RECORDSIZE


def test_payload_is_holes(archive: Path) -> None:
    status = os.stat(archive)
    assert status.st_blocks * 512 < status.st_size / 10


def test_at_full_scale_it_has_the_official_size_and_counts() -> None:
    inners = _draw(OFFICIAL, 1.0, np.random.default_rng(0))
    assert [len(inner.sizes) for inner in inners] == [s.train_images for s in classes()]
    assert sum(len(inner.sizes) for inner in inners) == 1_281_167
    content = sum(512 + inner.size for inner in inners) + 1024
    assert -(-content // tarfile.RECORDSIZE) * tarfile.RECORDSIZE == OFFICIAL
    assert all(inner.sizes.min() > 0 for inner in inners)


@given(st.lists(st.tuples(st.text("abc_19.", max_size=100), st.integers(0, 8**11 - 1)), min_size=1, max_size=20))
def test_headers_made_at_once_are_those_made_singly(files: list[tuple[str, int]]) -> None:
    names, sizes = [name for name, _ in files], np.array([size for _, size in files])
    assert headers(names, sizes).tobytes() == b"".join(header(Entry(name), size) for name, size in files)


def test_the_seed_decides(archive: Path, tmp_path: Path) -> None:
    write_simulated(tmp_path / "same", 0.003)
    write_simulated(tmp_path / "other", 0.003, seed=1)
    assert first_name(tmp_path / "same") == first_name(archive)
    assert first_name(tmp_path / "other") != first_name(archive)


def first_name(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(512)
        return file.read(512)


def test_it_refuses_to_replace_and_what_it_cannot_scale(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="already exists"):
        write_simulated(archive)
    for fraction in (0.0, 0.0005, 1.5):
        with pytest.raises(UsageError, match="fraction"):
            write_simulated(tmp_path / "new", fraction)
    assert list(tmp_path.iterdir()) == []


def test_progress_adds_up(tmp_path: Path) -> None:
    events: list[Event] = []
    done = write_simulated(tmp_path / "train.tar", 0.001, listener=events.append)
    assert events[0] == Started("simulate", done.bytes, done.images)
    assert events[-1] == Finished("simulate")
    steps = [e for e in events if isinstance(e, Advanced)]
    assert sum(e.images for e in steps) == done.images
    assert sum(e.bytes for e in steps) == done.bytes - tarfile.RECORDSIZE
