"""Images that share bytes with their source: link counts by os.stat, clones on a real btrfs and a real xfs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ilsvrc import prepare
from ilsvrc.check.check import check
from ilsvrc.errors import DamageError, MachineError, UsageError
from ilsvrc.files import OwnFolder
from ilsvrc.readers.units import Sample
from ilsvrc.run.engine import SerialEngine
from ilsvrc.sinks.folder import FolderSink
from ilsvrc.sinks.links import Link, can_clone, link_image
from ilsvrc.sinks.room import Room
from ilsvrc.testing.contracts import UNITS, samples
from tests.cli.helpers import ilsvrc
from tests.sinks import test_sinks


def options(**others: Any) -> dict[str, Any]:
    return {"verify": "none", "engine": SerialEngine(), **others}


def contents(root: Path) -> dict[str, bytes]:
    """Every image below a folder, by name."""
    return {path.name: path.read_bytes() for path in root.glob("*/*/*.JPEG")}


def stats(root: Path) -> dict[str, os.stat_result]:
    return {path.name: path.stat() for path in root.glob("[tv]*/*/*.JPEG")}


def states(root: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Inode, mode, time of change of the contents, and the contents."""
    return {n: (s.st_ino, s.st_mode, s.st_mtime_ns, contents(root)[n]) for n, s in stats(root).items()}


@pytest.fixture
def source(tree: Path, tmp_path: Path) -> Path:
    """Class folders that a test may change, on the file system of its target."""
    subprocess.run(["cp", "-r", tree, tmp_path / "source"], check=True)
    return tmp_path / "source"


def _mounted(kind: str, folder: Path) -> Iterator[Path]:
    """Make a file system in a file and mount it; skip where that can't be done."""
    if os.geteuid() or not shutil.which(f"mkfs.{kind}"):
        pytest.skip(f"mounting {kind} needs root and mkfs.{kind}")
    image, at = folder / "image", folder / "mounted"
    at.mkdir()
    with image.open("wb") as file:
        file.truncate(400 << 20)
    subprocess.run([f"mkfs.{kind}", "-q", image], check=True, capture_output=True)
    if subprocess.run(["mount", "-o", "loop", image, at], check=False, capture_output=True).returncode:
        pytest.skip(f"{kind} can't be mounted here")
    yield at
    subprocess.run(["umount", at], check=True)


@pytest.fixture(params=["btrfs", "xfs"])
def cloning(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system that makes clones."""
    yield from _mounted(str(request.param), tmp_path)


class TestFolderSinkWithHardLinks(test_sinks.TestFolderSink):
    """Samples without a file of their own are written, whatever the link; the contract holds."""

    @pytest.fixture
    def sink(self, tmp_path: Path) -> FolderSink:
        return FolderSink(tmp_path, "train", (("archive", "a.tar"),), link=Link.HARD)

    def another(self, sink: FolderSink, folder: Path) -> FolderSink:
        return FolderSink(folder, sink.split, sink.provenance, link=Link.HARD)


def test_hard_links_are_names_of_the_same_files(source: Path, tmp_path: Path) -> None:
    wanted = contents(source)
    report = prepare(source, tmp_path / "out", **options(link="hard", layout="padded"))
    assert [one["link"] for one in report.decisions] == ["hard", "hard"]
    made, given = stats(tmp_path / "out"), stats(source)
    assert {n: s.st_ino for n, s in made.items()} == {n: s.st_ino for n, s in given.items()}
    assert {s.st_nlink for s in made.values()} == {2}
    assert contents(tmp_path / "out") == wanted
    assert check(tmp_path / "out", deep=True, jobs=1).ok
    shutil.rmtree(source)
    assert contents(tmp_path / "out") == wanted, "the tree stands without its source"


@pytest.mark.parametrize("link", ["copy", "auto"])
def test_neither_copy_nor_auto_ever_shares_a_file(source: Path, tmp_path: Path, link: str) -> None:
    prepare(source, tmp_path / "out", **options(link=link))
    assert {s.st_nlink for s in (stats(tmp_path / "out") | stats(source)).values()} == {1}
    assert not {s.st_ino for s in stats(tmp_path / "out").values()} & {s.st_ino for s in stats(source).values()}


@pytest.mark.parametrize("link", ["auto", "reflink"])
def test_reflinks_share_blocks_until_one_changes(cloning: Path, tree: Path, link: str) -> None:
    shutil.copytree(tree, cloning / "source")
    big = next((cloning / "source/train").glob("*/*.JPEG"))
    with big.open("ab") as file:  # 100 MB on a file system of 400: four copies would not fit
        file.write(os.urandom(100 << 20))
    os.sync()
    free = Room.of(cloning).bytes
    for number in range(4):
        report = prepare(cloning / "source", cloning / f"out{number}", **options(link=link))
        assert {one["link"] for one in report.decisions} == {link}
    os.sync()
    assert free - Room.of(cloning).bytes < 50 << 20
    before = contents(cloning / "source")
    assert contents(cloning / "out0") == before
    assert {s.st_nlink for s in stats(cloning / "out0").values()} == {1}
    for image in (cloning / "out0").glob("*/*/*.JPEG"):
        image.write_bytes(b"changed")
    assert contents(cloning / "source") == before
    assert contents(cloning / "out1") == before
    assert check(cloning / "out1", deep=False).ok


def test_reflinks_are_refused_where_there_are_none(source: Path, tmp_path: Path) -> None:
    image = str(next(source.glob("train/*/*.JPEG")))
    if can_clone(image, tmp_path):
        pytest.skip("this file system makes clones")
    with pytest.raises(UsageError, match="no reflink can be made") as caught:
        prepare(source, tmp_path / "out", **options(link="reflink"))
    assert "--link copy, or --link hard" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_hard_links_are_refused_between_file_systems(tree: Path, tmp_path: Path) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tree.stat().st_dev:
        pytest.skip("there is no second file system here")
    target = other / f"ilsvrc-test-{os.getpid()}"
    with pytest.raises(UsageError, match="on different file systems") as caught:
        prepare(tree, target, **options(link="hard"))
    assert caught.value.hint.startswith("use --link copy;")
    assert not target.exists()


def test_what_lies_in_archives_can_be_no_link(mini: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="lie in archives"):
        prepare(mini, tmp_path / "out", **options(link="hard"))
    assert prepare(mini, tmp_path / "out", **options()).decisions[0]["link"] == "copy"


def test_unknown_links_are_refused(mini: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="link can't be 'soft'"):
        prepare(mini, tmp_path / "out", link="soft")


def test_a_link_to_an_image_is_followed(source: Path, tmp_path: Path) -> None:
    """As data sets of links into another one have them."""
    image = next(source.glob("val/*/*.JPEG"))
    image.rename(tmp_path / image.name)
    image.symlink_to(tmp_path / image.name)
    prepare(source, tmp_path / "out", **options(link="hard"))
    [made] = (tmp_path / "out").glob(f"val/*/{image.name}")
    assert not made.is_symlink()
    assert made.stat().st_ino == (tmp_path / image.name).stat().st_ino


@pytest.mark.parametrize("then", ["copy", "auto", "hard"])
def test_what_an_interrupted_run_linked_is_never_written_into(source: Path, tmp_path: Path, then: str) -> None:
    """A staged hard link is the user's file: it makes way by its name alone, also where the next run copies."""
    unit, data = UNITS[0], {s.key: s.data for s in samples(UNITS[0])}
    for key in data:
        (tmp_path / "users" / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "users" / key).write_bytes(b"the user's own, and longer than before")
        linked = tmp_path / ".ilsvrc/staging" / key
        linked.parent.mkdir(parents=True, exist_ok=True)
        linked.hardlink_to(tmp_path / "users" / key)
    FolderSink(tmp_path, "train", link=Link(then)).write(unit, samples(unit))
    for key, wanted in data.items():
        assert (tmp_path / "users" / key).read_bytes() == b"the user's own, and longer than before"
        assert (tmp_path / "users" / key).stat().st_nlink == 1
        assert (tmp_path / ".ilsvrc/staging" / key).read_bytes() == wanted


@pytest.mark.parametrize("then", ["copy", "hard"])
@pytest.mark.parametrize("part", range(3))
def test_killed_at_any_point_the_source_is_as_it_was(source: Path, tmp_path: Path, part: int, then: str) -> None:
    """Killed for real: the process ends while it works, and the next run finishes with whatever link."""
    before = states(source)
    program = (
        "import os, signal, sys\n"
        "from ilsvrc import prepare\n"
        "from ilsvrc.run.engine import SerialEngine\n"
        "import ilsvrc.sinks.folder as folder\n"
        f"real, left = folder.link_image, [{3 + part * 14}]\n"
        "def counting(*arguments):\n"
        "    left[0] -= 1\n"
        "    done = real(*arguments)\n"
        "    left[0] or os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return done\n"
        "folder.link_image = counting\n"
        "prepare(sys.argv[1], sys.argv[2], verify='none', link='hard', engine=SerialEngine())\n"
    )
    script = tmp_path / "program.py"
    script.write_text(program)
    done = subprocess.run([sys.executable, script, source, tmp_path / "out"], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert states(source) == before
    prepare(source, tmp_path / "out", **options(link=then))
    assert states(source) == before
    assert contents(tmp_path / "out") == contents(source)
    if then == "copy" and part == 0:  # nothing had a receipt, so everything was written anew
        assert {s.st_nlink for s in stats(source).values()} == {1}


def test_starting_over_removes_names_and_no_file(source: Path, tmp_path: Path) -> None:
    before = states(source)
    out = tmp_path / "out"
    (out / ".ilsvrc/staging/train/n01440764").mkdir(parents=True)
    for image in (source / "train/n01440764").iterdir():
        (out / ".ilsvrc/staging/train/n01440764" / image.name).hardlink_to(image)
    prepare(source, out, **options(link="copy", restart=True))
    assert states(source) == before
    assert {s.st_nlink for s in stats(source).values()} == {1}


def test_a_file_replaced_while_it_is_read_is_never_linked(tmp_path: Path) -> None:
    (tmp_path / "image.JPEG").write_bytes(b"new bytes")
    (tmp_path / ".ilsvrc").mkdir()
    sample = Sample("train/image.JPEG", "image.JPEG", 0, b"old bytes", str(tmp_path / "image.JPEG"))
    with OwnFolder(tmp_path / ".ilsvrc") as folder, pytest.raises(DamageError, match="changed while it was read"):
        link_image(sample, folder, Link.HARD)
    assert not list((tmp_path / ".ilsvrc/train").iterdir())
    assert (tmp_path / "image.JPEG").read_bytes() == b"new bytes"


def test_a_refused_link_is_an_error_by_choice_and_a_copy_by_auto(tmp_path: Path) -> None:
    (tmp_path / ".ilsvrc").mkdir()
    sample = Sample("train/null", "null", 0, b"", "/dev/null")  # on another file system, and no regular file
    with OwnFolder(tmp_path / ".ilsvrc") as folder:
        for link in (Link.HARD, Link.REFLINK):
            with pytest.raises(MachineError, match="/dev/null: no") as caught:
                link_image(sample, folder, link)
            assert "--link copy" in caught.value.hint
        assert not link_image(sample, folder, Link.AUTO)
    assert not list((tmp_path / ".ilsvrc/train").iterdir())


def test_a_dry_run_tells_that_links_take_next_to_no_room(source: Path, tmp_path: Path) -> None:
    needs = {}
    for link in ("copy", "hard"):
        report = prepare(source, tmp_path / "out", **options(link=link, dry_run=True))
        assert report.estimate
        needs[link] = report.estimate
    size = sum(len(data) for data in contents(source).values())
    assert needs["copy"].needs_bytes > size
    assert needs["copy"].needs_inodes - needs["hard"].needs_inodes == len(contents(source))
    assert needs["copy"].needs_bytes - needs["hard"].needs_bytes >= size
    told = ilsvrc("prepare", source, tmp_path / "out", "--link", "hard", "--dry-run").stdout
    assert "by hard links: writing to an image of the tree changes the image of the source" in told
    assert not (tmp_path / "out").exists()
    assert {s.st_nlink for s in stats(source).values()} == {1}


def test_where_a_copy_has_no_room_hard_links_are_named(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Room, "of", lambda folder: Room(60_000, None, 4096))
    with pytest.raises(MachineError, match="free") as caught:
        prepare(source, tmp_path / "out", **options(link="copy"))
    assert "--link hard" in caught.value.hint


def test_repair_never_writes_into_the_source(source: Path, tmp_path: Path) -> None:
    prepare(source, tmp_path / "out", **options(link="hard"))
    before = states(source)
    gone = next((tmp_path / "out").glob("train/*/*.JPEG"))
    gone.unlink()
    prepare(source, tmp_path / "out", **options(link="copy", repair=True))
    assert states(source) == before
    assert gone.stat().st_nlink == 1
    assert check(tmp_path / "out", deep=True, jobs=1).ok


def test_an_image_with_other_bytes_than_recorded_is_never_linked(mini: Path, tmp_path: Path) -> None:
    prepare(mini, tmp_path / "tree", jobs=1)
    image = next((tmp_path / "tree/val").glob("*/*.JPEG"))
    image.write_bytes(bytes(image.stat().st_size))
    with pytest.raises(DamageError, match=image.name):
        prepare(tmp_path / "tree", tmp_path / "out", splits=("val",), link="hard", engine=SerialEngine())
    assert not (tmp_path / "out/val").exists()


def test_a_tree_made_with_another_link_is_the_same_tree(source: Path, tmp_path: Path) -> None:
    prepare(source, tmp_path / "out", **options(link="hard"))
    again = prepare(source, tmp_path / "out", **options(link="copy"))
    assert [s.seconds for s in again.splits] == [0.0, 0.0]
