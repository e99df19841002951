"""What `prepare` decides before it writes anything, as `--dry-run` prints it; and any executor as its engine."""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from ilsvrc import facts
from ilsvrc.errors import ArchiveError, DamageError, MachineError, UsageError
from ilsvrc.prepare import estimate
from ilsvrc.prepare.prepare import prepare
from ilsvrc.run.engine import PoolEngine
from tests.cli.helpers import ilsvrc
from tests.prepare.test_prepare import images, interrupted_after, options, unpacked


@pytest.fixture
def source(tmp_path: Path, mini: Path) -> Path:
    """A copy of the small miniature that a test may change."""
    return Path(shutil.copytree(mini, tmp_path / "source", ignore=shutil.ignore_patterns(".ilsvrc")))


def seen(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder below one, with its size and time."""
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(folder.rglob("*"))}


def decided(src: Path, tree: Path, **changes: Any) -> dict[str, dict[str, Any]]:
    """What a dry run decides about each split; it writes nothing."""
    before = seen(tree)
    report = prepare(src, tree, **options(dry_run=True, **changes))
    assert seen(tree) == before
    assert report.dry_run
    assert report.splits == ()
    return {one["split"]: one for one in report.decisions}


def test_nothing_is_there_and_all_will_be_written(source: Path, tmp_path: Path) -> None:
    found = decided(source, tmp_path / "tree")
    assert not (tmp_path / "tree").exists()
    assert {split: (one["there"], one["action"], one["images"]) for split, one in found.items()} == {
        "train": ("fresh", "write", 24),
        "val": ("fresh", "write", 12),
    }
    assert found["train"]["hashes"] == [f"{facts.TRAIN} (md5)"]
    assert found["train"]["bytes"] == sum(map(len, (d for k, d in unpacked(source).items() if k[:5] == "train")))


def test_complete_splits_are_kept_and_missing_images_counted(source: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    prepare(source, tree, **options())
    assert {one["action"] for one in decided(source, tree).values()} == {"nothing: it is complete"}
    shutil.rmtree(tree / "train/n01440764")
    with pytest.raises(DamageError, match="4 of 24"):
        decided(source, tree)
    found = decided(source, tree, repair=True)
    assert (found["train"]["missing"], found["train"]["images"]) == (4, 4)
    assert found["train"]["proved_before"]
    assert found["val"]["images"] == 0


def test_interrupted_run_is_resumed_or_begun_again(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    interrupted_after(3, monkeypatch, lambda: prepare(source, tree, **options()))
    assert decided(source, tree)["train"]["images"] == 12
    again = decided(source, tree, restart=True)["train"]
    assert (again["images"], again["action"][:6]) == (24, "remove")
    with pytest.raises(UsageError, match="other settings"):
        decided(source, tree, layout="flat")


def test_refusals_are_those_of_the_run(source: Path, tmp_path: Path) -> None:
    (tmp_path / "tree/train").mkdir(parents=True)
    with pytest.raises(UsageError, match="already exists"):
        decided(source, tmp_path / "tree")
    (source / "MD5SUMS").unlink()
    with pytest.raises(ArchiveError, match="not the official archive"):
        decided(source, tmp_path / "other")


def test_archives_that_will_be_deleted_are_named(source: Path, tmp_path: Path) -> None:
    found = decided(source, tmp_path / "tree", source="delete")
    assert found["train"]["deletes"] == [str(source / facts.TRAIN)]
    assert (source / facts.TRAIN).is_file()


def test_room_and_time_are_told(source: Path, tmp_path: Path) -> None:
    report = prepare(source, tmp_path / "tree", **options(dry_run=True))
    room = report.estimate
    assert room is not None
    assert room.needs_bytes == sum(one["needs_bytes"] for one in report.decisions)
    assert room.needs_inodes > 36
    assert room.free_bytes <= os.statvfs(tmp_path).f_frsize * os.statvfs(tmp_path).f_blocks
    assert room.seconds is not None
    assert room.seconds > 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["source"]


def test_rate_of_writing_is_measured_with_few_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny images make many thousands in a second, which took minutes to remove on a busy disk."""
    monkeypatch.setattr(estimate, "SECOND", 3600)
    monkeypatch.setattr(estimate, "_MOST_FILES", 25)
    assert estimate._written([b"a", b"bc"], tmp_path) > 0
    assert len(list(tmp_path.iterdir())) == 25


def test_time_is_unknown_where_nothing_can_be_written(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    report = prepare(source, tmp_path / "tree", **options(dry_run=True))
    assert report.estimate is not None
    assert report.estimate.seconds is None


def test_decisions_are_in_the_report_of_a_run(mini: Path, tmp_path: Path) -> None:
    report = prepare(mini, tmp_path / "tree", **options())
    assert [one["action"] for one in report.decisions] == ["write", "write"]
    assert not report.dry_run


def test_command_line_prints_the_decision(source: Path, tmp_path: Path) -> None:
    done = ilsvrc("prepare", str(source), str(tmp_path / "tree"), "--dry-run")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == f"train: from {source / facts.TRAIN} (archive)"
    assert "  to do: write" in lines
    assert lines[-1] == "nothing was written"
    assert not (tmp_path / "tree").exists()
    document = json.loads(ilsvrc("--json", "prepare", str(source), str(tmp_path / "tree"), "--dry-run").stdout)
    assert document["dry_run"] is True
    assert document["estimate"]["needs_bytes"] > 0


def executors() -> dict[str, Executor]:
    return {"threads": ThreadPoolExecutor(2), "processes": ProcessPoolExecutor(2, get_context("spawn"))}


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_any_executor_does_the_work_and_stays_its_owners(mini: Path, tmp_path: Path, kind: str) -> None:
    with executors()[kind] as executor:
        assert prepare(mini, tmp_path / "tree", engine=executor).ok
        assert executor.submit(len, "abc").result() == 3
    assert images(tmp_path / "tree") == unpacked(mini)


def test_workers_elsewhere_make_every_unit_durable_themselves(
    mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[str] = set()
    fsync = os.fsync

    def counting(fd: int) -> None:
        synced.add(os.readlink(f"/proc/self/fd/{fd}"))
        fsync(fd)

    with ThreadPoolExecutor(2) as executor:
        engine = PoolEngine(executor, local=False)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", counting)
            prepare(mini, tmp_path / "tree", splits=("train",), engine=engine)
    staging = tmp_path / "tree/.ilsvrc/staging"
    assert {str(staging / key) for key in images(tmp_path / "tree")} <= synced
    assert {str(staging / f"train/{wnid}") for wnid in os.listdir(tmp_path / "tree/train")} <= synced


class Broken(ThreadPoolExecutor):
    """An executor that loses every worker."""

    def submit(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("cannot schedule new futures")


def test_an_executor_that_fails_publishes_nothing(mini: Path, tmp_path: Path) -> None:
    with Broken(1) as executor, pytest.raises((MachineError, RuntimeError)):
        prepare(mini, tmp_path / "tree", engine=executor)
    assert not (tmp_path / "tree/train").exists()
