"""`prepare` as a library: what a tree holds, and what becomes of targets that are not empty."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from ilsvrc import facts, files
from ilsvrc.archive.sidecar import open_index, record, recorded
from ilsvrc.archive.source import FileSource, FileState
from ilsvrc.errors import ArchiveError, DamageError, DataError, IlsvrcError, LayoutError, MachineError, UsageError
from ilsvrc.events import Advanced, Event, Note, Started
from ilsvrc.facts import Digest
from ilsvrc.files import locked
from ilsvrc.issues import Code
from ilsvrc.prepare.prepare import prepare
from ilsvrc.sinks.room import Room

JOBS = 1


def options(**changes: Any) -> dict[str, Any]:
    return {"jobs": JOBS, **changes}


def images(tree: Path) -> dict[str, bytes]:
    """All images of a tree by path."""
    return {str(p.relative_to(tree)): p.read_bytes() for p in tree.glob("*/**/*.JPEG") if ".ilsvrc" not in p.parts}


def unpacked(source: Path) -> dict[str, bytes]:
    """What a tree of layout wnid must hold, by tarfile and the ground truth alone."""
    found: dict[str, bytes] = {}
    with tarfile.open(source / facts.TRAIN) as outer:
        for inner in outer:
            with tarfile.open(fileobj=outer.extractfile(inner)) as archive:
                found |= {f"train/{inner.name[:9]}/{m.name}": _read(archive, m) for m in archive}
    with tarfile.open(source / facts.VAL) as archive:
        for member in archive:
            wnid = facts.classes()[int(facts.val_labels()[int(member.name[15:23]) - 1])].wnid
            found[f"val/{wnid}/{member.name}"] = _read(archive, member)
    return found


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file is not None
    return file.read()


@pytest.fixture
def source(tmp_path: Path, mini: Path) -> Path:
    """A copy of the small miniature that a test may change."""
    return Path(shutil.copytree(mini, tmp_path / "source", ignore=shutil.ignore_patterns(".ilsvrc")))


def test_tree_is_what_tarfile_and_the_ground_truth_say(mini: Path, tmp_path: Path) -> None:
    report = prepare(mini, tmp_path / "tree", **options())
    assert images(tmp_path / "tree") == unpacked(mini)
    assert report.ok
    assert [(s.split, s.images, s.classes, s.against) for s in report.splits] == [
        ("train", 24, 6, "MD5SUMS"),
        ("val", 12, 6, "MD5SUMS"),
    ]
    assert json.loads((tmp_path / "tree/.ilsvrc/report.json").read_text()) == json.loads(json.dumps(report.to_dict()))
    assert sorted(p.name for p in (tmp_path / "tree/.ilsvrc").iterdir()) == [
        "journal.jsonl",
        "lock",
        "report.json",
        "train.arrow",
        "val.arrow",
    ]


@pytest.mark.parametrize("layout", ["wnid", "index", "padded", "flat", "{split}/{word}/{wnid}_{name}"])
def test_every_layout_holds_the_same_images_with_their_labels(mini: Path, tmp_path: Path, layout: str) -> None:
    tree = tmp_path / "tree"
    prepare(mini, tree, **options(layout=layout))
    assert sorted(images(tree).values()) == sorted(unpacked(mini).values())
    for split, labels in (("train", range(6)), ("val", range(6))):
        lines = [line.rsplit(" ", 1) for line in (tree / f"{split}.txt").read_text().splitlines()]
        assert {int(label) for _, label in lines} == set(labels)
        for path, label in lines:
            assert (tree / split / path).is_file()
            name = path.rpartition("/")[2].rpartition("_n")[2]
            assert layout.startswith("{") or split == "val" or name.startswith(facts.classes()[int(label)].wnid)


def test_listed_labels_are_in_the_order_of_the_index(mini: Path, tmp_path: Path) -> None:
    prepare(mini, tmp_path / "tree", **options(layout="padded"))
    lines = (tmp_path / "tree/val.txt").read_text().splitlines()
    assert lines == sorted(lines)


def test_second_run_writes_nothing(mini: Path, tmp_path: Path) -> None:
    first = prepare(mini, tmp_path / "tree", **options())
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "tree").rglob("*.JPEG")}
    second = prepare(mini, tmp_path / "tree", **options())
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "tree").rglob("*.JPEG")} == before
    assert [(s.images, s.bytes, s.digest) for s in second.splits] == [
        (s.images, s.bytes, s.digest) for s in first.splits
    ]
    assert [s.seconds for s in second.splits] == [0.0, 0.0]


def test_train_and_val_may_come_one_after_the_other(mini: Path, tmp_path: Path) -> None:
    prepare(mini, tmp_path / "tree", **options(splits=("val",)))
    assert not (tmp_path / "tree/train").exists()
    prepare(mini / facts.TRAIN, tmp_path / "tree", **options())
    assert images(tmp_path / "tree") == unpacked(mini)


def test_some_classes_only(mini: Path, tmp_path: Path) -> None:
    report = prepare(mini, tmp_path / "tree", **options(classes=("goldfish", "n01484850")))
    assert [(s.images, s.classes) for s in report.splits] == [(8, 2), (4, 2)]
    wanted = {path: data for path, data in unpacked(mini).items() if path.split("/")[1] in ("n01443537", "n01484850")}
    assert images(tmp_path / "tree") == wanted


def test_classes_that_are_not_in_the_archive(mini: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no image of the classes"):
        prepare(mini, tmp_path / "tree", **options(classes=("999",)))


def test_whatever_else_has_the_splits_name_is_left_alone(mini: Path, tmp_path: Path) -> None:
    (tmp_path / "tree/val").mkdir(parents=True)
    (tmp_path / "tree/val/mine.txt").write_text("precious")
    with pytest.raises(UsageError, match="exists"):
        prepare(mini, tmp_path / "tree", **options())
    assert (tmp_path / "tree/val/mine.txt").read_text() == "precious"
    assert not (tmp_path / "tree/train").exists(), "refused before anything was written"


def test_tree_of_another_layout_is_left_alone(mini: Path, tmp_path: Path) -> None:
    prepare(mini, tmp_path / "tree", **options())
    with pytest.raises(UsageError, match="was not prepared from this source in this layout") as caught:
        prepare(mini, tmp_path / "tree", **options(layout="flat"))
    assert images(tmp_path / "tree") == unpacked(mini)
    assert (
        f"`ilsvrc relabel {tmp_path / 'tree'} --layout flat` gives its folders the other layout" in caught.value.hint
    )
    with pytest.raises(UsageError, match="in this layout") as caught:
        prepare(mini, tmp_path / "tree", **options(layout="padded", classes=("0",)))
    assert "relabel" not in caught.value.hint, "fewer classes are no other layout"


def test_layout_that_merges_images_writes_nothing(mini: Path, tmp_path: Path) -> None:
    with pytest.raises(LayoutError):
        prepare(mini, tmp_path / "tree", **options(layout="{split}/{wnid}/image{name:.0}.JPEG"))
    assert not (tmp_path / "tree").exists()


def test_index_layout_warns_of_string_order(mini: Path, tmp_path: Path) -> None:
    heard: list[Event] = []
    prepare(mini, tmp_path / "tree", **options(layout="index"), listener=heard.append)
    warnings = [e.text for e in heard if isinstance(e, Note) and e.warning]
    assert len(warnings) == 1
    assert "988 of 1000" in warnings[0]
    assert "--layout padded" in warnings[0]


def test_archive_that_nothing_vouches_for_needs_verify_none(source: Path, tmp_path: Path) -> None:
    (source / "MD5SUMS").unlink()
    with pytest.raises(ArchiveError, match="no MD5SUMS") as caught:
        prepare(source, tmp_path / "tree", **options())
    assert "--verify none" in caught.value.hint
    report = prepare(source, tmp_path / "tree", **options(verify="none"))
    assert [s.digest for s in report.splits] == [None, None]


def test_sha256_needs_its_own_list(source: Path, tmp_path: Path) -> None:
    import hashlib

    for name in (facts.TRAIN, facts.VAL):
        digest = hashlib.sha256((source / name).read_bytes()).hexdigest()
        with (source / "SHA256SUMS").open("a") as sums:
            sums.write(f"{digest} *{name}\n")
    report = prepare(source, tmp_path / "tree", **options(verify="sha256"))
    assert [(s.against, str(s.digest)[:7]) for s in report.splits] == [("SHA256SUMS", "sha256:")] * 2


def test_verified_archive_is_not_hashed_again(source: Path, tmp_path: Path) -> None:
    heard: list[Event] = []
    prepare(source, tmp_path / "one", **options(listener=heard.append))
    hashed = [event.stage for event in heard if isinstance(event, Started) and event.stage.startswith("md5 of")]
    assert len(hashed) == 2
    heard.clear()
    prepare(source, tmp_path / "two", **options(listener=heard.append))
    assert [event.stage for event in heard if isinstance(event, Started)] == ["train", "val"]
    assert images(tmp_path / "two") == images(tmp_path / "one")


def flip(path: Path, position: int) -> None:
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)
        file.seek(position)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_damaged_archive_publishes_nothing_and_its_images_are_not_reused(source: Path, tmp_path: Path) -> None:
    archive = source / facts.TRAIN
    flip(archive, 3000)
    with pytest.raises(ArchiveError) as caught:
        prepare(source, tmp_path / "tree", **options())
    assert caught.value.code is Code.WRONG_DIGEST
    assert not (tmp_path / "tree/train").exists()
    assert recorded(archive) is None
    flip(archive, 3000)  # the same size and time again, as after a download that keeps the server's time
    prepare(source, tmp_path / "tree", **options())
    assert images(tmp_path / "tree") == unpacked(source)


class Stop(Exception):
    """An interruption."""


def interrupted_after(units: int, monkeypatch: pytest.MonkeyPatch, call: object) -> None:
    """Run `call` and stop it once so many units are in the journal."""
    from ilsvrc.run.journal import Committer

    add, count = Committer.add, 0

    def counting(self: Committer, receipt: object) -> None:
        nonlocal count
        add(self, receipt)  # type: ignore[arg-type]
        count += 1
        if count == units:
            raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(Committer, "add", counting)
        with pytest.raises(Stop):
            call()  # type: ignore[operator]


def test_units_written_from_a_replaced_archive_are_written_again(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = (source / facts.TRAIN).read_bytes()
    flip(source / facts.TRAIN, 3000)
    interrupted_after(4, monkeypatch, lambda: prepare(source, tmp_path / "tree", **options()))
    status = (source / facts.TRAIN).stat()
    (source / facts.TRAIN).write_bytes(good)
    os.utime(source / facts.TRAIN, ns=(status.st_atime_ns, status.st_mtime_ns))
    prepare(source, tmp_path / "tree", **options())
    assert images(tmp_path / "tree") == unpacked(source)


def test_interrupted_run_goes_on_and_writes_no_class_twice(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    interrupted_after(3, monkeypatch, lambda: prepare(source, tree, **options()))
    assert not (tree / "train").exists()
    staged = {p.name: p.stat().st_ino for p in (tree / ".ilsvrc/staging/train").glob("*/*.JPEG")}
    times = {p.name: p.stat().st_mtime_ns for p in (tree / ".ilsvrc/staging/train").glob("*/*.JPEG")}
    assert len(staged) == 12
    prepare(source, tree, **options())
    assert images(tree) == unpacked(source)
    assert {p.name: p.stat().st_mtime_ns for p in tree.glob("train/*/*.JPEG") if p.name in times} == times


def test_unfinished_run_with_other_settings_is_kept_until_told(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted_after(3, monkeypatch, lambda: prepare(source, tmp_path / "tree", **options()))
    with pytest.raises(UsageError, match="other settings") as caught:
        prepare(source, tmp_path / "tree", **options(layout="flat"))
    assert "--restart" in caught.value.hint
    prepare(source, tmp_path / "tree", **options(layout="flat", restart=True))
    assert sorted(p.name for p in (tmp_path / "tree/train").iterdir())[0].startswith("n01440764_")


def test_run_stopped_between_rename_and_report_ends_well(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ilsvrc.sinks.folder import FolderSink

    clear, calls = FolderSink.clear, 0

    def stop_at_the_second(self: FolderSink) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:  # the first is before anything is written
            raise Stop
        clear(self)

    with monkeypatch.context() as patch:
        patch.setattr(FolderSink, "clear", stop_at_the_second)
        with pytest.raises(Stop):
            prepare(source, tmp_path / "tree", **options())
    assert (tmp_path / "tree/train").is_dir()
    prepare(source, tmp_path / "tree", **options())
    assert images(tmp_path / "tree") == unpacked(source)
    assert not (tmp_path / "tree/.ilsvrc/staging").exists()


def test_archives_are_deleted_only_when_all_is_well(source: Path, tmp_path: Path) -> None:
    prepare(source, tmp_path / "tree", **options(source="delete"))
    assert sorted(p.name for p in source.glob("ILSVRC*")) == [facts.DEVKIT]
    assert len(images(tmp_path / "tree")) == 36


def test_archives_are_kept_if_an_image_is_lost(source: Path, tmp_path: Path) -> None:
    prepare(source, tmp_path / "tree", **options())
    next((tmp_path / "tree/val").glob("*/*.JPEG")).unlink()
    with pytest.raises(IlsvrcError, match="kept"):
        prepare(source, tmp_path / "tree", **options(source="delete"))
    assert (source / facts.VAL).exists()


@pytest.mark.parametrize(
    "bad",
    [
        {"verify": "crc"},
        {"source": "shred"},
        {"splits": ("validation",)},
        {"splits": ()},
        {"jobs": 0},
        {"source": "delete", "verify": "none"},
        {"source": "delete", "classes": ("0",)},
    ],
)
def test_options_that_make_no_sense(bad: dict[str, Any], mini: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        prepare(mini, tmp_path / "tree", **bad)
    assert caught.value.hint


def test_second_run_on_the_same_target_says_who_holds_it(mini: Path, tmp_path: Path) -> None:
    with locked(tmp_path / "tree/.ilsvrc/lock"), pytest.raises(MachineError, match=f"process {os.getpid()}"):
        prepare(mini, tmp_path / "tree", **options())


@pytest.mark.parametrize("room", [Room(1000, 10**6, 4096), Room(10**12, 5, 4096)])
def test_no_room_is_said_before_anything_is_written(
    mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: Room
) -> None:
    monkeypatch.setattr(Room, "of", lambda folder: room)
    with pytest.raises(MachineError, match="free") as caught:
        prepare(mini, tmp_path / "tree", **options())
    assert "nothing was written" in caught.value.hint
    assert not (tmp_path / "tree/.ilsvrc/staging").exists()


def val_txt(path: Path, shift: int = 0) -> Path:
    """Write Caffe's val.txt, its labels `shift` too high."""
    lines = (
        f"ILSVRC2012_val_{n:08}.JPEG {(label + shift) % 1000}\n" for n, label in enumerate(facts.val_labels(), 1)
    )
    path.write_text("".join(lines))
    return path


def test_val_labels_that_agree_change_nothing(mini: Path, tmp_path: Path) -> None:
    prepare(mini, tmp_path / "tree", **options(val_labels=val_txt(tmp_path / "val.txt")))
    assert images(tmp_path / "tree") == unpacked(mini)


def test_val_labels_that_disagree_stop_prepare_unless_trusted(mini: Path, tmp_path: Path) -> None:
    file = val_txt(tmp_path / "val.txt")
    lines = file.read_text().splitlines()
    lines[292] = "ILSVRC2012_val_00000293.JPEG 5"  # a tench, by the ground truth
    file.write_text("\n".join(lines))
    with pytest.raises(DataError, match="49,999 of 50,000") as caught:
        prepare(mini, tmp_path / "tree", **options(val_labels=file))
    assert "--trust-val-labels" in caught.value.hint
    assert not (tmp_path / "tree").exists()
    prepare(mini, tmp_path / "tree", **options(val_labels=file, trust_val_labels=True))
    wanted = unpacked(mini)
    wanted["val/n01496331/ILSVRC2012_val_00000293.JPEG"] = wanted.pop("val/n01440764/ILSVRC2012_val_00000293.JPEG")
    assert images(tmp_path / "tree") == wanted
    assert "n01496331/ILSVRC2012_val_00000293.JPEG 5" in (tmp_path / "tree/val.txt").read_text()


def test_val_labels_do_not_change_what_is_published(mini: Path, tmp_path: Path) -> None:
    prepare(mini, tmp_path / "tree", **options(splits=("train",)))
    again = prepare(mini, tmp_path / "tree", **options(splits=("train",), val_labels=val_txt(tmp_path / "val.txt")))
    assert [s.seconds for s in again.splits] == [0.0]


def test_lists_of_the_users_are_not_overwritten(mini: Path, tmp_path: Path) -> None:
    for name in ("val.txt", "classes.json"):
        tree = tmp_path / f"tree-{name}"
        tree.mkdir()
        (tree / name).write_text("mine")
        with pytest.raises(UsageError, match="did not write"):
            prepare(mini, tree, **options())
        assert (tree / name).read_text() == "mine"
        assert not (tree / "train").exists()


def test_tree_made_without_proof_is_never_called_proved_and_its_archive_never_deleted(
    source: Path, tmp_path: Path
) -> None:
    archive = source / facts.TRAIN
    flip(archive, 3000)
    prepare(source, tmp_path / "tree", **options(verify="none"))
    flip(archive, 3000)
    prepare(source, tmp_path / "other", **options())  # proves the archive as it is now
    heard: list[Event] = []
    report = prepare(source, tmp_path / "tree", **options(), listener=heard.append)
    assert [s.digest for s in report.splits] == [None, None]
    assert any("without proof" in e.text for e in heard if isinstance(e, Note))
    with pytest.raises(UsageError, match="without proof"):
        prepare(source, tmp_path / "tree", **options(source="delete"))
    assert archive.exists()


@pytest.mark.parametrize("jobs", [1, 2])
def test_archive_replaced_meanwhile_publishes_nothing(source: Path, tmp_path: Path, jobs: int) -> None:
    archive, swapped = source / facts.TRAIN, False
    data, status = bytearray(archive.read_bytes()), archive.stat()
    data[3000] ^= 1

    def swap(event: Event) -> None:
        nonlocal swapped
        if isinstance(event, Advanced) and event.images and event.stage == "train" and not swapped:
            swapped = True
            (source / "new").write_bytes(data)
            os.utime(source / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
            (source / "new").replace(archive)

    with pytest.raises(ArchiveError, match="replaced"):
        prepare(source, tmp_path / "tree", **options(jobs=jobs), listener=swap)
    assert not (tmp_path / "tree/train").exists()
    assert recorded(archive) is None
    assert not list((tmp_path / "tree/.ilsvrc/staging/train").rglob("*.JPEG"))


def test_reports_of_both_splits_are_kept(mini: Path, tmp_path: Path) -> None:
    for split in ("train", "val"):
        prepare(mini, tmp_path / "tree", **options(splits=(split,)))
    told = json.loads((tmp_path / "tree/.ilsvrc/report.json").read_text())
    assert sorted(split["split"] for split in told["splits"]) == ["train", "val"]


def test_a_split_asked_for_twice_is_done_once(mini: Path, tmp_path: Path) -> None:
    assert len(prepare(mini, tmp_path / "tree", **options(splits=("val", "val"))).splits) == 1


def test_one_archive_of_another_split_than_asked_for(mini: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds the val split") as caught:
        prepare(mini / facts.VAL, tmp_path / "tree", **options(splits=("train",)))
    assert "--split val" in caught.value.hint


def test_room_of_work_that_is_thrown_away_counts_as_free(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted_after(3, monkeypatch, lambda: prepare(source, tmp_path / "tree", **options()))
    seen: list[int] = []

    def room(folder: Path) -> Room:
        seen.append(sum(1 for _ in (tmp_path / "tree/.ilsvrc/staging").rglob("*.JPEG")))
        return Room(10**12, None, 4096)

    monkeypatch.setattr(Room, "of", room)
    prepare(source, tmp_path / "tree", **options(layout="flat", restart=True))
    assert seen[-1] == 0


@pytest.mark.parametrize("change", ["touched", "copied"])
def test_archive_that_was_only_touched_or_copied_is_the_same_plan(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    interrupted_after(3, monkeypatch, lambda: prepare(source, tmp_path / "tree", **options()))
    staged = {p: p.stat().st_ino for p in (tmp_path / "tree/.ilsvrc/staging/train").glob("*/*.JPEG")}
    if change == "touched":
        os.utime(source / facts.TRAIN)
    else:
        shutil.copy(source / facts.TRAIN, source / "copy")
        (source / "copy").replace(source / facts.TRAIN)
    heard: list[Event] = []
    prepare(source, tmp_path / "tree", **options(), listener=heard.append)
    assert not [event for event in heard if isinstance(event, Note) and "starting over" in event.text]
    assert images(tmp_path / "tree") == unpacked(source)
    inodes = {p.stat().st_ino for p in (tmp_path / "tree/train").glob("*/*.JPEG")}
    assert len(staged) == 12
    assert set(staged.values()) <= inodes, "no staged image was deleted"


def test_leftovers_of_a_killed_run_are_removed(mini: Path, tmp_path: Path) -> None:
    own = tmp_path / "tree/.ilsvrc"
    own.mkdir(parents=True)
    leftovers = [tmp_path / "tree/.val.txt.123.part", own / ".train.arrow.99.part"]
    mine = tmp_path / "tree/.mine.part"
    for path in (*leftovers, mine):
        path.write_text("")
    prepare(mini, tmp_path / "tree", **options())
    assert not any(path.exists() for path in leftovers)
    assert mine.exists()


def test_target_that_is_no_folder(mini: Path, tmp_path: Path) -> None:
    (tmp_path / "tree").write_text("")
    with pytest.raises(UsageError, match="not a folder"):
        prepare(mini, tmp_path / "tree", **options())


def test_dangling_link_in_the_way_is_refused_first(mini: Path, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/val").symlink_to("nowhere")
    with pytest.raises(UsageError, match="exists"):
        prepare(mini, tmp_path / "tree", **options())
    assert not (tmp_path / "tree/train").exists()


def test_linked_archive_is_not_deleted(source: Path, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    for name in (facts.TRAIN, "MD5SUMS"):
        (tmp_path / "links" / name).symlink_to(source / name)
    with pytest.raises(UsageError, match="is a link"):
        prepare(tmp_path / "links", tmp_path / "tree", **options(source="delete", splits=("train",)))


def test_name_that_is_too_long_is_refused_before_writing(mini: Path, tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="255"):
        prepare(mini, tmp_path / "tree", **options(layout="{split}/" + "x" * 250 + "{wnid}/{name}"))
    assert not (tmp_path / "tree").exists()


def test_split_asked_for_and_absent_is_an_error_before_anything_is_written(source: Path, tmp_path: Path) -> None:
    (source / facts.TRAIN).rename(source / "imagenet_train.tar")
    with pytest.raises(UsageError, match=facts.TRAIN) as caught:
        prepare(source, tmp_path / "tree", **options(splits=("train", "val")))
    assert "imagenet_train.tar" in caught.value.hint
    assert not (tmp_path / "tree").exists()


def test_split_absent_and_not_asked_for_is_a_warning(source: Path, tmp_path: Path) -> None:
    (source / facts.TRAIN).rename(source / "imagenet_train.tar")
    heard: list[Event] = []
    prepare(source, tmp_path / "tree", **options(), listener=heard.append)
    warnings = [event.text for event in heard if isinstance(event, Note) and event.warning]
    assert len(warnings) == 1
    for said in ("only val", facts.TRAIN, "imagenet_train.tar"):
        assert said in warnings[0]


def gut(tree: Path, how: str) -> int:
    """Take images from a published tree; return how many."""
    if how == "all":
        for folder in (tree / "train").iterdir():
            shutil.rmtree(folder)
        return 24
    if how == "class":
        shutil.rmtree(tree / "train/n01440764")
        return 4
    for image in (tree / "train/n01443537").iterdir():
        os.truncate(image, 10)
    return 4


@pytest.mark.parametrize("how", ["all", "class", "truncated"])
def test_gutted_tree_is_not_complete_and_repair_mends_it(mini: Path, tmp_path: Path, how: str) -> None:
    tree = tmp_path / "tree"
    prepare(mini, tree, **options())
    kept = {p: p.stat().st_mtime_ns for p in tree.rglob("*.JPEG")}
    count = gut(tree, how)
    with pytest.raises(DamageError, match=f"{count} of 24 images") as caught:
        prepare(mini, tree, **options())
    assert "--repair" in caught.value.hint
    assert len(caught.value.issues) == min(count, 20)
    report = prepare(mini, tree, **options(repair=True))
    assert report.ok
    assert images(tree) == unpacked(mini)
    untouched = [p for p, time in kept.items() if p.stat().st_mtime_ns == time]
    assert len(untouched) == 36 - count, "what was there is left alone"
    assert not (tree / ".ilsvrc/staging").exists()
    prepare(mini, tree, **options())


def test_repair_mends_images_that_changed_at_equal_size(mini: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    prepare(mini, tree, **options())
    changed = [*sorted((tree / "train").glob("*/*"))[:2], next((tree / "val").glob("*/*"))]
    for image in changed:
        flip(image, image.stat().st_size // 2)
    lost = sorted((tree / "train").glob("*/*"))[-1]
    lost.unlink()
    kept = {path: path.stat().st_mtime_ns for path in tree.rglob("*.JPEG") if path not in changed}
    planned = prepare(mini, tree, **options(repair=True, dry_run=True))
    assert all("compare every image with its digest" in decided["action"] for decided in planned.decisions)
    report = prepare(mini, tree, **options(repair=True))
    assert [(decided["missing"], decided["images"] > 0) for decided in report.decisions] == [(3, True), (1, True)]
    assert images(tree) == unpacked(mini)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_repair_of_a_sound_tree_writes_nothing(mini: Path, tmp_path: Path) -> None:
    tree, heard = tmp_path / "tree", list[Event]()
    prepare(mini, tree, **options())
    before = {path: path.stat().st_mtime_ns for path in tree.rglob("*.JPEG")}
    report = prepare(mini, tree, **options(repair=True), listener=heard.append)
    assert [decided["action"] for decided in report.decisions] == ["nothing: it is complete"] * 2
    assert {path: path.stat().st_mtime_ns for path in tree.rglob("*.JPEG")} == before
    told = [event.text for event in heard if isinstance(event, Note)]
    assert "train: 24 images compared with their digests in the manifest; 0 of them have other bytes" in told


def test_repair_from_a_source_of_other_bytes_changes_nothing(tree: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(tree, tmp_path / "source"))
    prepare(source, tmp_path / "out", **options())
    name = sorted((source / "train").glob("*/*"))[0].relative_to(source)
    for folder in (source, tmp_path / "out"):
        flip(folder / name, 100)
    with pytest.raises(MachineError, match="not those that the manifest records"):
        prepare(source, tmp_path / "out", **options(repair=True))


def test_lists_that_are_gone_are_written_again(mini: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    prepare(mini, tree, **options())
    before = {name: (tree / name).read_bytes() for name in ("train.txt", "classes.json")}
    for name in before:
        (tree / name).unlink()
    prepare(mini, tree, **options())
    assert {name: (tree / name).read_bytes() for name in before} == before
    (tree / "train.txt").write_text("mine")
    with pytest.raises(UsageError, match="ilsvrc did not write it"):
        prepare(mini, tree, **options())
    assert (tree / "train.txt").read_text() == "mine"


def test_archive_altered_in_place_is_not_deleted(source: Path, tmp_path: Path) -> None:
    prepare(source, tmp_path / "tree", **options())
    flip(source / facts.TRAIN, 3000)  # the same size and mtime; its record and manifest still say that it is right
    with pytest.raises(ArchiveError) as caught:
        prepare(source, tmp_path / "tree", **options(source="delete", splits=("train",)))
    assert caught.value.code is Code.WRONG_DIGEST
    assert (source / facts.TRAIN).exists()


def test_forged_record_publishes_and_deletes_nothing(source: Path, tmp_path: Path) -> None:
    archive = source / facts.TRAIN
    proved = Digest("md5", hashlib.md5(archive.read_bytes()).hexdigest())
    flip(archive, 3000)
    open_index(FileSource(archive))
    record(archive, proved, "official", FileState.of(archive))
    with pytest.raises(ArchiveError) as caught:
        prepare(source, tmp_path / "tree", **options(source="delete", splits=("train",)))
    assert caught.value.code is Code.WRONG_DIGEST
    assert archive.exists()
    assert not (tmp_path / "tree/train").exists()


def test_archive_is_kept_where_an_image_of_the_tree_was_zeroed(source: Path, tmp_path: Path) -> None:
    prepare(source, tmp_path / "tree", **options())
    image = next((tmp_path / "tree/val").glob("*/*.JPEG"))
    image.write_bytes(bytes(image.stat().st_size))
    with pytest.raises(DamageError, match="is kept: 1 images") as caught:
        prepare(source, tmp_path / "tree", **options(source="delete", splits=("val",)))
    assert [issue.code for issue in caught.value.issues] == [Code.CHANGED_IMAGE]
    assert (source / facts.VAL).exists()


def test_foreign_folder_that_appears_meanwhile_is_never_called_complete(source: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"

    def meddle(event: Event) -> None:
        if isinstance(event, Advanced) and event.images and event.stage == "train":
            (tree / "train").mkdir(exist_ok=True)
            (tree / "train/mine").write_text("precious")

    for _ in range(2):
        with pytest.raises(UsageError, match="train"):
            prepare(source, tree, **options(), listener=meddle)
        assert (tree / "train/mine").read_text() == "precious"
    shutil.rmtree(tree / "train")
    prepare(source, tree, **options())
    assert images(tree) == unpacked(source)


def test_list_that_appears_meanwhile_is_not_overwritten(source: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"

    def meddle(event: Event) -> None:
        if isinstance(event, Advanced) and event.images and event.stage == "val":
            (tree / "val.txt").write_text("mine")

    with pytest.raises(UsageError, match="ilsvrc did not write it"):
        prepare(source, tree, **options(), listener=meddle)
    assert (tree / "val.txt").read_text() == "mine"
    (tree / "val.txt").unlink()
    prepare(source, tree, **options())
    assert images(tree) == unpacked(source)


@pytest.mark.parametrize("at", ["train.txt", "classes.json", "train.arrow"])
def test_publishing_is_resumed_wherever_it_stopped(
    source: Path, tmp_path: Path, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names come in this order: the split's folder, the lists, the manifest."""
    tree = tmp_path / "tree"
    prepare(source, tmp_path / "whole", **options())
    rename, replace = files.rename_new, Path.replace

    def rename_until(old: Path, new: Path) -> None:
        if new.name == at:
            raise Stop
        rename(old, new)

    def replace_until(self: Path, target: Path) -> Path:
        if target == tree / ".ilsvrc" / at:
            raise Stop
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["ilsvrc.sinks.folder"], "rename_new", rename_until)
        patch.setattr(sys.modules["ilsvrc.sinks.lists"], "rename_new", rename_until)
        patch.setattr(Path, "replace", replace_until)
        with pytest.raises(Stop):
            prepare(source, tree, **options(splits=("train",)))
    assert (tree / "train").is_dir()
    assert not (tree / ".ilsvrc/train.arrow").exists()
    prepare(source, tree, **options())
    assert images(tree) == unpacked(source)
    for name in ("train.txt", "val.txt", "classes.json"):
        assert (tree / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not (tree / ".ilsvrc/staging").exists()


def test_forged_receipt_does_not_publish_less(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tmp_path / "tree"
    interrupted_after(3, monkeypatch, lambda: prepare(source, tree, **options()))
    journal = tree / ".ilsvrc/journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    for line in lines:
        if "outputs" in line:
            line["outputs"] = []
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    prepare(source, tree, **options())
    assert images(tree) == unpacked(source)


def test_staged_image_zeroed_at_equal_size_is_written_again(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    interrupted_after(3, monkeypatch, lambda: prepare(source, tree, **options()))
    image = next((tree / ".ilsvrc/staging/train").glob("*/*.JPEG"))
    image.write_bytes(bytes(image.stat().st_size))
    prepare(source, tree, **options())
    assert images(tree) == unpacked(source)


@pytest.mark.parametrize("text", ["[]", "null", "{}", '{"plan": []}', '{"split": "train"}', "\xff\x00", "[" * 9000])
def test_garbage_in_our_files_is_as_nothing(source: Path, tmp_path: Path, text: str) -> None:
    own = tmp_path / "tree/.ilsvrc"
    own.mkdir(parents=True)
    for name in ("journal.jsonl", "report.json"):
        (own / name).write_text(text + "\n")
    prepare(source, tmp_path / "tree", **options())
    assert images(tmp_path / "tree") == unpacked(source)


@pytest.mark.parametrize("name", ["lock", "journal.jsonl", "staging"])
def test_link_in_the_place_of_a_file_of_ours_is_refused(source: Path, tmp_path: Path, name: str) -> None:
    users = tmp_path / "users"
    if name == "staging":
        (users / "train").mkdir(parents=True)
    else:
        users.write_text("precious")
    own = tmp_path / "tree/.ilsvrc"
    own.mkdir(parents=True)
    (own / name).symlink_to(users)
    with pytest.raises(MachineError, match="ilsvrc's own") as caught:
        prepare(source, tmp_path / "tree", **options())
    assert caught.value.hint.startswith(f"see what it is and move it away: ls -l {own / name}")
    assert (users / "train").is_dir() if name == "staging" else users.read_text() == "precious"
    assert not (tmp_path / "tree/train").exists()


def test_what_is_refused_leaves_nothing_behind(source: Path, tmp_path: Path) -> None:
    (source / "MD5SUMS").unlink()
    with pytest.raises(ArchiveError):
        prepare(source, tmp_path / "tree", **options())
    assert not (tmp_path / "tree").exists()


@pytest.mark.parametrize("empty", ["", "  "])
def test_empty_paths_are_refused(source: Path, tmp_path: Path, empty: str) -> None:
    with pytest.raises(UsageError, match="SRC is empty"):
        prepare(empty, tmp_path / "tree")
    with pytest.raises(UsageError, match="DST is empty"):
        prepare(source, empty)


def test_tilde_is_the_users_home(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(source.parent))
    prepare(f"~/{source.name}", "~/tree", **options(splits=("val",)))
    assert (source.parent / "tree/val").is_dir()


def test_the_library_raises_its_own_errors(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="file"):
        prepare(source, tmp_path / "file/tree", **options())


@pytest.mark.parametrize("which", ["split", "class"])
def test_repair_writes_through_no_link(mini: Path, tmp_path: Path, which: str) -> None:
    tree, other = tmp_path / "tree", tmp_path / "other"
    prepare(mini, tree, **options())
    linked = tree / "train" / ("n01440764" if which == "class" else "")
    shutil.move(linked, other)
    for image in other.rglob("*.JPEG"):
        image.write_text("mine")
    Path(str(linked).rstrip("/")).symlink_to(other)
    with pytest.raises(UsageError, match="is a link, and --repair writes through none"):
        prepare(mini, tree, **options(repair=True))
    assert {image.read_text() for image in other.rglob("*.JPEG")} == {"mine"}


@pytest.mark.parametrize("place", ["image", "class"])
def test_repair_names_what_is_in_the_way(mini: Path, tmp_path: Path, place: str) -> None:
    tree = tmp_path / "tree"
    prepare(mini, tree, **options())
    if place == "image":
        way = next((tree / "train/n01440764").iterdir())
        way.unlink()
        way.mkdir()
    else:
        way = tree / "train/n01440764"
        shutil.rmtree(way)
        way.write_text("mine")
    before = {path: path.stat().st_mtime_ns for path in tree.rglob("*.JPEG")}
    with pytest.raises(UsageError, match=r"is no (file|folder)") as caught:
        prepare(mini, tree, **options(repair=True))
    assert str(way) in caught.value.message
    assert {path: path.stat().st_mtime_ns for path in tree.rglob("*.JPEG")} == before


def test_repair_looks_at_the_lists_before_it_moves_an_image(mini: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    prepare(mini, tree, **options())
    gut(tree, "class")
    (tree / "train.txt").write_text("mine")
    with pytest.raises(UsageError, match="ilsvrc did not write it"):
        prepare(mini, tree, **options(repair=True))
    assert not (tree / "train/n01440764").exists()
    assert (tree / "train.txt").read_text() == "mine"


@pytest.mark.parametrize("stray", ["train/AAA/", "train/n01440764/mine.JPEG"])
def test_stray_in_staging_is_not_published(
    source: Path, tmp_path: Path, stray: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    interrupted_after(3, monkeypatch, lambda: prepare(source, tree, **options()))
    path = tree / ".ilsvrc/staging" / stray
    path.mkdir() if stray.endswith("/") else path.write_text("mine")
    with pytest.raises(MachineError, match="not what was planned") as caught:
        prepare(source, tree, **options())
    assert "--restart" in caught.value.hint
    assert not (tree / "train").exists()
    prepare(source, tree, **options(restart=True))
    assert images(tree) == unpacked(source)


def test_files_of_the_user_that_look_like_leftovers_are_kept(mini: Path, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    mine = [tmp_path / "tree" / name for name in (".train.tar.99999999.part", ".val.results.of.4194305.part")]
    for path in mine:
        path.write_text("precious")
    prepare(mini, tmp_path / "tree", **options())
    assert [path.read_text() for path in mine] == ["precious"] * 2


def test_target_whose_name_is_no_text(mini: Path, tmp_path: Path) -> None:
    tree = tmp_path / os.fsdecode(b"x\xff")
    prepare(mini, tree, **options())
    assert images(tree) == unpacked(mini)


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_what_is_no_file_in_the_place_of_a_list_is_left_alone(mini: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "tree").mkdir()
    place = tmp_path / "tree/classes.json"
    os.mkfifo(place) if kind == "pipe" else place.mkdir()
    with pytest.raises(UsageError, match="did not write"):
        prepare(mini, tmp_path / "tree", **options())


def test_manifest_of_a_split_that_is_gone_does_not_vouch_for_the_new_one(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    prepare(source, tree, **options(splits=("train",)))
    shutil.rmtree(tree / "train")
    interrupted_after(1, monkeypatch, lambda: prepare(source, tree, **options(splits=("train",))))
    assert not (tree / ".ilsvrc/train.arrow").exists()
    prepare(source, tree, **options(splits=("train",)))
    assert (tree / ".ilsvrc/train.arrow").exists()
