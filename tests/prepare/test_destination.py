"""Every target of `prepare` under its contract: folders and shards, on a disk and in a bucket."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from ilsvrc.events import silent
from ilsvrc.prepare.destination import destination
from ilsvrc.prepare.options import Options
from ilsvrc.prepare.plans import plans_of
from ilsvrc.run.plan import Plan
from ilsvrc.sinks.target import Target
from ilsvrc.stores.path import StorePath
from ilsvrc.testing.targets import TargetContract
from tests.sinks.objects.holding import objects
from tests.stores.conftest import bucket, s3  # noqa: F401  -- fixtures
from tests.stores.servers import Bucket

CHOSEN = {
    "folders": Options(splits=("train",), verify="none"),
    "webdataset": Options(splits=("train",), verify="none", format="webdataset", shard_images=9),
    "squashfs": Options(splits=("train",), verify="none", format="squashfs"),
}


@pytest.fixture(params=CHOSEN)
def options(request: pytest.FixtureRequest) -> Options:
    return CHOSEN[request.param]


@pytest.fixture
def plan(mini: Path, options: Options) -> Plan:
    [made] = plans_of(mini, options, silent)
    return made


class TestTargetsOnADisk(TargetContract):
    @pytest.fixture
    def target(self, plan: Plan, options: Options, tmp_path: Path) -> Target:
        return destination(tmp_path / "target").sink(plan, options)

    def kept(self, target: Target) -> Mapping[str, bytes]:
        root = target.root
        assert isinstance(root, Path)
        return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}

    def remove(self, target: Target, path: str) -> None:
        file = target.root / path
        assert isinstance(file, Path)
        file.unlink()
        for folder in file.parents:
            if folder == target.root or any(folder.iterdir()):
                break
            folder.rmdir()

    def put(self, target: Target, path: str, data: bytes) -> None:
        file = target.root / path
        assert isinstance(file, Path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


class TestTargetsInABucket(TargetContract):
    @pytest.fixture
    def target(self, plan: Plan, options: Options, bucket: Bucket) -> Iterator[Target]:  # noqa: F811
        place = destination(StorePath(bucket.url("a/b")))
        with place.claimed(silent):
            yield place.sink(plan, options)

    def kept(self, target: Target) -> Mapping[str, bytes]:
        root = target.root
        assert isinstance(root, StorePath)
        return {key: data for key, data in objects(root).items() if not key.endswith("/lock")}

    def remove(self, target: Target, path: str) -> None:
        file = target.root / path
        assert isinstance(file, StorePath)
        file.unlink()

    def put(self, target: Target, path: str, data: bytes) -> None:
        file = target.root / path
        assert isinstance(file, StorePath)
        file.bucket.put(file.key, data)
