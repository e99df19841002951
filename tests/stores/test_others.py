"""Azure's and Google's addresses reach servers that speak as theirs do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ilsvrc.stores.client import Bucket as Opened
from ilsvrc.stores.client import ChangedError
from ilsvrc.stores.url import parse_url
from tests.stores.others import Container, azurite, google
from tests.stores.servers import S3, client


@pytest.fixture(scope="module")
def _container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    with azurite(tmp_path_factory.mktemp("azurite")) as container:
        yield container


@pytest.fixture
def container(_container: Container, monkeypatch: pytest.MonkeyPatch) -> Container:
    for name, value in _container.environment.items():
        monkeypatch.setenv(name, value)
    return _container


def test_azure_reads_lists_and_writes(container: Container) -> None:
    container.put("a/data", bytes(range(100)))
    bucket = Opened(parse_url(container.url()))
    state = bucket.state("a/data")
    assert state is not None
    assert bucket.read("a/data", 10, 3, state) == bytes([10, 11, 12])
    assert bucket.read_many("a/data", [(0, 1), (99, 1)], state) == [b"\0", b"c"]
    bucket.put("a/new", b"new", new=True)
    with pytest.raises(FileExistsError):
        bucket.put("a/new", b"other", new=True)
    assert bucket.whole("a/new") == b"new"
    assert [entry.key for entry in bucket.level("a")] == ["a/data", "a/new"]
    bucket.delete(["a/new"])
    assert [entry.key for entry in bucket.below("")] == ["a/data"]
    container.put("a/data", bytes(100))
    with pytest.raises(ChangedError):
        bucket.read("a/data", 10, 3, state)


@pytest.mark.parametrize("s3", ["moto"], indirect=True)
def test_google_reads_and_lists(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in google(s3).items():
        monkeypatch.setenv(name, value)
    made = s3.new_bucket()
    for key, data in {"a/data": bytes(range(100)), "a/b/more": b"more"}.items():
        client(s3.endpoint).put_object(Bucket=made.name, Key=key, Body=data, ACL="public-read")
    bucket = Opened(parse_url(f"gs://{made.name}"))
    state = bucket.state("a/data")
    assert state is not None
    assert bucket.read("a/data", 10, 3, state) == bytes([10, 11, 12])
    assert [entry.key for entry in bucket.level("a")] == ["a/b", "a/data"]
    assert bucket.state("a/absent") is None
