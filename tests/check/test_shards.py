"""`check` of shards: what is unfinished, what a hint says, and images that were made anew beside their source."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from ilsvrc import check, prepare
from ilsvrc.testing import MiniSpec, write_mini
from tests.cli.helpers import ilsvrc
from tests.prepare.test_prepare import interrupted_after


@pytest.fixture(scope="module")
def small(mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of smaller images; copy them before you change them."""
    folder = tmp_path_factory.mktemp("small") / "shards"
    prepare(mini, folder, format="webdataset", crop=16, shard_images=9, jobs=1)
    return folder


def test_unfinished_shards_are_called_so_and_the_hint_resumes_them(
    mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    interrupted_after(1, monkeypatch, lambda: prepare(mini, out, format="mds", shard_images=9, jobs=1))
    [part] = check(out).parts
    assert (part.split, part.form, [issue.key for issue in part.issues]) == ("train", "mds shards", ["train"])
    assert f"{out} --split train --format mds`" in part.hint
    refused = ilsvrc("ls", out, status=2).stderr
    assert "`prepare` was interrupted" in refused
    assert "it resumes" in refused
    prepare(mini, out, format="mds", shard_images=9, jobs=1)
    assert check(out).ok


def test_the_hint_mends_a_shard(mini: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(mini, out, format="lmdb", jobs=1)
    (out / "train.lmdb").unlink()
    hint = check(out).parts[0].hint
    command = shlex.split(hint.split("`")[1])
    assert command[:3] == ["ilsvrc", "prepare", "SRC"]
    ilsvrc("prepare", mini, *command[3:])
    assert check(out, deep=True).ok


@pytest.mark.parametrize("deep", [False, True])
def test_images_made_anew_equal_those_that_they_were_made_from(mini: Path, small: Path, *, deep: bool) -> None:
    report = check(small, deep=deep, against=mini, jobs=1)
    assert report.ok
    found = [(part.split, part.comparison and part.comparison.equal) for part in report.parts]
    assert found == [("train", 24), ("val", 12)]
    whats = {made.what for part in report.parts for made in part.compared}
    assert ("sources of images that were made anew" in whats) == deep
    assert "bytes" not in whats


def test_images_made_anew_differ_from_a_source_that_they_were_not_made_from(small: Path, tmp_path: Path) -> None:
    """The same names, other pictures."""
    spec = MiniSpec(classes=6, per_class=4, val_per_class=2, mean_bytes=4_000, seed=1)
    other = write_mini(tmp_path / "other", spec)
    report = check(small, deep=True, against=other.folder, jobs=1)
    val = report.parts[1]
    assert val.comparison is not None
    assert (val.comparison.equal, val.comparison.differing.count) == (0, 12)
    assert "was not made from the image in" in val.issues[0].detail


def test_images_made_anew_equal_their_own_copies(small: Path, tmp_path: Path) -> None:
    prepare(small, tmp_path / "copy", format="mds", jobs=1)
    for one, other in ((small, tmp_path / "copy"), (tmp_path / "copy", small)):
        report = check(one, deep=True, against=other, jobs=1)
        assert [part.comparison and part.comparison.equal for part in report.parts] == [24, 12]


def test_an_image_that_is_lost_is_only_there(mini: Path, tmp_path: Path) -> None:
    prepare(mini, tmp_path / "some", format="webdataset", resize=32, classes=["n01440764"], jobs=1)
    report = check(tmp_path / "some", against=mini, jobs=1)
    assert [part.comparison and part.comparison.only_there.count for part in report.parts] == [20, 10]


@pytest.mark.parametrize("form", ["folders", "mds"])
def test_images_that_the_source_lacked_are_counted_as_prepare_counts_them(tmp_path: Path, form: str) -> None:
    """Of Kaggle's folders no digest is known, and the facts list 1,281,167 images."""
    spec = MiniSpec(classes=3, per_class=2, val_per_class=1, mean_bytes=3_000, form="kaggle")
    source = write_mini(tmp_path / "source", spec).folder
    prepare(source, tmp_path / "out", format=form, jobs=1)
    report = check(tmp_path / "out")
    assert report.ok
    assert "train has 6 of 1,281,167 images" in report.verdict
    assert "val has 3 of 50,000 images" in report.verdict
    prepare(source, tmp_path / "some", format=form, classes=["0", "1"], jobs=1)
    assert "train has 4 of 2,600 images of these classes" in check(tmp_path / "some").verdict
    assert "2,600" not in check(tmp_path / "some", against=source).verdict


def test_a_proved_archive_lacks_nothing(small: Path) -> None:
    assert "1,281,167" not in check(small).verdict
