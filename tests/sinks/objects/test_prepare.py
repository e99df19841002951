"""`prepare` to a bucket: the objects are the files of a folder, whoever was killed, refused or in the way."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ilsvrc
from ilsvrc.errors import DamageError, MachineError, UsageError
from ilsvrc.events import Finished, Listener, Note
from ilsvrc.sinks.formats.registry import FORMATS
from ilsvrc.stores import client, lock
from ilsvrc.stores.lock import Lock
from ilsvrc.stores.path import StorePath
from ilsvrc.testing import MiniSpec, write_mini
from tests.cli.helpers import ilsvrc as command
from tests.cli.helpers import ilsvrc_json
from tests.sinks.formats.preparing import prepare
from tests.sinks.objects.holding import objects, unfinished
from tests.stores.proxy import Fault, Proxy, Request, every, proxy_to
from tests.stores.servers import S3, SECRET, Bucket, moto

NOT_THE_SPLITS = (".ilsvrc/journal", ".ilsvrc/report.json", ".ilsvrc/lock")
"""What tells of runs, and is another one after each."""


def published(found: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in found.items() if not name.startswith(NOT_THE_SPLITS)}


def files(root: Path) -> dict[str, bytes]:
    found = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return published(dict(sorted(found.items())))


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """One server alone: what differs between servers is in the tests of the sinks, of the lock and of the log."""
    with moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture
def root(bucket: Bucket) -> StorePath:
    return StorePath(bucket.url("data/imagenet"))


@pytest.mark.parametrize("name", ["folders", *FORMATS])
def test_objects_are_the_files_of_a_folder(name: str, mini: Path, root: StorePath, tmp_path: Path) -> None:
    """Byte for byte, manifest and lists too; run again, it finds them complete and writes nothing."""
    size: dict[str, Any] = {} if name == "folders" else {"shard_images": 7}
    ilsvrc_prepare(name, mini, tmp_path / "local", jobs=1, **size)
    ilsvrc_prepare(name, mini, root, jobs=2, **size)
    assert published(objects(root)) == files(tmp_path / "local")
    before = {entry.key: entry.state for entry in root.bucket.below(f"{root.key}") if "report" not in entry.key}
    ilsvrc_prepare(name, mini, root, jobs=1, **size)
    after = {entry.key: entry.state for entry in root.bucket.below(f"{root.key}") if "report" not in entry.key}
    assert after == before
    assert unfinished(root) == []


def ilsvrc_prepare(name: str, source: Path, target: Path | StorePath, **chosen: Any) -> None:
    if name == "folders":
        ilsvrc.prepare(source, target, **chosen)
    else:
        prepare(name, source, target, **chosen)


def test_a_whole_bucket_is_a_folder_too(mini: Path, bucket: Bucket, tmp_path: Path) -> None:
    ilsvrc.prepare(mini, tmp_path / "local", format="mds", shard_images=7, jobs=1)
    ilsvrc.prepare(mini, bucket.url(), format="mds", shard_images=7, jobs=1)
    keys = bucket.keys()
    assert published({key: bucket.get(key) for key in keys}) == files(tmp_path / "local")


@pytest.mark.parametrize("layout", ["flat", "padded"])
def test_layouts(layout: str, mini: Path, root: StorePath, tmp_path: Path) -> None:
    ilsvrc.prepare(mini, tmp_path / "local", layout=layout, jobs=1)
    command("prepare", mini, root, "--layout", layout, "--jobs", "1")
    assert published(objects(root)) == files(tmp_path / "local")


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = MiniSpec(classes=60, per_class=5, val_per_class=1, mean_bytes=2_000)
    return write_mini(tmp_path_factory.mktemp("larger"), spec).folder


@pytest.mark.parametrize("name", ["folders", "webdataset", "squashfs"])
def test_a_killed_run_is_resumed_from_elsewhere(
    name: str, larger: Path, root: StorePath, bucket: Bucket, tmp_path: Path
) -> None:
    """kill -9 at random moments; then from another working folder, with nothing in the cache: the same objects."""
    rng = random.Random(name)
    words = ["--format", name, *([] if name == "folders" else ["--shard-images", "9"]), "--jobs", "2"]
    line = [sys.executable, "-m", "ilsvrc", "prepare", str(larger), str(root), *words]
    for number in range(4):
        cwd, cache = tmp_path / f"cwd{number}", tmp_path / f"cache{number}"
        cwd.mkdir()
        enough = len(bucket.keys(root.key)) + rng.randrange(1, 30)
        with open(tmp_path / "told", "w") as told:
            variables = os.environ | {"XDG_CACHE_HOME": str(cache)}
            process = subprocess.Popen(line, cwd=cwd, env=variables, stdout=told, stderr=told)
        while number < 3 and process.poll() is None and len(bucket.keys(root.key)) < enough:
            time.sleep(0.01)
        if number < 3:
            process.send_signal(signal.SIGKILL)
        process.wait()
    assert process.returncode == 0, (tmp_path / "told").read_text()
    said = (tmp_path / "told").read_text()
    assert "took over the lock of a run that ended" in said or "complete already" in said  # the third may have ended
    ilsvrc.prepare(larger, tmp_path / "local", format=name, jobs=1, **shards(name))
    assert published(objects(root)) == files(tmp_path / "local")


def shards(name: str) -> dict[str, Any]:
    return {} if name == "folders" else {"shard_images": 9}


@pytest.mark.parametrize("name", ["folders", "webdataset"])
def test_finished_units_are_not_done_again(name: str, larger: Path, root: StorePath) -> None:
    """A run is refused what it needs last; the next one puts only that."""
    with proxied(root) as (proxy, through):
        proxy.plan = every(1, Fault(status=403), "PUT", "train.arrow")
        with through, pytest.raises(MachineError, match="refuses"):
            ilsvrc.prepare(larger, str(root), format=name, splits=("train",), jobs=1, **shards(name))
        done = {key for key in objects(root) if not key.startswith(".ilsvrc")}
        proxy.forget()
        proxy.plan = None
        with through:
            ilsvrc.prepare(larger, str(root), format=name, splits=("train",), jobs=1, **shards(name))
        written = {answer.request.path for answer in proxy.answers if answer.request.method == "PUT"}
    images = {f"/{root.url.bucket}/{root.key}/{key}" for key in done if key.endswith((".JPEG", ".tar"))}
    assert images
    assert not images & written


class proxied:  # noqa: N801  -- used as a function
    """A proxy before the server of a bucket, and a context in which the environment leads through it."""

    def __init__(self, root: StorePath) -> None:
        self._root = root

    def __enter__(self) -> tuple[Proxy, Through]:
        self._proxy = proxy_to(os.environ["AWS_ENDPOINT_URL"])
        proxy = self._proxy.__enter__()
        return proxy, Through(self._root, proxy.endpoint)

    def __exit__(self, *problem: object) -> None:
        self._proxy.__exit__(*problem)  # type: ignore[arg-type]


class Through:
    """A context in which the bucket is reached by another endpoint, also in this process."""

    def __init__(self, root: StorePath, endpoint: str) -> None:
        self._root, self._endpoint = root, endpoint

    def __enter__(self) -> None:
        self._before = os.environ["AWS_ENDPOINT_URL"]
        self._lead(self._endpoint)

    def __exit__(self, *_: object) -> None:
        self._lead(self._before)

    def _lead(self, endpoint: str) -> None:
        os.environ["AWS_ENDPOINT_URL"] = endpoint
        self._root.bucket._pid = -1


def test_a_second_driver_is_refused_and_told_who_holds_the_lock(mini: Path, root: StorePath) -> None:
    with Lock(root / ".ilsvrc" / "lock").held():
        held = objects(root)
        done = command("prepare", mini, root, "--format", "webdataset", "--jobs", "1", status=3)
        assert f"in use by another run, process {os.getpid()} on " in done.stderr
        assert "takes over from" in done.stderr
        assert objects(root) == held
    assert objects(root) == {}
    command("prepare", mini, root, "--format", "webdataset", "--jobs", "1")


def test_a_run_that_lost_its_lock_publishes_nothing(
    mini: Path, root: StorePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine takes the lock over while the first run writes, as after a pause of minutes."""
    monkeypatch.setattr(lock, "PERIOD", 0.05)
    lost, never = threading.Event(), threading.Event()
    require = Lock.require

    def listen(event: object) -> None:
        if isinstance(event, Finished) and event.stage == "train":  # its last receipt is on its way
            root.bucket.put(f"{root.key}/.ilsvrc/lock", b"{}")
            lost.set()

    def wait(held: Lock) -> None:
        if lost.is_set():
            assert any(held._lost or never.wait(0.05) for _ in range(400))
        require(held)

    monkeypatch.setattr(Lock, "require", wait)
    with pytest.raises(MachineError, match=r"another run took its lock over|lost its lock"):
        ilsvrc.prepare(mini, root, format="webdataset", jobs=1, listener=listen, shard_images=5)
    assert ".ilsvrc/train.arrow" not in objects(root)
    assert objects(root)[".ilsvrc/lock"] == b"{}"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("webdataset", "train-000001.tar"),
        ("webdataset", "train-index.json"),
        ("squashfs", "train.squashfs"),
        ("folders", "train/n01440764/mine.JPEG"),
        ("folders", "train.txt"),
        ("folders", "classes.json"),
        ("folders", ".ilsvrc/train.arrow"),
    ],
)
def test_an_object_that_is_in_the_way_is_refused_before_anything_is_written(
    name: str, key: str, mini: Path, root: StorePath, bucket: Bucket
) -> None:
    bucket.put({f"{root.key}/{key}": b"mine"})
    done = command("prepare", mini, root, "--format", name, "--jobs", "1", *words(name), status=2)
    assert "hint" in done.stderr.lower() or "move it away" in done.stderr
    assert objects(root) == {key: b"mine"}


def words(name: str) -> list[str]:
    return [] if name == "folders" else ["--shard-images", "7"]


@pytest.mark.parametrize("name", ["folders", "webdataset"])
def test_a_dry_run_writes_nothing(name: str, mini: Path, root: StorePath) -> None:
    told = ilsvrc_json("prepare", mini, root, "--format", name, "--dry-run", *words(name))
    assert told["tree"] == str(root)
    assert [split["there"] for split in told["decisions"]] == ["fresh", "fresh"]
    assert objects(root) == {}


@pytest.mark.parametrize(("first", "then"), [("webdataset", "folders"), ("folders", "mds"), ("mds", "webdataset")])
def test_other_settings_need_restart_and_leave_nothing_of_the_first(
    first: str, then: str, mini: Path, root: StorePath, tmp_path: Path
) -> None:
    with proxied(root) as (proxy, through):
        proxy.plan = every(1, Fault(status=403), "PUT", "train.arrow")
        with through, pytest.raises(MachineError):
            ilsvrc_prepare(first, mini, root, jobs=1, splits=("train",), **shards(first))
    begun = objects(root)
    with pytest.raises(UsageError, match="unfinished train with other settings") as caught:
        ilsvrc_prepare(then, mini, root, jobs=1, splits=("train",), **shards(then))
    assert "--restart" in caught.value.hint
    assert objects(root) == begun
    ilsvrc_prepare(then, mini, root, jobs=1, splits=("train",), restart=True, **shards(then))
    ilsvrc_prepare(then, mini, tmp_path / "local", jobs=1, splits=("train",), **shards(then))
    left = published(objects(root))
    assert {key: left[key] for key in files(tmp_path / "local")} == files(tmp_path / "local")
    surplus = set(left) - set(files(tmp_path / "local"))
    assert not [key for key in surplus if key.endswith((".tar", ".mds", ".JPEG"))]


@pytest.mark.parametrize("name", ["folders", "webdataset", "mds", "squashfs"])
def test_missing_and_changed_objects_are_named_and_repaired(
    name: str, mini: Path, root: StorePath, bucket: Bucket
) -> None:
    ilsvrc_prepare(name, mini, root, jobs=1, **shards(name))
    whole = published(objects(root))
    pieces = [key for key in whole if key.startswith("train") and key.endswith((".JPEG", ".tar", ".mds", "squashfs"))]
    root.bucket.delete([f"{root.key}/{pieces[0]}"])
    with pytest.raises(DamageError, match="missing or have another size") as caught:
        ilsvrc_prepare(name, mini, root, jobs=1, **shards(name))
    assert "--repair" in caught.value.hint
    ilsvrc_prepare(name, mini, root, jobs=1, repair=True, **shards(name))
    assert published(objects(root)) == whole
    last = pieces[-1]
    flipped = whole[last][:-1] + bytes([whole[last][-1] ^ 1])
    bucket.put({f"{root.key}/{last}": flipped})
    ilsvrc_prepare(name, mini, root, jobs=1, repair=True, **shards(name))
    assert published(objects(root)) == whole


def test_sources_are_deleted_once_objects_were_read_back(
    mini: Path, root: StorePath, bucket: Bucket, tmp_path: Path
) -> None:
    archives = tmp_path / "archives"
    shutil.copytree(mini, archives)
    ilsvrc.prepare(archives, str(root), jobs=1)
    key = next(key for key in objects(root) if key.endswith(".JPEG"))
    whole = bucket.get(f"{root.key}/{key}")
    bucket.put({f"{root.key}/{key}": whole[:-1] + bytes([whole[-1] ^ 1])})
    with pytest.raises(DamageError, match="is kept"):
        ilsvrc.prepare(archives, str(root), jobs=1, source="delete")
    assert (archives / "ILSVRC2012_img_train.tar").exists()
    bucket.put({f"{root.key}/{key}": whole})
    ilsvrc.prepare(archives, str(root), jobs=1, source="delete")
    assert not (archives / "ILSVRC2012_img_train.tar").exists()


def test_credentials_are_in_nothing_that_is_written_or_said(mini: Path, root: StorePath) -> None:
    done = command("--json", "prepare", mini, root, "--format", "webdataset", "--jobs", "1")
    assert SECRET not in done.stdout + done.stderr
    assert not [key for key, data in objects(root).items() if SECRET.encode() in data]


def test_what_was_written_is_read_and_checked_in_the_bucket(mini: Path, root: StorePath) -> None:
    ilsvrc.prepare(mini, root, format="webdataset", shard_images=7, jobs=1)
    theirs = ilsvrc.ImageNet(mini, split="train", loader=bytes)
    ours = ilsvrc.ImageNet(str(root), split="train", loader=bytes)
    assert sorted(zip(ours.targets, map(str, ours), strict=True)) == sorted(
        zip(theirs.targets, map(str, theirs), strict=True)
    )
    command("check", root, "--deep", "--against", mini)


def test_class_folders_are_recognised_at_their_address(mini: Path, root: StorePath) -> None:
    ilsvrc.prepare(mini, root, jobs=1)
    assert ilsvrc_json("check", root)["recognised"] == f"class folders (train, val) at {root}"


@pytest.mark.parametrize("form", ["folders", "webdataset"])
def test_a_manifest_that_is_none_is_said_to_be_unreadable(form: str, mini: Path, root: StorePath) -> None:
    ilsvrc.prepare(mini, root, splits=["val"], format=form, jobs=1)
    manifest = root / ".ilsvrc/val.arrow"
    whole = manifest.read_bytes()
    manifest.bucket.put(manifest.key, b"garbage")
    with pytest.raises(UsageError, match=f"manifest can't be read: {manifest}"):
        ilsvrc.prepare(mini, root, splits=["val"], format=form, jobs=1)
    manifest.bucket.put(manifest.key, whole)
    other = "folders" if form == "webdataset" else "webdataset"
    with pytest.raises(UsageError, match="another source or other settings"):
        ilsvrc.prepare(mini, root, splits=["val"], format=other, jobs=1)


def test_a_server_that_refuses_is_named_and_nothing_else(mini: Path, root: StorePath) -> None:
    with proxied(root) as (proxy, through), through:
        proxy.plan = every(1, Fault(status=403), "PUT", "train-000002")
        done = command("prepare", mini, root, "--format", "webdataset", "--shard-images", 7, "--jobs", "1", status=3)
    assert f"{root}/train-000002.tar: the server refuses" in done.stderr
    assert SECRET not in done.stdout + done.stderr
    command("prepare", mini, root, "--format", "webdataset", "--shard-images", 7, "--jobs", "1")


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_a_bucket_that_is_not_there_is_named(more: list[str], mini: Path, root: StorePath) -> None:
    done = command("prepare", mini, f"s3://not-there-{root.url.bucket}/data", "--jobs", "1", *more, status=3)
    assert f"there is no bucket s3://not-there-{root.url.bucket}" in done.stderr
    assert "make it first" in done.stderr


def test_a_server_that_often_fails_changes_nothing(mini: Path, root: StorePath, tmp_path: Path) -> None:
    """Every ninth PUT and every ninth GET gets a 503, every eleventh HEAD no answer."""
    plans = [
        every(9, Fault(status=503), "PUT"),
        every(9, Fault(status=503), "GET"),
        every(11, Fault(drop=True), "HEAD"),
    ]
    with proxied(root) as (proxy, through), through:
        proxy.plan = lambda request: next((fault for plan in plans if (fault := plan(request))), None)
        ilsvrc.prepare(mini, str(root), format="webdataset", shard_images=7, jobs=1)
    ilsvrc.prepare(mini, tmp_path / "local", format="webdataset", shard_images=7, jobs=1)
    assert published(objects(root)) == files(tmp_path / "local")


def test_an_answer_that_is_lost_is_no_foreign_object(mini: Path, root: StorePath, tmp_path: Path) -> None:
    """The server did what was asked and the answer never came: the same request again meets our own object."""
    met: set[str] = set()

    def lose_first(request: Request) -> Fault | None:
        if request.method != "PUT" or request.path in met or request.path.endswith(("lock", "report.json")):
            return None
        met.add(request.path)
        return Fault(cut=0, stall=None)

    with proxied(root) as (proxy, through), through:
        proxy.plan = lose_first
        ilsvrc.prepare(mini, str(root), format="webdataset", shard_images=7, jobs=1)
    assert len(met) > 9
    ilsvrc.prepare(mini, tmp_path / "local", format="webdataset", shard_images=7, jobs=1)
    assert published(objects(root)) == files(tmp_path / "local")


def test_a_server_that_ignores_conditions_is_named(
    mini: Path, root: StorePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = client.Bucket.put

    def unconditional(self: client.Bucket, key: str, data: bytes | Path, **chosen: Any) -> client.Version:
        return put(self, key, data, **{name: value for name, value in chosen.items() if name == "notes"})

    monkeypatch.setattr(client.Bucket, "put", unconditional)
    notes: list[str] = []
    listener: Listener = lambda event: notes.append(event.text) if isinstance(event, Note) else None  # noqa: E731
    ilsvrc.prepare(mini, str(root), format="webdataset", jobs=1, listener=listener)
    assert any("ignores conditions" in note for note in notes)


def test_the_report_keeps_what_an_earlier_one_says_of_other_splits(mini: Path, root: StorePath) -> None:
    for split in ("train", "val"):
        ilsvrc.prepare(mini, str(root), splits=(split,), jobs=1)
    report = json.loads(objects(root)[".ilsvrc/report.json"])
    assert {split["split"] for split in report["splits"]} == {"train", "val"}


@pytest.mark.parametrize(
    ("target", "chosen", "said"),
    [
        ("https://example.org/data", {}, "web server"),
        ("{root}", {"link": "hard"}, "shares files"),
        ("{root}", {"format": "webdataset", "order_by": "buckets"}, "sweep"),
        ("s3://key:secret@bucket/data", {}, "no name and password"),
    ],
)
def test_what_a_bucket_can_not_do_is_refused(
    target: str, chosen: dict[str, str], said: str, mini: Path, root: StorePath
) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        ilsvrc.prepare(mini, target.format(root=root), jobs=1, **chosen)  # type: ignore[arg-type]
    assert caught.value.hint
    assert "secret" not in str(caught.value)
    assert objects(root) == {}
