"""Where the index of an archive in a store is kept, and which one is believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ilsvrc.archive.remote import source_of
from ilsvrc.archive.sidecar import open_index, recorded, stored_digests
from ilsvrc.archive.source import FileSource
from ilsvrc.digests import record_digests
from ilsvrc.facts import TRAIN
from ilsvrc.stores.path import StorePath
from tests.stores.proxy import Fault, Proxy, Request, proxy_to
from tests.stores.servers import Bucket, environment

KEPT = f".ilsvrc/{TRAIN}.arrow"


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def stored(bucket: Bucket, mini: Path) -> Bucket:
    bucket.put({TRAIN: (mini / TRAIN).read_bytes()})
    return bucket


def headers(proxy: Proxy, bucket: Bucket) -> int:
    """Open the index; return how often the archive was read for it."""
    proxy.forget()
    open_index(source_of(StorePath(bucket.url(TRAIN))))
    return proxy.count("GET", f"/{TRAIN}")


def refuse_writes(request: Request) -> Fault | None:
    return Fault(status=403) if request.method in ("PUT", "POST") else None


def test_a_bucket_that_may_not_be_written_to_costs_no_error(
    stored: Bucket, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy_to(stored.server.endpoint) as proxy:
        for name, value in environment(proxy.endpoint).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("ilsvrc.stores.client._BUCKETS", {})
        proxy.plan = refuse_writes
        assert headers(proxy, stored) > 0
        assert [path.name for path in cache.rglob("*.arrow")] == [f"{TRAIN}.arrow"]
        assert headers(proxy, stored) == 0
    assert KEPT not in stored.keys("")


@pytest.mark.parametrize("data", [b"", b"no index", b"ARROW1" * 100])
def test_a_damaged_index_in_the_bucket_is_made_again(stored: Bucket, mini: Path, data: bytes) -> None:
    stored.put({KEPT: data})
    index = open_index(source_of(StorePath(stored.url(TRAIN))))
    assert index.table.equals(open_index(FileSource(mini / TRAIN)).table)
    assert stored.get(KEPT) != data


def test_an_index_of_a_copy_on_a_disk_is_of_another_state(stored: Bucket, mini: Path) -> None:
    open_index(FileSource(mini / TRAIN))
    stored.put({KEPT: (mini / KEPT).read_bytes()})
    open_index(source_of(StorePath(stored.url(TRAIN))))
    assert stored.get(KEPT) != (mini / KEPT).read_bytes()


def test_digests_and_records_stay_on_this_machine(stored: Bucket, mini: Path, cache: Path) -> None:
    stored.put({"MD5SUMS": (mini / "MD5SUMS").read_bytes()})
    [index] = record_digests(stored.url(), jobs=1)
    source = source_of(StorePath(stored.url(TRAIN)))
    assert stored_digests(source, index) is not None
    assert recorded(source.path) is not None
    assert stored.keys(".ilsvrc") == [KEPT]
    assert {path.suffix for path in cache.rglob(f"{TRAIN}.*")} >= {".arrow", ".json"}
