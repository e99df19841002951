"""A published split whose manifest is lost or damaged: compared with its source, it gets the manifest that it had."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ilsvrc import facts
from ilsvrc.check.check import check
from ilsvrc.errors import ArchiveError, DamageError, UsageError
from ilsvrc.prepare.prepare import prepare
from ilsvrc.tree.manifest import metadata_of, read_manifest
from tests.cli.helpers import ilsvrc
from tests.prepare.test_prepare import images, options, unpacked


@pytest.fixture
def tree(mini: Path, tmp_path: Path) -> Path:
    prepare(mini, tmp_path / "tree", **options())
    return tmp_path / "tree"


def _lost(manifest: Path) -> None:
    manifest.unlink()


def _cut(manifest: Path) -> None:
    manifest.write_bytes(manifest.read_bytes()[:100])


def _empty(manifest: Path) -> None:
    manifest.write_bytes(b"")


@pytest.mark.parametrize("spoil", [_lost, _cut, _empty])
def test_repair_writes_the_manifest_that_was_there(mini: Path, tree: Path, spoil: Callable[[Path], None]) -> None:
    manifest = tree / ".ilsvrc/train.arrow"
    before, inodes = read_manifest(manifest), {p: p.stat().st_ino for p in tree.glob("train/*/*")}
    wanted, metadata = before.to_pylist(), metadata_of(before)
    spoil(manifest)
    with pytest.raises(UsageError, match=r"already exists, and .*manifest.*train\.arrow") as caught:
        prepare(mini, tree, **options())
    assert "--repair" in caught.value.hint
    report = prepare(mini, tree, **options(repair=True))
    assert [one["action"] for one in report.decisions] == [
        "compare every image with the source, and write the manifest anew",
        "nothing: it is complete",
    ]
    assert (report.splits[0].images, report.splits[0].classes) == (24, 6)
    assert read_manifest(manifest).to_pylist() == wanted
    assert metadata_of(read_manifest(manifest)) == metadata
    assert {p: p.stat().st_ino for p in tree.glob("train/*/*")} == inodes, "no image was written"
    assert not (tree / ".ilsvrc/staging").exists()
    assert check(tree, deep=True, jobs=1).ok
    assert [one.seconds for one in prepare(mini, tree, **options()).splits] == [0.0, 0.0]


def test_all_of_the_own_folder_may_be_lost(mini: Path, tree: Path) -> None:
    shutil.rmtree(tree / ".ilsvrc")
    (tree / "val.txt").unlink()
    prepare(mini, tree, **options(repair=True))
    assert images(tree) == unpacked(mini)
    assert len((tree / "val.txt").read_text().splitlines()) == 12
    assert check(tree, deep=True, jobs=1).ok


def test_the_command_in_the_message_mends_it(mini: Path, tree: Path) -> None:
    (tree / ".ilsvrc/val.arrow").unlink()
    told = ilsvrc("prepare", mini, tree, "--verify", "none", status=2).stderr
    [option] = [word for word in shlex.split(told.replace("'", "")) if word.startswith("--repair")]
    assert (
        "to do: compare every image"
        in ilsvrc("prepare", mini, tree, "--verify", "none", "--repair", "--dry-run").stdout
    )
    assert not (tree / ".ilsvrc/val.arrow").exists()
    ilsvrc("prepare", mini, tree, "--verify", "none", option.strip(":,;"))
    assert check(tree).ok


def _changed(tree: Path, image: Path) -> None:
    image.write_bytes(bytes(image.stat().st_size))


def _gone(tree: Path, image: Path) -> None:
    image.unlink()


def _another(tree: Path, image: Path) -> None:
    shutil.copy(image, image.with_name("n01440764_99999.JPEG"))


def _linked(tree: Path, image: Path) -> None:
    image.rename(tree / image.name)
    image.symlink_to(tree / image.name)


@pytest.mark.parametrize("spoil", [_changed, _gone, _another, _linked])
def test_what_is_not_the_source_gets_no_manifest(mini: Path, tree: Path, spoil: Callable[[Path, Path], None]) -> None:
    (tree / ".ilsvrc/train.arrow").unlink()
    spoil(tree, sorted(tree.glob("train/*/*"))[5])
    before = {p: p.read_bytes() for p in tree.rglob("*") if p.is_file() and ".ilsvrc" not in p.parts}
    with pytest.raises(DamageError):
        prepare(mini, tree, **options(repair=True))
    assert not (tree / ".ilsvrc/train.arrow").exists()
    assert not (tree / ".ilsvrc/staging").exists()
    assert {p: p.read_bytes() for p in tree.rglob("*") if p.is_file() and ".ilsvrc" not in p.parts} == before


def test_the_archive_is_proved_first(mini: Path, tree: Path, tmp_path: Path) -> None:
    shutil.copytree(mini, tmp_path / "source")
    (tree / ".ilsvrc/val.arrow").unlink()
    (tmp_path / "source/MD5SUMS").write_text(f"{'0' * 32}  {facts.VAL}\n")
    with pytest.raises(ArchiveError, match="wrong-digest"):
        prepare(tmp_path / "source", tree, **options(verify="md5", splits=("val",), repair=True))
    assert not (tree / ".ilsvrc/val.arrow").exists()


def test_a_tree_is_never_compared_with_itself(tree: Path) -> None:
    shutil.rmtree(tree / ".ilsvrc")
    with pytest.raises(UsageError, match="source and target at once"):
        prepare(tree, tree, **options(repair=True))
    assert not (tree / ".ilsvrc").exists()


def test_another_source_or_layout_is_no_repair(mini: Path, tree: Path) -> None:
    for repair in (False, True):
        with pytest.raises(UsageError, match="was not prepared from this source in this layout"):
            prepare(mini, tree, **options(layout="padded", repair=repair))
