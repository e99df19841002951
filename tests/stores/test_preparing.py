"""`ilsvrc prepare` from a bucket: the same files as from the archives on a disk, whatever the network does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ilsvrc import ImageNet
from ilsvrc.testing.mini import MiniSpec, write_mini
from tests.cli.helpers import ilsvrc
from tests.stores.proxy import Fault, Proxy, Request, every, proxy_to
from tests.stores.servers import Bucket, environment


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some hundred images: enough units of work for a run to be killed between them."""
    folder = tmp_path_factory.mktemp("archives")
    write_mini(folder, MiniSpec(classes=20, per_class=12, val_per_class=2, mean_bytes=20_000))
    return folder


@pytest.fixture
def source(bucket: Bucket, archives: Path) -> Bucket:
    bucket.put({f"archives/{path.name}": path.read_bytes() for path in archives.iterdir() if path.is_file()})
    return bucket


@pytest.fixture
def proxy(source: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    with proxy_to(source.server.endpoint) as proxy:
        for name, value in environment(proxy.endpoint).items():
            monkeypatch.setenv(name, value)
        yield proxy


def contents(tree: Path) -> dict[str, bytes]:
    """Return all files that a user sees."""
    files = (path for path in tree.rglob("*") if path.is_file())
    return {str(p.relative_to(tree)): p.read_bytes() for p in files if ".ilsvrc" not in p.parts}


@pytest.mark.parametrize("form", ["folders", "webdataset"])
def test_what_is_prepared_is_what_the_disk_gives(source: Bucket, archives: Path, tmp_path: Path, form: str) -> None:
    ilsvrc("prepare", archives, tmp_path / "local", "--format", form)
    ilsvrc("prepare", source.url("archives"), tmp_path / "remote", "--format", form)
    local = contents(tmp_path / "local")
    assert contents(tmp_path / "remote") == local
    assert len(local) >= (280 if form == "folders" else 2)
    ilsvrc("check", "--deep", tmp_path / "remote")


def test_every_byte_is_proved_though_requests_fail(
    source: Bucket, archives: Path, proxy: Proxy, tmp_path: Path
) -> None:
    faults = [Fault(status=503), Fault(drop=True), Fault(cut=1000), Fault(delay=0.2)]
    plans = [every(7 + number, fault, path="img_train") for number, fault in enumerate(faults)]

    def plan(request: Request) -> Fault | None:
        return next((fault for made in plans if (fault := made(request))), None)

    proxy.plan = plan
    ilsvrc("prepare", source.url("archives"), tmp_path / "remote", "--verify", "md5")
    ilsvrc("prepare", archives, tmp_path / "local")
    assert contents(tmp_path / "remote") == contents(tmp_path / "local")
    assert len({str(answer.fault) for answer in proxy.answers}) == 5


def test_a_killed_run_is_resumed_from_another_folder(
    source: Bucket, archives: Path, proxy: Proxy, tmp_path: Path
) -> None:
    """Kill -9 in the middle; the second run has another working folder, home and cache."""
    target = tmp_path / "remote"
    proxy.plan = lambda request: Fault(delay=0.1) if "img_train" in request.path else None
    first = start(tmp_path / "one", "prepare", source.url("archives"), target, "--jobs", "1")
    journal = target / ".ilsvrc"
    end = time.monotonic() + 120
    while sum(1 for _ in target.rglob("*.JPEG")) < 60:
        assert first.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < end, sorted(journal.rglob("*"))
        time.sleep(0.01)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert not (target / "train").exists()
    proxy.plan = None
    proxy.forget()
    second = start(tmp_path / "another", "prepare", source.url("archives"), target)
    assert second.wait(120) == 0, (tmp_path / "another" / "said").read_text()
    ilsvrc("prepare", archives, tmp_path / "local")
    assert contents(target) == contents(tmp_path / "local")


@pytest.mark.parametrize("form", ["webdataset", "parquet", "tfrecord"])
def test_from_a_bucket_to_a_bucket_and_read_there(source: Bucket, archives: Path, tmp_path: Path, form: str) -> None:
    """All three places are the store: the archives, the shards, and the training program's data set."""
    ilsvrc("prepare", source.url("archives"), source.url("made"), "--format", form)
    ilsvrc("check", "--deep", source.url("made"))
    for split in ("train", "val"):
        made = images_of(ImageNet(source.url("made"), split, loader=bytes))
        assert made == images_of(ImageNet(archives, split, loader=bytes))


def test_a_run_to_a_bucket_is_killed_and_resumed_elsewhere(
    source: Bucket, archives: Path, proxy: Proxy, tmp_path: Path
) -> None:
    """Nothing but the bucket is common to both runs; shards that were whole are not put again."""
    words = "--format", "webdataset", "--shard-images", "20"
    target = source.url("made")
    proxy.plan = lambda request: Fault(delay=0.3) if request.method == "PUT" else None
    first = start(tmp_path / "one", "prepare", source.url("archives"), target, "--jobs", "1", *words)
    end = time.monotonic() + 120
    while len([key for key in source.keys("made/") if key.endswith(".tar")]) < 4:
        assert first.poll() is None, (tmp_path / "one" / "said").read_text()
        assert time.monotonic() < end
        time.sleep(0.01)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    before = {key for key in source.keys("made/") if key.endswith(".tar")}
    assert "made/.ilsvrc/train.arrow" not in source.keys("made/.ilsvrc/")
    proxy.plan = None
    proxy.forget()
    second = start(tmp_path / "another", "prepare", source.url("archives"), target, *words)
    assert second.wait(120) == 0, (tmp_path / "another" / "said").read_text()
    put = Counter(
        a.request.path for a in proxy.answers if a.request.method == "PUT" and a.request.path.endswith(".tar")
    )
    again = [path for path in put if path.partition(f"{source.name}/")[2] in before]
    assert len(again) <= 1  # the one whose receipt was under way
    ilsvrc("prepare", archives, tmp_path / "local", *words)
    made = {key: source.get(key) for key in source.keys("made/") if "/.ilsvrc/" not in key}
    assert made == {f"made/{name}": data for name, data in contents(tmp_path / "local").items()}


def images_of(images: ImageNet) -> list[tuple[bytes, int]]:
    """Return bytes and label of every image, in an order of their own: names are not kept by every format."""
    return sorted(images.__getitems__(list(range(len(images)))))


def start(home: Path, *arguments: object) -> subprocess.Popen[bytes]:
    """Start the program on what might be another machine: only the target and the server are the same."""
    home.mkdir()
    places = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "TMPDIR": str(home)}
    with open(home / "said", "wb") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "ilsvrc", *map(str, arguments)],
            cwd=home,
            env={**os.environ, **places},
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
