"""Azure's and Google's addresses reach servers that speak as theirs do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ilsvrc import ImageNet, prepare
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


def test_archives_in_azure_are_read_in_place_and_prepared(container: Container, mini: Path, tmp_path: Path) -> None:
    for path in (*mini.glob("ILSVRC*"), mini / "MD5SUMS"):
        container.put(f"archives/{path.name}", path.read_bytes())
    assert all_of(container.url("archives")) == all_of(mini)
    prepare(container.url("archives"), container.url("made"), format="webdataset", jobs=1)
    assert sorted(all_of(container.url("made"))) == sorted(all_of(mini))


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


@pytest.mark.parametrize("s3", ["moto"], indirect=True)
def test_archives_at_google_are_read_in_place(s3: S3, mini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a bucket that nothing may be written to: the index is kept in the user's cache."""
    monkeypatch.setattr("ilsvrc.stores.client.RETRIES", 1)
    for name, value in google(s3).items():
        monkeypatch.setenv(name, value)
    made = s3.new_bucket()
    for path in (*mini.glob("ILSVRC*"), mini / "MD5SUMS"):
        body = path.read_bytes()
        client(s3.endpoint).put_object(Bucket=made.name, Key=f"archives/{path.name}", Body=body, ACL="public-read")
    assert all_of(f"gs://{made.name}/archives") == all_of(mini)


def all_of(source: Path | str) -> list[tuple[bytes, int]]:
    """Return bytes and label of every image of train."""
    images = ImageNet(source, "train", loader=bytes)
    return [images[index] for index in range(len(images))]
