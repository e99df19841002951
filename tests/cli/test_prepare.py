"""`ilsvrc prepare` as a user meets it: killed, interrupted, resumed, out of room."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ilsvrc import facts

from .helpers import ilsvrc, ilsvrc_json


def content(tree: Path) -> dict[str, str]:
    """Digests of all files of a tree but those that tell times or the order in which classes were done."""
    files = (
        p for p in sorted(tree.rglob("*")) if p.is_file() and p.name not in ("journal.jsonl", "report.json", "lock")
    )
    return {str(p.relative_to(tree)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ilsvrc", *map(str, arguments)]
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )


def wait_for_units(journal: Path, count: int, process: subprocess.Popen[str]) -> set[str]:
    """Wait until so many classes are in the journal; return them."""
    for _ in range(3000):
        text = journal.read_text() if journal.exists() else ""
        units = {json.loads(line)["unit"] for line in text.split("\n")[:-1] if '"unit"' in line}
        if len(units) >= count:
            return units
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    raise AssertionError("nothing was written in 30 seconds")


@pytest.fixture(scope="module")
def uninterrupted(thousand: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    tree = tmp_path_factory.mktemp("whole") / "tree"
    ilsvrc("prepare", thousand, tree, "--jobs", 2)
    return content(tree)


@pytest.mark.parametrize("group", [False, True], ids=["kill -9 of the driver", "kill -9 of all processes"])
def test_killed_run_goes_on_and_ends_byte_identical(
    thousand: Path, tmp_path: Path, uninterrupted: dict[str, str], group: bool
) -> None:
    source, tree = Path(shutil.copytree(thousand, tmp_path / "source")), tmp_path / "tree"
    for record in (source / ".ilsvrc").glob("*.verified.json"):
        record.unlink()  # so that the digest is still to be proved
    process = start("prepare", source, tree, "--jobs", 2)
    wait_for_units(tree / ".ilsvrc/journal.jsonl", 150, process)
    if group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.communicate()
    time.sleep(0.3)  # workers see that the driver is gone, and end
    assert not (tree / "train").exists()
    assert not (tree / "val").exists()
    done = {
        json.loads(line)["unit"]
        for line in (tree / ".ilsvrc/journal.jsonl").read_text().split("\n")[:-1]
        if '"unit"' in line
    }
    assert len(done) < 1000
    staged = tree / ".ilsvrc/staging/train"
    times = {p.name: p.stat().st_mtime_ns for wnid in done for p in (staged / wnid).iterdir()}
    assert len(times) == 3 * len(done)
    told = ilsvrc_json("prepare", source, tree, "--jobs", 2)
    assert [(s["split"], s["images"], s["against"]) for s in told["splits"]] == [
        ("train", 3000, "MD5SUMS"),
        ("val", 1000, "MD5SUMS"),
    ]
    assert content(tree) == uninterrupted
    now = {p.name: p.stat().st_mtime_ns for wnid in done for p in (tree / "train" / wnid).iterdir()}
    assert now == times, "finished classes are not written again"


def test_control_c_ends_with_130_and_says_how_to_go_on(thousand: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    process = start("prepare", thousand, tree, "--jobs", 2)
    wait_for_units(tree / ".ilsvrc/journal.jsonl", 20, process)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "same command again" in errors
    assert "Traceback" not in errors
    assert not (tree / "train").exists()
    ilsvrc("prepare", thousand, tree)
    ilsvrc("check", "--deep", tree)


@pytest.mark.parametrize("layout", ["wnid", "index", "padded", "flat"])
def test_thousand_classes_in_each_layout_pass_the_deep_check(thousand: Path, tmp_path: Path, layout: str) -> None:
    ilsvrc("prepare", thousand, tmp_path / "tree", "--layout", layout)
    told = ilsvrc_json("check", "--deep", tmp_path / "tree")
    assert told["ok"]
    assert [(p["layout"], p["images"], p["classes"]) for p in told["parts"]] == [
        (layout, 3000, 1000),
        (layout, 1000, 1000),
    ]


def test_result_goes_to_standard_output_and_progress_to_standard_error(mini: Path, tmp_path: Path) -> None:
    done = ilsvrc("prepare", mini, tmp_path / "tree")
    assert "train: 24 images, 6 classes" in done.stdout
    assert "md5:" in done.stdout
    assert f"{tmp_path / 'tree'} is ready" in done.stdout
    assert "train: 24 images" in done.stderr


def test_quiet_says_nothing_on_standard_error(mini: Path, tmp_path: Path) -> None:
    assert ilsvrc("-q", "prepare", mini, tmp_path / "tree").stderr == ""


def test_json_may_stand_after_the_command(mini: Path, tmp_path: Path) -> None:
    done = ilsvrc("prepare", mini, tmp_path / "tree", "--json")
    assert json.loads(done.stdout)["ok"]


def test_classes_by_the_name_of_a_class_list(mini: Path, tmp_path: Path) -> None:
    ilsvrc("prepare", mini, tmp_path / "tree", "--classes", "imagenet-r", "--split", "val")
    assert sorted(path.name for path in (tmp_path / "tree/val").iterdir()) == ["n01443537", "n01484850", "n01494475"]
    told = ilsvrc("prepare", mini, tmp_path / "other", "--classes", "imagenet-x", status=2).stderr
    assert "did you mean" in told
    assert "imagenet-r" in told


def test_classes_from_a_file(mini: Path, tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("n01440764\ngoldfish\n")
    told = ilsvrc_json("prepare", mini, tmp_path / "tree", "--classes", tmp_path / "classes.txt", "--split", "train")
    assert [(s["split"], s["classes"]) for s in told["splits"]] == [("train", 2)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["prepare", "{mini}"], "DST"),
        (["prepare", "{missing}", "{tree}"], "does not exist"),
        (["prepare", "{empty}", "{tree}"], facts.TRAIN),
        (["prepare", "{mini}", "{tree}", "--layout", "{{split}}/{{nope}}"], "layout"),
        (["prepare", "{mini}", "{tree}", "--classes", "tensh"], "tench"),
        (["prepare", "{mini}", "{tree}", "--split", "validation"], "train, val or test"),
        (["prepare", "{mini}", "{tree}", "--source", "delete", "--verify", "none"], "verify"),
        (["check", "{empty}"], "nothing to check"),
        (["index", "{missing}"], "does not exist"),
        (["mini", "{tree}", "--faults", "truncated"], "did you mean"),
        (["nonsense"], "nonsense"),
    ],
)
def test_wrong_calls_end_with_2_and_say_what_to_do(
    mini: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"mini": mini, "missing": tmp_path / "missing", "empty": tmp_path / "empty", "tree": tmp_path / "tree"}
    done = ilsvrc(*(argument.format(**places) for argument in arguments), status=2)
    assert words in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "tree").exists()


def test_download_under_way_is_not_touched(mini: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(mini, tmp_path / "source"))
    (source / f"{facts.VAL}.aria2").touch()
    done = ilsvrc("prepare", source, tmp_path / "tree", status=2)
    assert "still being fetched" in done.stderr


def test_a_full_disk_ends_with_3_and_the_next_run_goes_on(mini: Path, tmp_path: Path) -> None:
    """On a real file system of 1 MB, made full by a file: preflight is told of room that is taken meanwhile."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small file system needs root")
    room = tmp_path / "room"
    room.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", room], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"can't mount a small file system: {mounted.stderr!r}")
    try:
        done = ilsvrc("prepare", mini, room / "tree", status=3)
        assert "free" in done.stderr
        assert not (room / "tree/train").exists()
        subprocess.run(["mount", "-o", "remount,size=8m", room], check=True)
        ilsvrc("prepare", mini, room / "tree")
        ilsvrc("check", "--deep", room / "tree")
    finally:
        subprocess.run(["umount", room], check=True)


def test_the_command_that_a_deep_check_names_mends_the_tree(mini: Path, tmp_path: Path) -> None:
    tree = tmp_path / "my tree"
    ilsvrc("prepare", mini, tree, "--layout", "padded")
    image = next((tree / "train").glob("*/*"))
    data = image.read_bytes()
    image.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    told = ilsvrc("check", "--deep", tree, status=1).stdout
    (command,) = re.findall(r"next: `ilsvrc (.*?)`", told)
    ilsvrc(*(mini if word == "SRC" else word for word in shlex.split(command)))
    assert image.read_bytes() == data
    ilsvrc("check", "--deep", tree)
