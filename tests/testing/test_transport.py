from __future__ import annotations

import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

from ilsvrc.facts import TRAIN, VAL
from ilsvrc.testing import Fault, MiniReport, MiniSpec, write_mini
from tests.testing.helpers import files


def test_the_digests_tell_of_faults_of_transport(spoiled: MiniReport) -> None:
    done = subprocess.run(
        ["md5sum", "-c", "MD5SUMS"], cwd=spoiled.folder, capture_output=True, text=True, check=False
    )
    verdicts = dict(line.split(": ") for line in done.stdout.splitlines())
    assert verdicts == {"ILSVRC2012_devkit_t12.tar.gz": "OK", TRAIN: "FAILED", VAL: "FAILED"}


def test_a_login_page_has_the_archives_name(spoiled: MiniReport) -> None:
    assert (spoiled.folder / VAL).read_bytes().startswith(b"<!DOCTYPE html>")
    assert not tarfile.is_tarfile(spoiled.folder / VAL)


def test_the_cut_is_inside_the_image_that_the_report_names(spoiled: MiniReport) -> None:
    train = spoiled.folder / TRAIN
    [place] = [p.member for p in spoiled.planted if p.fault == Fault.TRUNCATED_ARCHIVE]
    inner, _, name = place.partition("/")
    data = train.read_bytes()
    header = data.index(inner.encode())
    image = data.index(f"{name}\0".encode(), header)
    size = int(data[image + 124 : image + 135], 8)
    assert image + 512 < len(data) < image + 512 + size


def test_flipped_bytes_are_the_only_change(tmp_path: Path) -> None:
    small = MiniSpec(2, 2, 1, mean_bytes=2000)
    right = write_mini(tmp_path / "right", small)
    wrong = write_mini(tmp_path / "wrong", replace(small, faults=frozenset({Fault.FLIPPED_BYTES})))
    before, after = ((r.folder / TRAIN).read_bytes() for r in (right, wrong))
    assert len(before) == len(after)
    places = [place for place, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    assert places == list(range(places[0], places[0] + 8))
    [planted] = wrong.planted
    inner, _, name = planted.member.partition("/")
    old, new = (files(files(data)[inner])[name] for data in (before, after))
    assert old != new
    scan = old.index(b"\xff\xda")
    assert old[: scan + 12] == new[: scan + 12]
    assert old[-2:] == new[-2:] == b"\xff\xd9"
